"""Ways to write one text with members of different vocabularies, token by token: a file each, and a
line here.

Each is made for members and weights and then called with decoders that have read the same text; it
answers with the bytes to write next. `tokens.writing` runs them, and the default, which needs none
of them: byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.tokens.fusion.relative import RelativeRepresentations
from pyswarmopt_llm.tokens.fusion.union import Union
from pyswarmopt_llm.tokens.incremental import IncrementalDecoder, TextModel

Choose = Callable[[Sequence[IncrementalDecoder]], bytes | None]

Make = Callable[[Sequence[TextModel], Sequence[float]], Choose]

TOKEN_FUSIONS: dict[str, Make] = {
    "union": Union,
    "relative": RelativeRepresentations,
}


def token_fusion(name: str) -> Make | None:
    """The fusion of that name; None: it is none of `TOKEN_FUSIONS`. ``relative:RATE`` is one with a
    step size.

    Raises:
        UserError: the rate is no positive number.

    Example:
        >>> token_fusion("bytes") is None, token_fusion("relative:0.1").keywords
        (True, {'rate': 0.1})
    """
    kind, _, rate = name.partition(":")
    if kind != "relative" or not rate:
        return TOKEN_FUSIONS.get(name)
    try:
        value = float(rate)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise InvalidOption(
            "fusion",
            name,
            "the rate is a step of the search; give a number above 0, as in relative:0.1",
        )
    return partial(RelativeRepresentations, rate=value)


__all__ = ["TOKEN_FUSIONS", "Choose", "token_fusion"]
