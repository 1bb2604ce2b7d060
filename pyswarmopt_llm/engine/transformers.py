"""The engine on Hugging Face transformers: one resident base, candidates put into it, batches
without waste.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.engine.attention import PrefixCache
from pyswarmopt_llm.engine.batching import (
    Batch,
    Plan,
    TokenPair,
    encode_pair,
    make_batch,
)
from pyswarmopt_llm.engine.generation.writer import ReplyWriter
from pyswarmopt_llm.engine.mixing import Mixing
from pyswarmopt_llm.engine.passes import target_logprobs

# Plans to keep: dev and test of several tasks recur for every candidate, a single prompt does not.
_PLANS = 32
_ENCODED = 20_000  # tokenised pairs to keep


@dataclass(frozen=True)
class TokenScores:
    """A continuation token by token.

    Attributes:
        tokens: their T ids.
        logprobs: natural log of P(token | all before it), (T,) float64.
    """

    tokens: tuple[int, ...]
    logprobs: Tensor


class TransformersEngine(ReplyWriter):
    """Scores texts and writes replies; implements `interfaces.Engine`.

    Arguments, attributes and errors are those of `ResidentModel`.
    """

    def __init__(
        self, model: Any, tokenizer: Any, batch_tokens: int = 1024, mixing: Mixing | None = None
    ) -> None:
        super().__init__(model, tokenizer, batch_tokens, mixing)
        self._plans: OrderedDict[tuple[tuple[str, str], ...], Plan] = OrderedDict()
        # A race scores a different subset of the same pairs every time.
        self._encoded = lru_cache(_ENCODED)(partial(encode_pair, self.encode))

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of P(continuation | context) for each pair, summed over the continuation's
        tokens.

        Contexts shared by several pairs and the common prefix of all contexts are computed once.
        """
        if any(not continuation for _, continuation in pairs):
            raise ValueError("a continuation is empty: there is nothing to score")
        totals, done = torch.zeros(len(pairs), dtype=torch.float64), 0
        for batch, logits in self._forward_all(pairs):
            totals.index_add_(0, batch.target_pair, target_logprobs(batch, logits))
            done += len(batch.pairs)
            self._tell(done, len(pairs))
        return totals.tolist()

    def next_token_logprobs(self, prompts: Sequence[str]) -> Tensor:
        """Natural-log distribution of the next token after each prompt: (N, V) float32 on the
        CPU.
        """
        logprobs = torch.empty(len(prompts), self.model.get_output_embeddings().weight.shape[0])
        for batch, logits in self._forward_all([(prompt, "") for prompt in prompts]):
            logprobs[batch.target_pair] = logits[batch.target_head].float().log_softmax(-1).cpu()
        return logprobs

    def score_tokens(self, pairs: Sequence[tuple[str, str]]) -> tuple[TokenScores, ...]:
        """The terms of `loglikelihood`: for each pair the continuation's tokens and their
        log-probabilities.
        """
        if not pairs:
            return ()
        scored = [
            (batch, target_logprobs(batch, logits)) for batch, logits in self._forward_all(pairs)
        ]
        owner = torch.cat([batch.target_pair for batch, _ in scored])
        by_pair = owner.argsort(stable=True)  # stable: keeps the order of a pair's tokens
        counts = owner.bincount(minlength=len(pairs)).tolist()
        tokens = torch.cat([batch.target_token for batch, _ in scored])[by_pair].split(counts)
        logprobs = torch.cat([values for _, values in scored])[by_pair].split(counts)
        return tuple(
            TokenScores(tuple(t.tolist()), v) for t, v in zip(tokens, logprobs, strict=True)
        )

    def distributions(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Tensor, Tensor]]:
        """For each pair the natural-log distributions along its continuation, (T, V) float32, and
        its tokens, (T,).

        On the CPU; memory grows with the vocabulary, so pass few pairs at a time.
        """
        result = [(torch.empty(0), torch.empty(0, dtype=torch.int64))] * len(pairs)
        for batch, logits in self._forward_all(pairs):
            logprobs = logits.float().log_softmax(-1).cpu()
            for pair in batch.target_pair.unique().tolist():
                here = batch.target_pair == pair
                result[pair] = logprobs[batch.target_head[here]], batch.target_token[here]
        return result

    # Inside

    def encode_continuation(self, context: str, continuation: str) -> TokenPair:
        """Token ids of both; see `encode_pair`."""
        encoded = self._encoded(context, continuation)
        self.check_length(sum(map(len, encoded)), context)
        return encoded

    def _plan(self, pairs: tuple[tuple[str, str], ...]) -> Plan:
        """The plan of these pairs, cached, since they recur for every candidate."""
        if pairs in self._plans:
            self._plans.move_to_end(pairs)
            return self._plans[pairs]
        encoded: list[TokenPair] = []
        for context, continuation in pairs:
            if continuation:
                encoded.append(self.encode_continuation(context, continuation))
            else:
                encoded.append((self.encode_prompt(context), ()))
                self.check_length(len(encoded[-1][0]), context)
        self._plans[pairs] = self._passes.plan(encoded, self.batch_tokens, self.pad())
        if len(self._plans) > _PLANS:
            self._plans.popitem(last=False)
        return self._plans[pairs]

    def _forward_all(self, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[Batch, Tensor]]:
        """All batches of these pairs, each with the logits at its heads."""
        plan = self._plan(tuple(pairs))
        prefix = cache(lambda: self.prefix(plan))
        for batch in plan.batches:
            yield from self._forward(batch, plan, prefix)

    def _forward(
        self, batch: Batch, plan: Plan, prefix: Callable[[], PrefixCache | None]
    ) -> Iterator[tuple[Batch, Tensor]]:
        """The logits at a batch's heads, (M, V), in the model's dtype; batches are halved when
        memory runs out.
        """
        try:
            with torch.inference_mode():
                logits = self.passes.logits(batch, len(plan.prefix), prefix())
        except RuntimeError as error:
            self._smaller_batches(error, len(batch.rows))
        else:
            self.tokens_fed += batch.n_tokens
            yield batch, logits
            return
        half = len(batch.rows) // 2
        for rows in (batch.rows[:half], batch.rows[half:]):
            yield from self._forward(make_batch(rows, len(plan.prefix), self.pad()), plan, prefix)

    def prefix(self, plan: Plan) -> PrefixCache | None:
        """Keys and values of the common prefix of all contexts, with their graph where gradients
        are enabled.
        """
        self.tokens_fed += len(plan.prefix)
        return self.passes.prefix(plan.prefix)

    def _smaller_batches(self, error: RuntimeError, rows: int) -> None:
        super()._smaller_batches(error, rows)
        self._plans.clear()


def on_transformers(engine: Engine, purpose: str) -> TransformersEngine:
    """The engine, if it is the one on transformers.

    Raises:
        TypeError: it is another one; names the purpose.
    """
    if not isinstance(engine, TransformersEngine):
        raise TypeError(f"{purpose} by the engine on transformers")
    return engine
