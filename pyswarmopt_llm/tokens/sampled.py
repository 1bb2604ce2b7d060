"""Sampling from a mixture at the cost of one model.

To sample a token from sum_i w_i P_i(token), draw a member i by w, then a token from P_i: the other
members need not run (arXiv 2605.00419). When drawn, a member reads what it has missed in one pass.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from pyswarmopt_llm.tokens.reading import TextModel


def sampled_pieces(
    text_models: Sequence[TextModel],
    weights: Sequence[float],
    user: str,
    max_new_tokens: int,
    *,
    seed: int,
    one_tokenizer: bool,
) -> Iterator[bytes]:
    """The tokens of a text sampled from a mixture, as bytes.

    With a common tokenizer this samples the mixture of next-token distributions. Otherwise tokens
    are identified by their bytes, as in `fusion.Union`, and every member reads the text in its own
    tokens.

    Args:
        text_models: the members.
        weights: weights of the members, none below 0.
        user: the user's text.
        max_new_tokens: most tokens of the text.
        seed: the same seed and prompt give the same text.
        one_tokenizer: whether the members share a tokenizer.
    """
    draws = random.Random(f"{seed} {user}")
    known = [text_model.begin(user) for text_model in text_models]
    starts = [read.ids for read in known]
    ids: list[int] = []
    written = b""
    for _ in range(max_new_tokens):
        (turn,) = draws.choices(range(len(text_models)), weights)
        text_model = text_models[turn]
        own = ids if one_tokenizer else text_model.encode(written)
        read = known[turn].read((*starts[turn], *own))
        if read.full:
            return
        known[turn] = read
        cumulative = np.cumsum([*read.texts, read.end])
        drawn = draws.random() * cumulative[-1]
        index = int(np.searchsorted(cumulative, drawn, side="right"))
        if index >= len(read.texts):
            return
        vocabulary = text_model.vocabulary
        yield vocabulary.texts[index]
        written += vocabulary.texts[index]
        ids.append(int(vocabulary.ids[index]))
