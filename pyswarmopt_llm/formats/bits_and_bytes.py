"""Formats of bitsandbytes: nf4 (Dettmers et al. 2023, arXiv 2305.14314) and int8 (Dettmers et al. 2022,
arXiv 2208.07339).

transformers packs the matrices of linear layers, except the head. In nf4 it is the default of its
`BitsAndBytesConfig`: blocks of 64 values, whose scales are not rounded again. In int8 each row has a
scale; how activations are rounded at run time is not part of the weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.formats.model_weights import matrices


def linear_layers(name: str, model: Any) -> dict[str, str]:
    """Parameter -> type, which is the format's name.

    Args:
        name: ``nf4`` or ``int8``.
        model: a model, perhaps without values.
    """
    return {each.name: name for each in matrices(model) if each.linear and not each.head}


def rounded(value: Tensor, kind: str) -> Tensor:
    """The values that a type holds for these, (rows, width) float32."""
    from bitsandbytes import functional

    if kind == "int8":
        codes, scales, _ = functional.int8_vectorwise_quant(value.to(torch.float16).contiguous())
        return functional.int8_vectorwise_dequant(codes, scales)
    codes, state = functional.quantize_4bit(value.to(torch.float32).contiguous(), quant_type=kind)
    return functional.dequantize_4bit(codes, state)
