"""A mixture of models byte by byte, whatever their tokenizers: words are mixed as the exact mixture
mixes tokens.

With one tokenizer a token t is written with probability sum_i c_i P_i(t), and c counts anew for the
next. Bytes are smaller: were every byte mixed with the weights c, members that agree on no word
would finish each other's words. So within a word a member counts as much as the word's beginning
speaks for it (Bayes' rule): the word w is then written with probability sum_i c_i P_i(w), and
behind it c counts anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.tokens.byte_beam import END, ByteBeam
from pyswarmopt_llm.tokens.incremental import IncrementalDecoder

# Bytes inside a word: letters and digits of ASCII, and every byte of all other characters.
_INSIDE = frozenset(byte for byte in range(256) if byte >= 0x80 or chr(byte).isalnum())


class ByteMixture:
    """Several members' texts, byte by byte.

    Args:
        beams: one for each member; they have read the prompt.
        weights: c, one for each member.
    """

    def __init__(self, beams: Sequence[ByteBeam], weights: Sequence[float]) -> None:
        self._beams = list(beams)
        self._start = np.array(weights, dtype=np.float64)
        self._weights = self._start
        self._expected: NDArray[np.float64] | None = None

    @property
    def decoders(self) -> list[IncrementalDecoder]:
        """The decoders of all members and paths; see `ByteBeam.decoders`."""
        return [decoder for beam in self._beams for decoder in beam.decoders]

    @property
    def full(self) -> bool:
        """Whether a member's context window is."""
        return any(beam.full for beam in self._beams)

    def next_bytes(self) -> NDArray[np.float64]:
        """P(next byte), and at `END` P(the text is over): (257,); the end alone where no member has
        anything to say.

        With negative weights not a distribution: what is below 0 is impossible.
        """
        total: NDArray[np.float64] = self._weights @ self._members()
        if total.max() <= 0.0:  # no member can go on
            total = np.zeros(END + 1)
            total[END] = 1.0
        return total

    def push(self, byte: int) -> None:
        """Write one more byte."""
        shares = self._weights * self._members()[:, byte]
        inside = byte in _INSIDE and shares.sum() > 0.0
        self._weights = shares / shares.sum() if inside else self._start
        self._expected = None
        for beam in self._beams:
            beam.push(byte)

    def _members(self) -> NDArray[np.float64]:
        """P(next byte) of each member: (n, 257)."""
        if self._expected is None:
            self._expected = np.stack([beam.next_bytes() for beam in self._beams])
        return self._expected
