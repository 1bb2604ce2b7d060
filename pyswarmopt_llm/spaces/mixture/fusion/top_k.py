"""Fusion over the union of each member's k most probable tokens (UniTE: Yao et al. 2025, arXiv
2410.03777).

For a candidate that a member lacks, the longest of its tokens that the candidate begins with
counts; each member's values are scaled to sum to 1 over the candidates before they are added up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyswarmopt_llm.spaces.mixture.incremental import IncrementalDecoder, TextModel

K = 10  # the paper's


class TopKUnion:
    """Adds up distributions over a few candidates.

    Args:
        text_models: the members.
        weights: of each.
        k: candidates of each member.
    """

    def __init__(
        self, text_models: Sequence[TextModel], weights: Sequence[float], k: int = K
    ) -> None:
        self._weights, self._k = weights, k
        self._places = [
            {t: i for i, t in reversed(list(enumerate(v.vocabulary.texts)))} for v in text_models
        ]

    def __call__(self, decoders: Sequence[IncrementalDecoder]) -> bytes | None:
        """The best candidate; None for the end."""
        candidates: list[bytes | None] = [None]  # the end is always one
        for decoder in decoders:
            best = np.argsort(-decoder.texts, kind="stable")[: self._k]
            candidates += [decoder.text_model.vocabulary.texts[i] for i in best]
        candidates = list(dict.fromkeys(candidates))
        total = np.zeros(len(candidates))
        for weight, places, decoder in zip(self._weights, self._places, decoders, strict=True):
            values = np.array([self._value(decoder, places, candidate) for candidate in candidates])
            total += weight * values / max(values.sum(), np.finfo(float).tiny)
        return candidates[int(total.argmax())]

    @staticmethod
    def _value(
        decoder: IncrementalDecoder, places: dict[bytes, int], candidate: bytes | None
    ) -> float:
        if candidate is None:
            return decoder.end
        beginnings = (candidate[:n] for n in range(len(candidate), 0, -1))
        place = next((places[text] for text in beginnings if text in places), None)
        return 0.0 if place is None else float(decoder.texts[place])
