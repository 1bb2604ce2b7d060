"""Chooses a model's passes: planned ones, if they reproduce the model's own logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UndefinedModelError, UserError
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.engine.passes import Passes

# Differences of logits, relative to their spread, by rounding. In half precision a single token may
# be off by its whole spread, half of a text's tokens are not: 0.04 to 0.14 where a mask that is
# ignored makes 0.4 to 5 (SmolLM2-135M).
_NEAR = 0.02
_NEAR_IN_HALF = 0.25
# Errors of a model that cannot read the probes, lack of memory included. If it cannot read a user's
# text either, that error says why.
_FAILURES = (RuntimeError, MemoryError, TypeError, ValueError, IndexError, AttributeError)


@torch.no_grad()
def passes_of(model: Any) -> Passes:
    """The forward passes of a model: planned ones, if its architecture supports them and two short
    texts have the same logits alone and in a batch.

    Raises:
        UserError: the model is an encoder.
    """
    passes = Passes(model)
    try:
        if passes.windows and _agree(passes):
            return passes
        if _reads_ahead(model):
            kind = model.config.get_text_config().model_type
            raise UserError(
                f"a {kind} model attends to the tokens it should predict, like an encoder; use a "
                'decoder, or set "is_decoder": true in config.json if it was trained as one'
            )
    except UndefinedModelError:  # reported when the model is used
        return passes
    except _FAILURES:
        pass
    from pyswarmopt_llm.engine.plain import PlainPasses

    return PlainPasses(model)


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


def _alone(model: Any, ids: Sequence[int]) -> Tensor:
    """The logits of a text, (T, V) float32, read by the model alone."""
    return model(input_ids=torch.tensor([ids], device=model.device)).logits[0].float()


def _agree(passes: Passes) -> bool:
    """Whether two texts with a common start have the same logits in planned batches as alone."""
    pairs = _probes(passes.model)
    plan = passes.plan(pairs, sum(len(context + rest) for context, rest in pairs))
    prefix = passes.prefix(plan.prefix)
    for batch in plan.batches:
        logits = passes.logits(batch, prefix)
        for pair in batch.pairs.tolist():
            context, rest = pairs[pair]
            planned = logits[batch.target_head[batch.target_pair == pair].to(logits.device)]
            alone = _alone(passes.model, context + rest)[len(context) - 1 :]
            if not _near(planned.float(), alone[: len(planned)], passes.model.dtype):
                return False
    return True


def _reads_ahead(model: Any) -> bool:
    """Whether a later token changes the logits before it."""
    (context, rest), _ = _probes(model)
    before = _alone(model, context + rest)[:-1]
    after = _alone(model, (*context, *rest[:-1], context[0]))[:-1]
    most = _NEAR
    if model.dtype != torch.float32:
        most *= 5
    return float(_apart(after, before)) > most


def _near(a: Tensor, b: Tensor, dtype: torch.dtype) -> bool:
    """Whether logits, (T, V), differ by rounding only; true of nan."""
    apart = _apart(a, b, dim=-1)
    if dtype == torch.float32:
        return not float(apart.max()) > _NEAR
    return not float(apart.median()) > _NEAR_IN_HALF


def _apart(a: Tensor, b: Tensor, dim: int | None = None) -> Tensor:
    """The difference of logits, (T, V), relative to their spread: of the text, or of each token."""
    spread = (b - b.mean(-1, keepdim=True)).norm(dim=dim)
    return (a - b).norm(dim=dim) / spread.clamp(min=torch.finfo(b.dtype).tiny)
