"""How much rounding to 4 bits changes the weights that an adapter changes.

Where it is many times the adapter's change, the adapter is right on these codes only: merged into
the plain weights, or the sum rounded to codes again, it is another model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.experts.truncate import squared_norm


def quantisation_error(model: Any, base: BaseModel, changes: Mapping[str, LowRank]) -> float | None:
    """``|W - dequant(W4)| / |B A|``, Frobenius norms over the 4-bit layers that are changed.

    Codes of a base that was packed before have no W: then it is `expected_error`. None: no 4-bit
    layer is changed.

    Args:
        model: with layers of bitsandbytes.
        base: that it is loaded from.
        changes: of an adapter, by parameter.
    """
    from bitsandbytes.functional import dequantize_4bit

    plain = StoredTensors(base.weight_files) if base.scheme else {}
    lost = changed = 0.0
    for name, change in changes.items():
        weight = model.get_parameter(name)
        if (state := getattr(weight, "quant_state", None)) is None:
            continue
        if name in plain:
            rounded = dequantize_4bit(weight.data, state).to("cpu", torch.float32)
            lost += float((plain[name].float() - rounded).square().sum(dtype=torch.float64))
        else:
            lost += expected_error(weight.data, state)
        changed += float(squared_norm(change.b, change.a))
    return math.sqrt(lost / changed) if changed else None


def expected_error(codes: Tensor, state: Any) -> float:
    """The squared Frobenius norm that rounding to these codes is expected to have left out.

    A weight is taken to be uniform between the middles to the neighbours of its level (Bennett
    1948): an error of variance (upper^3 + lower^3) / (3 (upper + lower)), times absmax^2.

    Args:
        codes: two to a byte, the first one in its upper half.
        state: of bitsandbytes, with levels, block size and absmax of each block.
    """
    from bitsandbytes.functional import dequantize_blockwise

    absmax = state.absmax
    if state.nested:
        absmax = dequantize_blockwise(absmax, state.state2) + state.offset
    levels, order = state.code.double().cpu().sort()
    gaps = levels.diff() / 2
    upper, lower = torch.cat([gaps, gaps[-1:] * 0]), torch.cat([gaps[:1] * 0, gaps])
    variance = torch.empty_like(levels)
    variance[order] = (upper**3 + lower**3) / (3 * (upper + lower))
    bytes_ = codes.flatten().cpu()
    error = variance[torch.stack([bytes_ >> 4, bytes_ & 15], dim=1).flatten().long()]
    blocks = error[: math.prod(state.shape)].split(state.blocksize)
    sums = torch.stack([block.sum() for block in blocks])
    return float((sums * absmax.flatten().cpu().double().square()).sum())
