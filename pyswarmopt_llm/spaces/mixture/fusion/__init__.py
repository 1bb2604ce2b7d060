"""Ways to write one text with members of different vocabularies, token by token: a file each, and a line here.

Each is made for members and weights and then called with decoders that have read the same text; it answers with the
bytes to write next. `tokens.writing` runs them, and the default, which needs none of them: byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyswarmopt_llm.spaces.mixture.fusion.edit_distance import EditDistance
from pyswarmopt_llm.spaces.mixture.fusion.relative import RelativeRepresentations
from pyswarmopt_llm.spaces.mixture.fusion.top_k import TopKUnion
from pyswarmopt_llm.spaces.mixture.fusion.union import Union
from pyswarmopt_llm.spaces.mixture.incremental import IncrementalDecoder, TextModel

Choose = Callable[[Sequence[IncrementalDecoder]], bytes | None]

TOKEN_FUSIONS: dict[str, Callable[[Sequence[TextModel], Sequence[float]], Choose]] = {
    "union": Union,
    "top-k": TopKUnion,
    "edit-distance": EditDistance,
    "relative": RelativeRepresentations,
}

__all__ = ["TOKEN_FUSIONS", "Choose"]
