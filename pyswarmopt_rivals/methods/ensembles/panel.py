"""The experts on one resident base, and the interface of ensembles of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_groups.members.local import as_users_words
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_rivals.methods.trial import Trial

# held at once while distributions over the vocabulary are fused: half a GiB of float32
_FLOATS = 2**27

Pairs = Sequence[tuple[str, str]]  # (context, continuation)


class Panel:
    """The experts on one resident base, evaluated in turn on the same pairs; some expert is left
    loaded.

    `responses` is a file that caches the experts' responses as members of a group; None: in memory.
    """

    def __init__(
        self,
        engine: TransformersEngine,
        experts: Mapping[str, Patch],
        responses: Path | None = None,
    ) -> None:
        self.engine, self.experts, self.responses = engine, dict(experts), responses
        self._patches = list(experts.values())
        self._budget: Trial | None = None
        self._answers: dict[Accuracy, list[list[str]]] = {}
        self._options: dict[tuple[Accuracy, int], list[dict[str, float]]] = {}
        self._logprobs: dict[tuple[tuple[str, str], ...], list[Tensor]] = {}

    @property
    def n(self) -> int:
        """Number of experts."""
        return len(self._patches)

    def with_budget(self, budget: Trial) -> Panel:
        """The same panel with its caches, for an ensemble that pays for the dev items that it
        evaluates.
        """
        panel = copy.copy(self)
        panel._budget = budget
        return panel

    def need_budget(self) -> Trial:
        """The budget of an ensemble that cannot do without."""
        if self._budget is None:
            raise ValueError(
                "this ensemble pays for the dev items that it evaluates: give the panel a budget"
            )
        return self._budget

    def option_scores(self, questions: Accuracy, expert: int) -> list[dict[str, float]]:
        """One expert's `Accuracy.option_scores`."""
        if (questions, expert) not in self._options:
            self.engine.load(self._patches[expert])
            self._options[questions, expert] = questions.option_scores(self.engine)
        return self._options[questions, expert]

    def answers(self, questions: Accuracy) -> list[list[str]]:
        """Each expert's answers to the items: n lists."""
        if questions not in self._answers:
            self._answers[questions] = [list(questions(self.engine).answers) for _ in self._each()]
        return self._answers[questions]

    def token_logprobs(self, pairs: Pairs) -> list[Tensor]:
        """Per pair, each expert's log-probability of each of its tokens, (n, T)."""
        key = tuple(pairs)
        if key not in self._logprobs:
            scored = [self.engine.score_tokens(pairs) for _ in self._each()]
            by_pair = zip(*scored, strict=True)
            self._logprobs[key] = [
                torch.stack([s.logprobs.float() for s in row]) for row in by_pair
            ]
        return self._logprobs[key]

    def distributions(self, pairs: Pairs) -> Iterator[tuple[Tensor, Tensor]]:
        """Per pair, the experts' log-distributions along its tokens, (n, T, V), and the tokens,
        (T,).

        Pairs are evaluated in groups that fit into memory; an expert is loaded once per group.
        """
        vocabulary = int(self.engine.model.get_output_embeddings().weight.shape[0])
        lengths = [int(row.shape[1]) for row in self.token_logprobs(pairs)]
        start = 0
        while start < len(pairs):
            stop, held = start, 0
            while stop < len(pairs) and (
                stop == start or held + lengths[stop] <= _FLOATS // (self.n * vocabulary)
            ):
                held, stop = held + lengths[stop], stop + 1
            scored = [self.engine.distributions(pairs[start:stop]) for _ in self._each()]
            for rows in zip(*scored, strict=True):
                yield torch.stack([logprobs for logprobs, _ in rows]), rows[0][1]
            start = stop

    def questions(self, contexts: Sequence[str]) -> list[tuple[str, str]]:
        """The user turns of these contexts; see
        `pyswarmopt_groups.members.local.as_users_words`.
        """
        return as_users_words(self.engine, contexts)

    def _each(self) -> Iterator[Patch]:
        for patch in self._patches:
            self.engine.load(patch)
            yield patch


class Answerer:
    """Answers items; the result of `Ensemble.fit`."""

    models: int | None = None  # run on an item; None: all experts
    # of the latest answers; None: each of the models reads the item once
    tokens_per_item: float | None = None

    def answers(self, questions: Accuracy) -> list[str]:
        """The chosen letter of each item, or a text (``generate``)."""
        raise NotImplementedError


class Likelihoods(Answerer):
    """Has a log-likelihood for every option (as `Engine.loglikelihood`), and so chooses as a single
    model does.
    """

    def __init__(self, loglikelihood: Callable[[Pairs], list[float]]) -> None:
        self.loglikelihood = loglikelihood

    def answers(self, questions: Accuracy) -> list[str]:
        refuse_open(questions)
        return list(questions(self).answers)  # type: ignore[arg-type]


def refuse_open(questions: Accuracy) -> None:
    """Raise `UserError` for items that are scored by what is generated."""
    if questions.scoring == "generate":
        raise UserError(
            "combining the experts' probabilities needs items with choices; remove the method"
        )


def contexts_of(pairs: Pairs) -> list[str]:
    """The different contexts, in order."""
    return list(dict.fromkeys(context for context, _ in pairs))
