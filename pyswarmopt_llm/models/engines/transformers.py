"""The engine on Hugging Face transformers: one resident base, candidates put into it, batches
without waste.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import NoRoomError
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.models.engines.attention import PrefixCache
from pyswarmopt_llm.models.engines.base import BaseEngine
from pyswarmopt_llm.models.engines.batching import (
    KEYS_PER_TOKEN,
    Batch,
    Plan,
    TokenPair,
    build_plan,
    encode_pair,
    make_batch,
)
from pyswarmopt_llm.models.engines.hardware import out_of_memory
from pyswarmopt_llm.models.engines.mixing import Mixing, PatchedWeights
from pyswarmopt_llm.models.engines.packed_attention import use_packed_attention
from pyswarmopt_llm.models.engines.passes import Passes, target_logprobs
from pyswarmopt_llm.models.engines.tokenizing import PromptTokenizer, window_of

if TYPE_CHECKING:
    from pyswarmopt_llm.models.engines.generation.decoder import Decoder
    from pyswarmopt_llm.models.engines.generation.write import Draw

log = logging.getLogger(__name__)

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


class TransformersEngine(PromptTokenizer, BaseEngine):
    """A causal language model with candidates patched onto it; implements `interfaces.Engine`.

    Args:
        model: a transformers causal LM in eval mode, on its device.
        tokenizer: the model's tokenizer, with a pad token.
        batch_tokens: padded tokens per forward pass; halved when memory runs out.
        mixing: puts candidates into the model, and takes them out exactly; default:
            `PatchedWeights`, which changes its weights in place.

    Raises:
        UserError: the architecture does not support planned batches (see `attention_windows`).

    Attributes:
        tokens_fed: tokens sent through the model so far, padding excluded.
    """

    def __init__(
        self, model: Any, tokenizer: Any, batch_tokens: int = 1024, mixing: Mixing | None = None
    ) -> None:
        super().__init__(tokenizer, window_of(model.config))
        self._model = model
        self.batch_tokens = batch_tokens
        self.tokens_fed = 0
        self._mixing = mixing or PatchedWeights(model)
        self._candidate = self._wanted = Patch()
        self._merged: Patch | None = self._candidate
        self._plans: OrderedDict[tuple[tuple[str, str], ...], Plan] = OrderedDict()
        self._short_of_memory = False
        self._passes = Passes(model)
        use_packed_attention(model)
        # A screened search scores a different subset of the same pairs every time.
        self._encoded = lru_cache(_ENCODED)(partial(encode_pair, self.encode))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the model's weights."""
        return self._model.dtype

    @property
    def parameter_names(self) -> tuple[str, ...]:  # type: ignore[override]  # read-only here
        """See `interfaces.Engine`."""
        return self._mixing.parameter_names

    @property
    def model(self) -> Any:
        """The model with the candidate's weights."""
        if self._merged is not self._wanted:
            self._merged = None  # until an interrupted merge is repeated
            self._mixing.load(self._wanted)
            self._merged = self._wanted
        return self._model

    @property
    def passes(self) -> Passes:
        """Forward passes of the model with the candidate's weights."""
        _ = self.model
        return self._passes

    def load(self, patch: Patch) -> None:
        """Make the resident model ``base + patch``; see `Mixing.load`.

        A patch with `held_out` parts is merged on use, since most of its items are scored with
        other weights.
        """
        self._merged = None
        self._candidate = self._wanted = patch
        if not patch.held_out:
            _ = self.model

    # Likelihoods

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of P(continuation | context) for each pair, summed over the continuation's
        tokens.

        Contexts shared by several pairs and the common prefix of all contexts are computed once.
        """
        totals: dict[int, float] = {}
        for indices, values in self.loglikelihood_by_batch(pairs):
            totals |= zip(indices, values, strict=True)
        return [totals[i] for i in range(len(pairs))]

    def loglikelihood_by_batch(
        self, pairs: Sequence[tuple[str, str]], only: Collection[int] | None = None
    ) -> Iterator[tuple[tuple[int, ...], list[float]]]:
        """`loglikelihood`, yielded batch by batch.

        Args:
            pairs: (context, continuation).
            only: run only the batches with any of these pairs; default: all.

        Yields:
            The indices of the pairs of a batch, and their values.
        """
        if not self._candidate.held_out:
            yield from self._scored_by_batch(pairs, only)
            return
        try:
            for patch, places in _shares(self._candidate, [context for context, _ in pairs]):
                self._wanted = patch
                share = [pairs[i] for i in places]
                within = None if only is None else {k for k, i in enumerate(places) if i in only}
                for indices, values in self._scored_by_batch(share, within):
                    yield tuple(places[k] for k in indices), values
        finally:
            self._wanted = self._candidate

    def _scored_by_batch(
        self, pairs: Sequence[tuple[str, str]], only: Collection[int] | None
    ) -> Iterator[tuple[tuple[int, ...], list[float]]]:
        """`loglikelihood_by_batch` with the weights as they are."""
        plan = self._likelihood_plan(pairs)
        prefix = cache(lambda: self.prefix(plan))
        for batch in plan.batches:
            indices = tuple(batch.pairs.tolist())
            if only is None or not set(only).isdisjoint(indices):
                totals = torch.zeros(plan.n_pairs, dtype=torch.float64)
                for part, logits in self._forward(batch, plan, prefix):
                    totals.index_add_(0, part.target_pair, target_logprobs(part, logits))
                yield indices, totals[batch.pairs].tolist()

    def likelihood_batches(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[int, ...]]:
        """The pairs of each forward pass of `loglikelihood`; pairs with the same context share a
        batch.
        """
        return [tuple(batch.pairs.tolist()) for batch in self._likelihood_plan(pairs).batches]

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

    # Text

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Greedy continuations, without special tokens; finished sequences leave the batch."""
        return self._written(prompts, max_new_tokens)

    def sample(self, prompts: Sequence[str], draw: Draw, max_new_tokens: int = 64) -> list[str]:
        """Sampled continuations, one per prompt; a text depends on its seed, not on the other
        prompts.
        """
        return self._written(prompts, max_new_tokens, draw)

    def generation_batches(
        self, prompts: Sequence[str], max_new_tokens: int = 64
    ) -> list[tuple[int, ...]]:
        """The prompts of each batch of `generate`, of similar length; a batch passed alone stays
        one batch.
        """
        return self._generation_batches(
            self.encode_prompts(prompts, max_new_tokens), max_new_tokens
        )

    def _generation_batches(
        self, encoded: Sequence[tuple[int, ...]], max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        from pyswarmopt_llm.models.engines.generation.write import batches_of_similar_length

        lengths = [len(ids) + max_new_tokens for ids in encoded]
        return batches_of_similar_length(lengths, KEYS_PER_TOKEN * self.batch_tokens)

    def _written(
        self, prompts: Sequence[str], max_new_tokens: int, draw: Draw | None = None
    ) -> list[str]:
        """Continuations, greedy or sampled."""
        from pyswarmopt_llm.models.engines.generation.few_rows import rearranged_weights

        encoded = self.encode_prompts(prompts, max_new_tokens)
        texts: dict[int, str] = {}
        try:
            for patch, places in _shares(self._candidate, prompts):
                self._wanted = patch
                batches = self._generation_batches([encoded[i] for i in places], max_new_tokens)
                with rearranged_weights(self.model, max_new_tokens):
                    for batch in batches:
                        chosen = [places[k] for k in batch]
                        rows = None if draw is None else draw.rows(chosen)
                        written = self._write([encoded[i] for i in chosen], max_new_tokens, rows)
                        texts |= zip(chosen, written, strict=True)
        finally:
            self._wanted = self._candidate
        return [texts[i] for i in range(len(prompts))]

    def _write(
        self, prompts: Sequence[tuple[int, ...]], max_new_tokens: int, draw: Draw | None = None
    ) -> list[str]:
        """Continuations of a batch; it is halved when memory runs out."""
        from pyswarmopt_llm.models.engines.generation.write import greedy, sampled

        decoder = self.decoder(prompts, max_new_tokens)
        try:
            if draw is None:
                replies = greedy(decoder, len(prompts), self.stops(), max_new_tokens)
            else:
                replies = sampled(decoder, self.stops(), max_new_tokens, draw)
        except RuntimeError as error:
            self._smaller_batches(error, len(prompts))
        else:
            self.tokens_fed += decoder.tokens_fed
            return [self.tokenizer.decode(ids, skip_special_tokens=True) for ids in replies]
        half = len(prompts) // 2
        texts = []
        for part in (range(half), range(half, len(prompts))):
            rows = None if draw is None else draw.rows(part)
            texts += self._write([prompts[i] for i in part], max_new_tokens, rows)
        return texts

    def decoder(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Decoder:
        """A decoder of prompts, given as token ids, by the model with the candidate's weights."""
        from pyswarmopt_llm.models.engines.generation.decoder import Decoder

        return Decoder(self.passes, prompts, max_new_tokens, self.batch_tokens, self.pad())

    # Inside

    def _likelihood_plan(self, pairs: Sequence[tuple[str, str]]) -> Plan:
        if any(not continuation for _, continuation in pairs):
            raise ValueError("a continuation is empty: there is nothing to score")
        return self._plan(tuple(pairs))

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
        self._plans[pairs] = build_plan(encoded, self.batch_tokens, self.pad())
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

    def _smaller_batches(self, error: RuntimeError, rows: int) -> None:
        """Handle an error of a batch: if memory ran out, halve later batches and warn once; else
        raise it.
        """
        if not out_of_memory(error):
            raise error
        if rows == 1:
            raise NoRoomError(
                "out of memory with a single item in the batch; use a smaller base or shorter items"
            )
        if not self._short_of_memory:
            log.warning(
                "out of memory with %d tokens per batch: continuing with smaller batches",
                self.batch_tokens,
            )
            self._short_of_memory = True
            self.batch_tokens = max(self.batch_tokens // 2, 1)
            self._plans.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def prefix(self, plan: Plan) -> PrefixCache | None:
        """Keys and values of the common prefix of all contexts, with their graph where gradients
        are enabled.
        """
        self.tokens_fed += len(plan.prefix)
        return self.passes.prefix(plan.prefix)

    def stops(self) -> frozenset[int]:
        """Tokens that end a turn: the tokenizer's and those of the model's generation config."""
        named = self.model.generation_config.eos_token_id
        listed = named if isinstance(named, list) else [named]
        return frozenset(int(i) for i in [self.tokenizer.eos_token_id, *listed] if i is not None)


def on_transformers(engine: Engine, purpose: str) -> TransformersEngine:
    """The engine, if it is the one on transformers.

    Raises:
        TypeError: it is another one; names the purpose.
    """
    if not isinstance(engine, TransformersEngine):
        raise TypeError(f"{purpose} by the engine on transformers")
    return engine


def _shares(patch: Patch, contexts: Sequence[str]) -> Iterator[tuple[Patch, list[int]]]:
    """Which weights are for which of the contexts; those that nothing was trained on have the
    candidate's own.
    """
    rest = list(range(len(contexts)))
    for held in patch.held_out:
        there = [i for i in rest if contexts[i] in held.contexts]
        rest = [i for i in rest if contexts[i] not in held.contexts]
        if there:
            yield held.patch, there
    if rest:
        yield patch, rest
