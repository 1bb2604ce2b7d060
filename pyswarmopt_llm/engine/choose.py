"""Chooses a model's passes: planned ones, if they reproduce the model's own logits."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UndefinedModelError, UserError
from pyswarmopt_llm.engine.batching import Batch, TokenPair
from pyswarmopt_llm.engine.passes import Decoder, Passes, attention_windows


def passes_of(model: Any) -> Passes:
    """The forward passes of a model: planned ones, if its architecture supports them and two short
    texts have the same logits alone and in a batch.

    Raises:
        UserError: the model is an encoder.
    """
    counts = _counts_positions(model)
    if counts and attention_windows(model) is not None:
        passes = PlannedPasses(model)
        if _agree(passes):
            return passes
    if _reads_ahead(model):
        kind = model.config.get_text_config().model_type
        raise UserError(
            f"a base of the kind {kind} reads the tokens that it is to predict, as an encoder does; choose "
            'a decoder, or write "is_decoder": true into config.json if it was trained as one'
        )
    from pyswarmopt_llm.engine.plain import PlainPasses

    return PlainPasses(model, counts)


class PlannedPasses(Passes):
    """Forward passes in planned batches, for scoring and writing."""

    def decoder(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, batch_tokens: int
    ) -> Decoder:
        """See `Passes.decoder`."""
        longest = max(map(len, prompts)) + max_new_tokens - 1
        if self.turns_at is not None and longest > self.turns_at:
            from pyswarmopt_llm.engine.plain import PlainPasses

            return PlainPasses(self.model).decoder(prompts, max_new_tokens, batch_tokens)
        from pyswarmopt_llm.engine.generation import PlannedDecoder

        return PlannedDecoder(self, prompts, max_new_tokens, batch_tokens)


# Differences of logits, relative to their spread: between equal passes, and between different
# passes, by rounding. In half precision a single token may be off by its whole spread, half of a
# text's tokens are not: 0.04 to 0.14 where a mask that is ignored makes 0.4 to 5 (SmolLM2-135M).
_SAME = 1e-3
_NEAR = 0.02
_NEAR_IN_HALF = 0.25
# Errors of a model that cannot read the probes, lack of memory included. If it cannot read a user's
# text either, that error says why.
_FAILURES = (RuntimeError, MemoryError, TypeError, ValueError, IndexError, AttributeError)


def _probes(model: Any) -> list[TokenPair]:
    """Two texts with a common start, of ordinary tokens: behind the special tokens and single bytes
    that most vocabularies begin with.
    """
    config = model.config.get_text_config()
    kinds = ("pad_token_id", "bos_token_id", "eos_token_id")
    special = {getattr(config, kind, None) for kind in kinds}
    size = int(model.get_output_embeddings().weight.shape[0])
    start = max(0, min(300, size - 12))
    ids = [token for token in range(start, min(size, start + 12)) if token not in special]
    return [(tuple(ids[:3]), tuple(ids[3:8])), (tuple(ids[:2] + ids[4:]), tuple(ids[1:6]))]


@torch.no_grad()
def _alone(model: Any, pair: TokenPair, **options: Any) -> Tensor:
    """The logits of a text, (T, V) float32, read by the model alone."""
    ids = torch.tensor([[*pair[0], *pair[1]]], device=model.device)
    logits: Tensor = model(input_ids=ids, **options).logits[0]
    return logits.float()


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """The difference between logits, relative to the spread of `b`: a scalar, still on their
    device.
    """
    spread = (b - b.mean(-1, keepdim=True)).norm()
    return (a - b).norm() / spread.clamp(min=torch.finfo(b.dtype).tiny)


def _counts_positions(model: Any) -> bool:
    """Whether default position ids are 0, 1, 2, ...; RoBERTa's start after its padding index."""
    if "position_ids" not in inspect.signature(model.forward).parameters:
        return True
    pair, _ = _probes(model)
    positions = torch.arange(len(pair[0] + pair[1]), device=model.device)[None]
    try:
        given = _alone(model, pair, position_ids=positions)
        own = _alone(model, pair)
    except _FAILURES:
        return True
    return not float(_apart(given, own)) > _SAME


def _reads_ahead(model: Any) -> bool:
    """Whether a later token changes the logits before it."""
    (context, rest), _ = _probes(model)
    try:
        before, after = (
            _alone(model, (context, (*rest[:-1], last)))[:-1] for last in (rest[-1], context[0])
        )
    except _FAILURES:
        return False
    return float(_apart(after, before)) > (_NEAR if _exact(model) else 5 * _NEAR)


def _exact(model: Any) -> bool:
    return bool(model.dtype == torch.float32)


@torch.no_grad()
def _agree(passes: Passes) -> bool:
    """Whether two texts with a common start have the same logits in planned batches as alone."""
    pairs = _probes(passes.model)
    try:
        alone = [_alone(passes.model, pair) for pair in pairs]
        plan = passes.plan(pairs, sum(len(context + rest) for context, rest in pairs))
        prefix = passes.prefix(plan.prefix)
        differences: list[list[Tensor]] = [[] for _ in pairs]
        for batch in plan.batches:
            read = passes.logits(batch, prefix).float()
            for pair, place, logits in _placed(batch, read, pairs):
                differences[pair].append(_apart(logits, alone[pair][place]))
        of_texts = torch.stack(
            [_typical(torch.stack(found), passes.model) for found in differences]
        )
    except UndefinedModelError:  # reported when the model is used
        return True
    except _FAILURES:
        return False
    return not float(of_texts.max()) > (_NEAR if _exact(passes.model) else _NEAR_IN_HALF)


def _typical(differences: Tensor, model: Any) -> Tensor:
    """The difference of a text's tokens, a scalar: the largest, or in half precision the median."""
    return differences.max() if _exact(model) else differences.median()


def _placed(
    batch: Batch, logits: Tensor, pairs: Sequence[TokenPair]
) -> Iterator[tuple[int, int, Tensor]]:
    """Pair, place in its text, and logits, for all predicted tokens."""
    targets = zip(batch.target_head.tolist(), batch.target_pair.tolist(), strict=True)
    places = [len(context) - 1 for context, _ in pairs]
    for head, pair in targets:
        yield pair, places[pair], logits[head]
        places[pair] += 1
