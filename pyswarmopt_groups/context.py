"""The context of a strategy: members, task, and the members' answers and accuracies on dev."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyswarmopt.base.arrays import Floats
from pyswarmopt_groups import voting
from pyswarmopt_groups.members.protocol import BLANK, Answer, Member, MemberDown
from pyswarmopt_groups.responses import Responses
from pyswarmopt_groups.voting.ballots import cluster
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, Task

log = logging.getLogger(__name__)

# lower bound of an option's probability, so that one member cannot veto an option
IMPROBABLE = 1e-9


@dataclass(frozen=True)
class GroupVerdict:
    """A group's answer to one item.

    Attributes:
        answer: a letter, or a text; None for no answer.
        ballots: each member's final vote; None if it abstained or was not queried.
        agreement: share of the members queried that vote for the answer, 0 to 1.
        tokens: tokens read and written for this item, over all members.
        notes: further results of the strategy, JSON.
    """

    answer: str | None
    ballots: tuple[str | None, ...]
    agreement: float
    tokens: int
    notes: Mapping[str, Any] = field(default_factory=dict)


def verdict_of(outcome: voting.ElectionOutcome, tokens: int, **notes: Any) -> GroupVerdict:
    """The verdict of a vote."""
    return GroupVerdict(outcome.answer, outcome.ballots, outcome.agreement, int(tokens), notes)


def verdict_for(
    answer: str | None,
    ballots: Sequence[str | None],
    tokens: int,
    queried: int | None = None,
    **notes: Any,
) -> GroupVerdict:
    """A verdict without a vote; its agreement is the share of queried members (None: all) whose
    ballots state the same answer, see `voting.equivalent`.
    """
    first, *others = cluster([answer, *ballots])
    agree = sum(other == first and other is not None for other in others)
    return GroupVerdict(
        answer, tuple(ballots), agree / (queried or len(ballots)), int(tokens), notes
    )


def verdicts_for(
    responses: Responses, answers: Sequence[str | None], more: Sequence[int] | int = 0
) -> list[GroupVerdict]:
    """Verdicts computed from all members' responses; `more` tokens per item."""
    costs = responses.costs + more
    return [*map(verdict_for, answers, responses.ballots, costs)]


@dataclass(eq=False)
class GroupContext:
    """A group and a task.

    Attributes:
        members: members, most trusted first: ties go to the first-listed.
        task: dev and test; a single question has no dev to fit on.
        answer_format: how members answer items.
        seed: seed of sampled answers.
        device: device of a reward model.
        tolerant: whether unavailable members abstain with a warning, instead of raising an error.
        down: numbers of the members that were unavailable so far.
    """

    members: Sequence[Member]
    task: Task
    answer_format: AnswerFormat
    seed: int = 0
    device: str = "auto"
    tolerant: bool = False
    down: set[int] = field(default_factory=set)

    @property
    def n(self) -> int:
        """Number of members."""
        return len(self.members)

    @property
    def template(self) -> str | None:
        """The task's own prompt template."""
        return self.task.prompt

    def collect(self, items: Sequence[Item]) -> Responses:
        """The answers of all members; blank for an unavailable one in a tolerant context."""
        rows = []
        for k in range(self.n):
            try:
                rows.append(self.answers_of(k, items))
            except MemberDown as error:
                self.note_down(k, error)
                rows.append([BLANK] * len(items))
        return Responses(items, rows)

    def note_down(self, k: int, error: MemberDown) -> None:
        """Note that member k is unavailable; raise the error unless the context is tolerant."""
        if not self.tolerant:
            raise error
        log.warning("%s; the member counts as failed", error)
        self.down.add(k)

    def collect_some(self, items: Sequence[Item], asked: NDArray[np.bool_]) -> Responses:
        """The answers of the queried members, (n, items); all others are blank."""
        rows = []
        for k, row in enumerate(asked):
            some = [item for item, there in zip(items, row, strict=True) if there]
            answers = iter(self.answers_of(k, some))
            rows.append([next(answers) if there else BLANK for there in row])
        return Responses(items, rows)

    def answers_of(self, k: int, items: Sequence[Item]) -> list[Answer]:
        """The answers of member k."""
        return self.members[k].answer(items, self.answer_format, self.template)

    @cached_property
    def dev(self) -> Responses:
        """The answers of all members to the dev items.

        Raises:
            UserError: a member has no readable answer.
        """
        responses = self.collect(self.task.dev)
        for k, member in enumerate(self.members):
            if not self.tolerant and all(row[k] is None for row in responses.ballots):
                count = len(responses.items)
                raise UserError(
                    f"{member.name} did not give a readable answer to any of the {count} dev examples; remove it"
                )
        return responses

    @cached_property
    def labels(self) -> list[int]:
        """Index of the correct option of each dev item."""
        return [item.letters.index(item.answer) for item in self.task.dev]

    @cached_property
    def accuracies(self) -> Floats:
        """Each member's accuracy on dev, (n,)."""
        return np.asarray(self.dev.right.mean(axis=1))

    @property
    def order(self) -> list[int]:
        """Members by accuracy on dev, best first; in the given order if they tie or dev is empty. The
        first one compares and fuses answers.
        """
        if not self.task.dev:
            return list(range(self.n))
        return sorted(range(self.n), key=lambda k: (-self.accuracies[k], k))

    @cached_property
    def temperatures(self) -> list[float | None]:
        """Each member's temperature, fitted on dev; None for a member without option scores."""
        fitted: list[float | None] = []
        for k in range(self.n):
            scores = self.dev.scores(k)
            fitted.append(None if scores is None else voting.fit_temperature(scores, self.labels))
        return fitted

    def probabilities(self, responses: Responses) -> Floats:
        """Each member's probability of each option, (n, items, most options): see `beliefs`."""
        rows = enumerate(responses.answers)
        return np.stack([self.beliefs(k, responses.items, row) for k, row in rows])

    def beliefs(self, k: int, items: Sequence[Item], answers: Sequence[Answer]) -> Floats:
        """Member k's probability of each option, (items, most options), calibrated on dev; 0 past
        the last option.

        Without option scores, a member's choice gets its accuracy on dev (smoothed as in
        `log_odds`) and the other options share the rest equally; an abstention is a uniform
        distribution.
        """
        responses = Responses(items, [answers])
        scores = responses.scores(0)
        temperature = self.temperatures[k]
        if scores is not None and temperature is not None:
            p = np.maximum(voting.calibrated(scores, temperature), IMPROBABLE)
            return np.where(np.isfinite(scores), p, 0.0)
        letters = [item.letters for item in items]
        beliefs = np.zeros((len(items), max(map(len, letters))))
        n = len(self.dev.items)
        for row, options, (ballot,) in zip(beliefs, letters, responses.ballots, strict=True):
            count = len(options)
            row[:count] = 1 / count
            if ballot is not None:
                p = (self.accuracies[k] * n + 1 / count) / (n + 1)
                row[:count] = (1 - p) / (count - 1)
                row[options.index(ballot)] = p
        return beliefs
