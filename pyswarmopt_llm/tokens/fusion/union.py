"""Fusion over the union of the vocabularies: a token is its bytes (GaC: Yu et al. 2024, arXiv
2406.12585).

A token that a member lacks has probability 0 there, even where the member would write the same text
in smaller tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyswarmopt_llm.tokens.incremental import IncrementalDecoder, TextModel


class Union:
    """Adds the members' distributions up, token by token of the union.

    Args:
        text_models: the members.
        weights: of each.
    """

    def __init__(self, text_models: Sequence[TextModel], weights: Sequence[float]) -> None:
        self._weights = weights
        self._texts = sorted(
            {text for text_model in text_models for text in text_model.vocabulary.texts}
        )
        row = {text: k for k, text in enumerate(self._texts)}
        self._rows = [
            np.array([row[text] for text in text_model.vocabulary.texts])
            for text_model in text_models
        ]

    def __call__(self, decoders: Sequence[IncrementalDecoder]) -> bytes | None:
        """The most probable token of the union; None for the end."""
        total, end = np.zeros(len(self._texts)), 0.0
        for weight, rows, decoder in zip(self._weights, self._rows, decoders, strict=True):
            np.add.at(total, rows, weight * decoder.texts)
            end += weight * decoder.end
        best = int(total.argmax())
        return self._texts[best] if total[best] > end else None
