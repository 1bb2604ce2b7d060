"""Which type holds which tensor in llama.cpp's formats, as `llama-quantize` decides without an importance
matrix (src/llama-quant.cpp) for models without experts.

Norms and biases stay as they are. The head, or embeddings tied to it, have six bits, or eight where
rows are no multiple of 256. Rows that are no multiple of 32 are float16. One rule is left out: llama.cpp
gives the values of a 70B Llama more bits in Q4_K_M.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyswarmopt_llm.formats.gguf_types import BLOCK, HALF, writable
from pyswarmopt_llm.formats.model_weights import Matrix, matrices

SUPER = 256  # values of a row in a block of K-quants
# What K-quants become where rows are no multiple of 256.
_NARROW = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
_FINER_IN_SOME = ("v_proj.weight", "down_proj.weight")
_FUSED = ("qkv_proj.weight", "query_key_value.weight")


def blocks(name: str, model: Any) -> dict[str, str]:
    """Parameter -> type, in a format with one type for all matrices but the head.

    A head in Q6_K is left as it is unless llama.cpp is installed, which alone writes it.

    Args:
        name: the format, such as ``q4_1``.
        model: a model, perhaps without values.
    """
    usual = name.upper()
    found = {each.name: kind_of(each, usual, "Q6_K") for each in matrices(model)}
    return {weight: kind for weight, kind in found.items() if writable(kind)}


def q4_k_m(model: Any) -> dict[str, str]:
    """Parameter -> type in Q4_K_M."""
    found = matrices(model)
    return {each.name: kind_of(each, _mixed(each, found), "Q6_K") for each in found}


def kind_of(matrix: Matrix, usual: str, head: str) -> str:
    """The type that holds a matrix.

    Args:
        matrix: a matrix.
        usual: its type, if it is not the head and its rows are whole blocks.
        head: the head's, unless the usual one has eight bits.

    Example:
        >>> kind_of(Matrix("lm_head.weight", 576, True, True), "Q4_1", "Q6_K")
        'Q8_0'
    """
    kind = head if matrix.head and usual != "Q8_0" else usual
    if matrix.width % SUPER:
        kind = _NARROW.get(kind, kind)
    return HALF if matrix.width % BLOCK else kind


def _mixed(matrix: Matrix, every: Sequence[Matrix]) -> str:
    """The type of a matrix in Q4_K_M, whose values and down projections are finer in some layers."""
    if matrix.name.endswith(_FUSED):
        return "Q5_K"
    for ending in filter(matrix.name.endswith, _FINER_IN_SOME):
        layers = [other.name for other in every if other.name.endswith(ending)]
        if more_bits(layers.index(matrix.name), len(layers)):
            return "Q6_K"
    return "Q4_K"


def more_bits(layer: int, layers: int) -> bool:
    """Whether Q4_K_M is finer in a layer: the first and last eighth, and every third between.

    Example:
        >>> [layer for layer in range(16) if more_bits(layer, 16)]
        [0, 1, 4, 7, 10, 13, 14, 15]
    """
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
