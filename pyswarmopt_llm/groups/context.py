"""Where a group works on a task: its members, what they said on dev, and what is fitted on that."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.groups.members.protocol import Answer, Member, MemberDown
from pyswarmopt_llm.groups.responses import Sheet
from pyswarmopt_llm.groups.settings import Settings
from pyswarmopt_llm.groups.voting.rules.calibration import calibrated, fit_temperature
from pyswarmopt_llm.groups.voting.rules.outcome import Outcome
from pyswarmopt_llm.tasks import Item, Scoring, Task

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

IMPROBABLE = 1e-9  # least probability of an option: nobody is so sure that others cannot outvote it


@dataclass(frozen=True)
class Verdict:
    """What a group says to one item.

    Attributes:
        answer: a letter, or a text; None if it comes to none.
        ballots: what each member was counted for at the end; None if it abstained or was not asked.
        agreement: share of the ballots of those who were asked that are the answer, 0 to 1.
        tokens: read and written for this item, all members together.
        tied: whether the tie rule decided.
        notes: what else a strategy has to say, JSON.
    """

    answer: str | None
    ballots: tuple[str | None, ...]
    agreement: float
    tokens: int
    tied: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)


def verdict_of(outcome: Outcome[Any], tokens: int, **notes: Any) -> Verdict:
    """The verdict of a vote; of a ranking, its first place is the ballot."""
    ballots = tuple(b if b is None or isinstance(b, str) else (b[0] if b else None) for b in outcome.ballots)
    return Verdict(outcome.answer, ballots, outcome.agreement, int(tokens), len(outcome.tied) > 1, notes)


class Room:
    """A group and a task.

    Args:
        members: who is asked, the most trusted first: ties go to the first-listed.
        task: dev and test; None for a single question, on which nothing can be fitted.
        scoring: how items are asked.
        settings: of the strategies.
        judge: who compares or fuses answers; None: the best member on dev, without dev the first.
        tolerant: let members that are down abstain, with a warning, instead of ending the work.
    """

    def __init__(
        self,
        members: Sequence[Member],
        task: Task | None,
        scoring: Scoring,
        settings: Settings | None = None,
        judge: Member | None = None,
        tolerant: bool = False,
    ) -> None:
        self.members, self.task, self.scoring = tuple(members), task, scoring
        self.settings = settings or Settings()
        self._judge, self._tolerant = judge, tolerant

    @property
    def n(self) -> int:
        """Number of members."""
        return len(self.members)

    @property
    def template(self) -> str | None:
        """The task's own prompt."""
        return None if self.task is None else self.task.prompt

    def ask(self, items: Sequence[Item]) -> Sheet:
        """What all members say to items."""
        rows = [self._said(member, items) for member in self.members]
        return Sheet(items, [member.name for member in self.members], rows)

    def ask_one(self, k: int, items: Sequence[Item]) -> list[Answer]:
        """What member k says to items; it is not bothered with none."""
        return self.members[k].answer(items, self.scoring, self.template) if items else []

    def _said(self, member: Member, items: Sequence[Item]) -> list[Answer]:
        try:
            return member.answer(items, self.scoring, self.template)
        except MemberDown as error:
            if not self._tolerant:
                raise
            log.warning("%s; it abstains", error)
            return [Answer("", 0)] * len(items)

    @cached_property
    def dev(self) -> Sheet:
        """What all members say to the dev items.

        Raises:
            UserError: there are none, or a member is silent on all of them.
        """
        if self.task is None or not self.task.dev:
            raise UserError("this strategy is fitted on dev items, a single prompt has none; give --task")
        sheet = self.ask(self.task.dev)
        for k, member in enumerate(self.members):
            if not self._tolerant and all(row[k] is None for row in sheet.ballots):
                raise UserError(
                    f"{member.name}: gives no readable answer to any of the {len(sheet.items)} dev items; leave it out"
                )
        return sheet

    @cached_property
    def accuracies(self) -> Array:
        """Share of dev items that each member answers rightly, (n,)."""
        return np.asarray(self.dev.right.mean(axis=1))

    @property
    def order(self) -> list[int]:
        """Members by their accuracy on dev, best first; equal ones, and all without dev, as listed."""
        if self.task is None:
            return list(range(self.n))
        return sorted(range(self.n), key=lambda k: (-self.accuracies[k], k))

    @property
    def judge(self) -> Member:
        """Who compares and fuses answers."""
        return self._judge or self.members[self.order[0]]

    @cached_property
    def temperatures(self) -> list[float | None]:
        """Each member's temperature, fitted on dev; None for one that gives no option scores."""
        found: list[float | None] = []
        letters = [list(item.choices or {}) for item in self.dev.items]
        for k in range(self.n):
            scores = self.dev.scores(k)
            spoke = [i for i, answer in enumerate(self.dev.answers[k]) if answer.scores]
            if scores is None:
                found.append(None)
                continue
            labels = [letters[i].index(self.dev.items[i].answer) for i in spoke]
            found.append(fit_temperature(scores[spoke], labels))
        return found

    def probabilities(self, sheet: Sheet) -> Array:
        """How probable each member takes each option to be, (n, items, most options): see `beliefs`."""
        width = max(len(item.choices or {}) for item in sheet.items)
        found = np.zeros((self.n, len(sheet.items), width))
        for k, row in enumerate(sheet.answers):
            own = self.beliefs(k, sheet.items, row)
            found[k, :, : own.shape[1]] = own
        return found

    def beliefs(self, k: int, items: Sequence[Item], answers: Sequence[Answer]) -> Array:
        """How probable member k takes each option to be, (items, most options), calibrated on dev; 0 behind the last.

        A member without option scores gives its own choice its accuracy on dev (with one item's worth of chance added,
        as in `log_odds`) and the others equal shares of the rest; an abstention is a uniform distribution.
        """
        sheet = Sheet(items, [self.members[k].name], [answers])
        self.need_choices(sheet)
        scores, temperature = sheet.scores(0), self.temperatures[k]
        if scores is not None and temperature is not None:
            given = calibrated(scores, temperature)
            return np.where(np.isfinite(scores), np.maximum(given, IMPROBABLE), 0.0)
        counts = [len(item.choices or {}) for item in items]
        found, n = np.zeros((len(items), max(counts))), len(self.dev.items)
        for i, (item, count) in enumerate(zip(items, counts, strict=True)):
            (ballot,) = sheet.ballots[i]
            p = (self.accuracies[k] * n + 1 / count) / (n + 1)
            found[i, :count] = 1 / count if ballot is None else (1 - p) / (count - 1)
            if ballot is not None:
                found[i, list(item.choices or {}).index(ballot)] = p
        return found

    def need_choices(self, sheet: Sheet) -> None:
        """Refuse open questions.

        Raises:
            UserError: an item has no choices.
        """
        for item in sheet.items:
            if item.choices is None:
                raise UserError(
                    f"item {item.id}: has no choices, which this strategy needs; use majority, weighted, refine, ..."
                )


__all__ = ["Room", "Verdict", "verdict_of"]
