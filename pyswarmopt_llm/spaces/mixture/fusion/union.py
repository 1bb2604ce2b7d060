"""Fusion over the union of the vocabularies: a token is its bytes (GaC: Yu et al. 2024, arXiv 2406.12585).

A token that a member lacks has probability 0 there, even where the member would write the same text in smaller tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyswarmopt_llm.spaces.mixture.incremental import Reader, Voice


class Union:
    """Adds the members' distributions up, token by token of the union.

    Args:
        voices: the members.
        weights: of each.
    """

    def __init__(self, voices: Sequence[Voice], weights: Sequence[float]) -> None:
        self._weights = weights
        self._texts = sorted({text for voice in voices for text in voice.vocabulary.texts})
        place = {text: k for k, text in enumerate(self._texts)}
        self._places = [np.array([place[text] for text in voice.vocabulary.texts]) for voice in voices]

    def __call__(self, readers: Sequence[Reader]) -> bytes | None:
        """The most probable token of the union; None for the end."""
        total, end = np.zeros(len(self._texts)), 0.0
        for weight, places, reader in zip(self._weights, self._places, readers, strict=True):
            np.add.at(total, places, weight * reader.texts)
            end += weight * reader.end
        best = int(total.argmax())
        return self._texts[best] if total[best] > end else None
