"""The experts on one loaded base."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.by_token import distributions, score_tokens
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.tokens.mixing import OptionTable

# most numbers held while fusing distributions over the vocabulary: half a GiB of float32
_FLOATS = 2**27

Pairs = Sequence[tuple[str, str]]  # (context, continuation)
T = TypeVar("T")


class Panel:
    """The experts on one loaded base, evaluated in turn on the same pairs; an expert is left
    loaded.

    Args:
        engine: the base.
        experts: how each expert differs from it.
    """

    def __init__(self, engine: TransformersEngine, experts: Sequence[Patch]) -> None:
        self.engine = engine
        self.experts = experts
        self._known: dict[Hashable, Any] = {}

    @property
    def n(self) -> int:
        """Number of experts."""
        return len(self.experts)

    def option_scores(self, questions: Accuracy, expert: int) -> list[dict[str, float]]:
        """An expert's `Accuracy.option_scores`."""

        def compute() -> list[dict[str, float]]:
            self.engine.load(self.experts[expert])
            return questions.option_scores(self.engine)

        return self._once((questions, expert), compute)

    def answers(self, questions: Accuracy) -> list[list[str]]:
        """Each expert's answers to the items: n lists."""
        return self._once(
            questions, lambda: [list(questions(self.engine).answers) for _ in self._each()]
        )

    def token_logprobs(self, pairs: Pairs) -> list[Tensor]:
        """For each pair, each expert's log-probabilities of its tokens, (n, T)."""

        def compute() -> list[Tensor]:
            scored = [score_tokens(self.engine, pairs) for _ in self._each()]
            rows = zip(*scored, strict=True)
            return [torch.stack([logprobs.float() for logprobs, _ in row]) for row in rows]

        return self._once(tuple(pairs), compute)

    def table(self, pairs: Pairs) -> OptionTable:
        """The same as a table, in which experts can be mixed by token."""

        def compute() -> OptionTable:
            rows = self.token_logprobs(pairs)
            owner = torch.tensor([k for k, row in enumerate(rows) for _ in range(row.shape[1])])
            return OptionTable(torch.cat([row.double().T for row in rows]), owner, len(rows))

        return self._once(("table", *pairs), compute)

    def distributions(self, pairs: Pairs) -> Iterator[tuple[Tensor, Tensor]]:
        """For each pair, the experts' log-distributions along its tokens, (n, T, V), and the
        tokens, (T,).

        Pairs are evaluated in groups that fit into memory; each expert is loaded once per group.
        """
        vocabulary = int(self.engine.model.get_output_embeddings().weight.shape[0])
        longest = max(row.shape[1] for row in self.token_logprobs(pairs))
        size = max(1, _FLOATS // (self.n * vocabulary * longest))
        for start in range(0, len(pairs), size):
            group = pairs[start : start + size]
            scored = [distributions(self.engine, group) for _ in self._each()]
            for rows in zip(*scored, strict=True):
                yield torch.stack([logprobs for logprobs, _ in rows]), rows[0][1]

    def _each(self) -> Iterator[None]:
        """Load the experts in turn."""
        for patch in self.experts:
            self.engine.load(patch)
            yield

    def _once(self, what: Hashable, compute: Callable[[], T]) -> T:
        if what not in self._known:
            self._known[what] = compute()
        known: T = self._known[what]
        return known
