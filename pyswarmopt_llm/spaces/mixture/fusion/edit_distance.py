"""Fusion in one member's vocabulary: the others' tokens count for the token that is nearest to them
in edit distance.

Minimum edit distance aligns vocabularies in FuseLLM (Wan et al. 2024, arXiv 2401.10491) and in Pack
of LLMs (Mavromatis et al. 2024, arXiv 2404.11531). Distances are counted in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.spaces.mixture.incremental import IncrementalDecoder, TextModel

K = 32  # tokens of each other member that are aligned at a step: its most probable ones


class EditDistance:
    """Maps every member's most probable tokens into the vocabulary of the member with the greatest
    weight.

    Args:
        text_models: the members.
        weights: of each.
    """

    def __init__(self, text_models: Sequence[TextModel], weights: Sequence[float]) -> None:
        self._weights = weights
        self._main = max(range(len(text_models)), key=lambda i: weights[i])
        self._vocabulary = text_models[self._main].vocabulary
        self._aligner = Aligner(self._vocabulary.texts)

    def __call__(self, decoders: Sequence[IncrementalDecoder]) -> bytes | None:
        """The most probable token of the main vocabulary; None for the end."""
        total, end = self._weights[self._main] * decoders[self._main].texts, 0.0
        for i, (weight, decoder) in enumerate(zip(self._weights, decoders, strict=True)):
            end += weight * decoder.end
            if i == self._main:
                continue
            best = np.argsort(-decoder.texts, kind="stable")[:K]
            # Scaled to what the end leaves of 1, so that the tail that is not aligned takes no
            # weight away.
            scale = (1.0 - decoder.end) / max(
                float(decoder.texts[best].sum()), np.finfo(float).tiny
            )
            for place in best:
                nearest = self._aligner.nearest(decoder.text_model.vocabulary.texts[place])
                total[nearest] += weight * scale * decoder.texts[place]
        best_text = int(total.argmax())
        return self._vocabulary.texts[best_text] if total[best_text] > end else None


class Aligner:
    """Finds the text that is nearest in Levenshtein distance; the first of equals.

    Example:
        >>> Aligner([b"hat", b"hats", b"the"]).nearest(b"that")
        0
    """

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._exact = {text: k for k, text in reversed(list(enumerate(texts)))}
        self._lengths = np.array([len(text) for text in texts])
        self._bytes = np.full((len(texts), int(self._lengths.max())), -1, dtype=np.int16)
        for k, text in enumerate(texts):
            self._bytes[k, : len(text)] = np.frombuffer(text, dtype=np.uint8)
        self._nearest: dict[bytes, int] = {}

    def nearest(self, text: bytes) -> int:
        """Index of the nearest text."""
        if text in self._exact:
            return self._exact[text]
        if text not in self._nearest:
            self._nearest[text] = int(self.distances(text).argmin())
        return self._nearest[text]

    def distances(self, text: bytes) -> NDArray[np.int64]:
        """Levenshtein distance of each text to `text`: Wagner and Fischer's table, all texts at
        once.
        """
        width = self._bytes.shape[1]
        columns = np.arange(width + 1)
        row = np.broadcast_to(columns, (len(self._bytes), width + 1)).copy()
        for k, byte in enumerate(text, start=1):
            # Replacement and deletion at once; insertion is a running minimum along the row.
            best = np.minimum(row[:, :-1] + (self._bytes != byte), row[:, 1:] + 1)
            row = np.concatenate([np.full((len(row), 1), k), best], axis=1)
            row = np.minimum.accumulate(row - columns, axis=1) + columns
        return np.take_along_axis(row, self._lengths[:, None], axis=1)[:, 0]
