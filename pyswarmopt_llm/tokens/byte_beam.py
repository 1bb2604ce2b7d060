"""The distribution of a member's next byte, given the bytes so far, over all ways to cut them into
tokens.

A text of bytes has many tokenisations. The probability that a model's text begins with given bytes
is the sum over all token sequences that cover them, the last token reaching to their end or beyond
(Vieira et al. 2024, arXiv 2412.03719: prefix probabilities by covers); the next byte's distribution
is a quotient of two such sums. Here a *path* is a sequence of tokens read so far and the bytes of
the token being written; paths of little weight are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.tokens.incremental import IncrementalDecoder
from pyswarmopt_llm.tokens.vocabulary import Span

END = 256  # behind the bytes in a distribution: the text is over


@dataclass(frozen=True)
class _Path:
    """Tokens that were read, and a token that has begun.

    Attributes:
        weight: probability of the tokens read, up to a common factor.
        decoder: has read them.
        span: tokens that the begun one may still become (all of them if none has begun).
    """

    weight: float
    decoder: IncrementalDecoder
    span: Span

    def next_bytes(self) -> NDArray[np.float64]:
        """Weight by next byte, (257,); the end only between tokens."""
        weights = np.zeros(END + 1)
        weights[:END] = self.decoder.text_model.vocabulary.next_bytes(self.span, self.decoder.texts)
        if self.span.depth == 0:
            weights[END] = self.decoder.end
        return self.weight * weights


class ByteBeam:
    """One member's text, byte by byte.

    Args:
        decoder: has read the prompt.
        paths: most paths that are kept; the more, the nearer to the sum over all tokenisations.
        least: paths with a smaller share of the weight are dropped.
    """

    def __init__(self, decoder: IncrementalDecoder, paths: int = 4, least: float = 1e-3) -> None:
        self._most, self._least = paths, least
        self._prompt = decoder.ids
        self._text = b""
        self._paths = [_Path(1.0, decoder, decoder.text_model.vocabulary.root)]

    @property
    def decoders(self) -> list[IncrementalDecoder]:
        """The decoders of all paths: `run_pending` with those of several beams at once before
        asking for next bytes.
        """
        return [path.decoder for path in self._paths]

    @property
    def full(self) -> bool:
        """Whether the member's context window is."""
        return any(path.decoder.full for path in self._paths)

    def next_bytes(self) -> NDArray[np.float64]:
        """P(next byte) for 0 to 255, and at `END` P(the text is over): (257,), summing to 1.

        All 0 where the member has no token for a byte that was read.
        """
        weights = sum((path.next_bytes() for path in self._paths), np.zeros(END + 1))
        total = weights.sum()
        return weights / total if total > 0.0 else weights

    def push(self, byte: int) -> None:
        """Read one more byte."""
        self._text += bytes([byte])
        # share, path before, the token that it completes
        candidates: list[tuple[float, _Path, int | None]] = []
        for path in self._paths:
            vocabulary, texts = path.decoder.text_model.vocabulary, path.decoder.texts
            span = vocabulary.narrow(path.span, byte)
            done = vocabulary.complete(span)
            going = _Path(path.weight, path.decoder, span)
            candidates.append((path.weight * float(texts[done.stop : span.hi].sum()), going, None))
            for place in done:
                token = int(vocabulary.ids[place])
                candidates.append((path.weight * float(texts[place]), going, token))
        self._paths = self._heaviest(candidates) or self._start_again()

    def _heaviest(self, candidates: list[tuple[float, _Path, int | None]]) -> list[_Path]:
        total = sum(share for share, _, _ in candidates)
        if total <= 0.0:
            return []
        heaviest = sorted(candidates, key=lambda candidate: -candidate[0])[: self._most]
        paths = []
        for share, path, token in heaviest:
            if share <= self._least * total:
                continue
            if token is None:
                paths.append(_Path(path.weight / total, path.decoder, path.span))
            else:
                read = path.decoder.read((*path.decoder.ids, token))
                paths.append(_Path(share / total, read, read.text_model.vocabulary.root))
        return paths

    def _start_again(self) -> list[_Path]:
        """No kept path goes on with these bytes: cut all of the text anew, the longest token
        first.
        """
        decoder = self._paths[0].decoder if self._paths else None
        ids = None if decoder is None else decoder.text_model.vocabulary.cut(self._text)
        if decoder is None or ids is None:
            return []  # the member has no token for what was read, and nothing to say from here on
        read = decoder.read((*self._prompt, *ids))
        return [_Path(1.0, read, read.text_model.vocabulary.root)]
