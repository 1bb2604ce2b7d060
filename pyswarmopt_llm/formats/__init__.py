"""Formats of weights in a file that is shipped: what a merged model becomes in four, five or eight bits.

Rounding a merged model may erase an adapter's change, which is often smaller than half a step of the
format. The libraries that the formats come from do the rounding: package `gguf` (llama.cpp's types with
blocks of 32), bitsandbytes, and llama.cpp itself for K-quants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.options import FORMATS
from pyswarmopt_llm.experts.pretrained import BITSANDBYTES, quiet_bitsandbytes
from pyswarmopt_llm.formats import bits_and_bytes, gguf_layout, gguf_types


@dataclass(frozen=True)
class Format:
    """A format of weights.

    Attributes:
        name: as given to `quantize`.
        package: package that rounds.
        layout: which weights of a model the format changes: parameter name -> type that holds it. The
            model may be without values (`experts.base.empty_model`).
        rounded: a value, of any float dtype, and the name of a type -> the values that the type holds,
            float32.

    Example:
        >>> import torch
        >>> find_format("q4_0").rounded(torch.linspace(-8, 7, 32)[None], "Q4_0")[0, :3].tolist()
        [-8.0, -8.0, -7.0]
    """

    name: str
    package: str
    layout: Callable[[Any], dict[str, str]]
    rounded: Callable[[Tensor, str], Tensor]


_BLOCKS = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0")
_BY_BITSANDBYTES = ("nf4", "int8")


def find_format(name: str) -> Format:
    """The format of this name.

    Raises:
        UserError: there is no such format, or the package that rounds is not installed.

    Example:
        >>> find_format("q9")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.InvalidOption: quantize q9 is unknown; use one of: q4_0, q4_1, ...
    """
    if name in _BLOCKS:
        known = Format(name, "gguf", partial(gguf_layout.blocks, name), gguf_types.rounded)
    elif name in _BY_BITSANDBYTES:
        layout = partial(bits_and_bytes.linear_layers, name)
        known = Format(name, BITSANDBYTES, layout, bits_and_bytes.rounded)
    elif name == "q4_k_m":
        known = Format(name, gguf_types.LLAMA_CPP, gguf_layout.q4_k_m, gguf_types.rounded)
    else:
        raise InvalidOption("quantize", name, f"is unknown; use one of: {', '.join(FORMATS)}")
    need_extra(known.package, f"`quantize` {name}")
    if known.package == BITSANDBYTES:
        quiet_bitsandbytes()
    return known
