"""A vocabulary sorted by bytes: tokens that begin alike lie side by side, so a prefix is a
range.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Span:
    """The tokens that begin with certain bytes: `lo` to `hi` of the sorted vocabulary, `depth`
    bytes long.
    """

    lo: int
    hi: int
    depth: int


class Vocabulary:
    """A model's token ids and the bytes that they stand for.

    Args:
        tokens: bytes of each id; None (and empty) for ids that are no text.
        ends: ids that end a text.

    Attributes:
        texts: the M distinct ids' bytes, sorted.
        ids: (M,) their ids, in the same order (equal bytes by id).
        ends: (E,) ids that end a text.

    Example:
        >>> vocabulary = Vocabulary([b"b", b"ab", None, b"a"], ends=[2])
        >>> vocabulary.texts, vocabulary.ids.tolist()
        ([b'a', b'ab', b'b'], [3, 1, 0])
        >>> vocabulary.narrow(vocabulary.root, ord("a"))
        Span(lo=0, hi=2, depth=1)
    """

    def __init__(self, tokens: Sequence[bytes | None], ends: Iterable[int]) -> None:
        self.ends = np.array(sorted(ends), dtype=np.int64)
        closing = set(self.ends.tolist())
        pairs = sorted((token, i) for i, token in enumerate(tokens) if token and i not in closing)
        self.texts = [token for token, _ in pairs]
        self.ids = np.array([i for _, i in pairs], dtype=np.int64)
        # One row for each place in a token: its byte there, -1 behind its end. Sorted as Python
        # sorts bytes.
        self._bytes = np.full(
            (max(map(len, self.texts), default=0) + 1, len(pairs)), -1, dtype=np.int16
        )
        for k, token in enumerate(self.texts):
            self._bytes[: len(token), k] = np.frombuffer(token, dtype=np.uint8)

    @property
    def root(self) -> Span:
        """All tokens."""
        return Span(0, len(self.texts), 0)

    def narrow(self, span: Span, byte: int) -> Span:
        """The tokens of `span` that go on with this byte."""
        lo, hi = np.searchsorted(self._here(span), [byte, byte + 1])
        return Span(span.lo + int(lo), span.lo + int(hi), span.depth + 1)

    def complete(self, span: Span) -> range:
        """Places of the tokens that are `span`'s bytes and no more."""
        return range(span.lo, span.lo + int(np.searchsorted(self._here(span), 0)))

    def next_bytes(self, span: Span, mass: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of `mass` ((M,), in sorted order) over the tokens of `span`, by the byte they go on
        with: (256,).
        """
        start = self.complete(span).stop
        here = self._here(Span(start, span.hi, span.depth))
        return np.bincount(here, mass[start : span.hi], minlength=256).astype(
            np.float64, copy=False
        )

    def _here(self, span: Span) -> NDArray[np.int16]:
        """The byte behind the beginning that the tokens of `span` share; -1 where they end."""
        if span.lo >= span.hi:  # also behind the end of the longest token
            return np.empty(0, dtype=np.int16)
        return self._bytes[span.depth, span.lo : span.hi]

    def cut(self, text: bytes) -> list[int] | None:
        """Ids that spell `text`, the longest token first; None if there are none.

        Example:
            >>> Vocabulary([b"b", b"ab", None, b"a"], ends=[2]).cut(b"aab")
            [3, 1]
        """
        ids, at = [], 0
        while at < len(text):
            span, best = self.root, None
            while span.hi > span.lo and at + span.depth < len(text):
                span = self.narrow(span, text[at + span.depth])
                if span.hi > span.lo and len(self.complete(span)):
                    best = span
            if best is None:
                return None
            ids.append(int(self.ids[best.lo]))
            at += best.depth
        return ids
