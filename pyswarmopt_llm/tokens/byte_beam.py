"""Writing byte by byte, for members with any tokenizers.

A text of bytes has many tokenisations. The probability that a model's text begins with given bytes
is the sum over all token sequences that cover them, the last token ending there or beyond (Vieira
et al. 2024, arXiv 2412.03719: prefix probabilities by covers); the next byte's distribution is a
quotient of two such sums. Here a *path* is a sequence of tokens read so far and the bytes of an
unfinished token; paths of little weight are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.tokens.reading import Text, TextModel

END = 256  # index after the bytes in a distribution: the end of the text
# bytes per token of English text in common vocabularies; converts limits
BYTES_PER_TOKEN = 4
# Bytes inside a word: letters and digits of ASCII, and every byte of all other characters.
_INSIDE = frozenset(byte for byte in range(256) if byte >= 0x80 or chr(byte).isalnum())


@dataclass(frozen=True)
class _Path:
    """Tokens already read, and an unfinished token.

    Attributes:
        weight: probability of the read tokens, up to a common factor.
        read: the text of these tokens.
        begun: bytes of the unfinished token, or empty.
    """

    weight: float
    read: Text
    begun: bytes = b""

    def next_bytes(self) -> Floats:
        """Weight of each next byte, (257,); the end only between tokens."""
        own = self.read.text_model.vocabulary.next_bytes(self.begun, self.read.texts)
        return self.weight * np.append(own, 0.0 if self.begun else self.read.end)

    def longer(self, byte: int) -> Iterator[tuple[float, _Path]]:
        """The paths with another byte: the unfinished token, and those it completes; each with the
        probability of its bytes.
        """
        vocabulary = self.read.text_model.vocabulary
        begun = self.begun + bytes([byte])
        start, longer, *_, stop = vocabulary.places(begun).tolist()
        unfinished = self.read.texts[longer:stop].sum()
        yield self.weight * float(unfinished), replace(self, begun=begun)
        for place in range(start, longer):
            weight = self.weight * float(self.read.texts[place])
            ids = (*self.read.ids, int(vocabulary.ids[place]))
            yield weight, _Path(weight, self.read.read(ids))


class ByteBeam:
    """One member's text, byte by byte.

    Args:
        prompt: prompt read by the member.
        paths: most paths to keep; more paths approximate the sum over tokenisations better.
        least: paths with a smaller share of the weight are dropped.
    """

    def __init__(self, prompt: Text, paths: int = 4, least: float = 1e-3) -> None:
        self._most = paths
        self._least = least
        self._prompt = prompt
        self._written = b""
        self._paths = [_Path(1.0, prompt)]

    @property
    def full(self) -> bool:
        """Whether the member's context window is full."""
        return any(path.read.full for path in self._paths)

    def next_bytes(self) -> Floats:
        """P(next byte) for 0 to 255, and P(end) at `END`: (257,), summing to 1.

        All 0 if the member has no token for a byte already read.
        """
        weights = sum((path.next_bytes() for path in self._paths), np.zeros(END + 1))
        return weights / (weights.sum() or 1.0)

    def push(self, byte: int) -> None:
        """Read another byte."""
        self._written += bytes([byte])
        candidates = [longer for path in self._paths for longer in path.longer(byte)]
        total = sum(share for share, _ in candidates)
        candidates.sort(key=lambda candidate: -candidate[0])
        self._paths = [
            replace(path, weight=path.weight / total)
            for share, path in candidates[: self._most]
            if share > self._least * total
        ]
        if not self._paths:
            self._cut_anew()

    def _cut_anew(self) -> None:
        """The text retokenised, longest token first, when no kept path continues with its bytes.

        No path if the member has no token for some byte: it contributes nothing from here on.
        """
        ids = self._prompt.text_model.vocabulary.cut(self._written)
        if ids is not None:
            self._paths = [_Path(1.0, self._prompt.read((*self._prompt.ids, *ids)))]


class ByteMixture:
    """Several members' texts, byte by byte; words are mixed like tokens in the exact mixture.

    With a common tokenizer, token t is written with probability sum_i c_i P_i(t), and the weights c
    apply again to the next token. With bytes, using c for every byte would let members that agree
    on no word finish each other's words. So within a word a member's weight follows from the word's
    beginning by Bayes' rule: the word w is then written with probability sum_i c_i P_i(w), and
    after it c applies again.

    Args:
        beams: beam of each member, with the prompt read.
        weights: weights c of the members.
    """

    def __init__(self, beams: Sequence[ByteBeam], weights: Sequence[float]) -> None:
        self._beams = list(beams)
        self._start = self._weights = np.array(weights, dtype=np.float64)
        self._members = self._ask()

    def next_bytes(self) -> Floats:
        """P(next byte), and P(end) at `END`: (257,); only the end if no member contributes."""
        total: Floats = self._weights @ self._members
        return total if total.max() > 0.0 else np.eye(END + 1)[END]  # no member can continue

    def push(self, byte: int) -> None:
        """Write another byte."""
        shares = self._weights * self._members[:, byte]
        inside = byte in _INSIDE and shares.sum() > 0.0
        self._weights = shares / shares.sum() if inside else self._start
        for beam in self._beams:
            beam.push(byte)
        self._members = self._ask()

    def _ask(self) -> Floats:
        """P(next byte) of each member: (n, 257)."""
        return np.stack([beam.next_bytes() for beam in self._beams])


def byte_pieces(
    text_models: Sequence[TextModel], weights: Sequence[float], user: str, max_new_tokens: int
) -> Iterator[bytes]:
    """The greedy bytes of a `ByteMixture`; the text ends when a member's context window is full."""
    beams = [ByteBeam(text_model.begin(user)) for text_model in text_models]
    mixture = ByteMixture(beams, weights)
    for _ in range(BYTES_PER_TOKEN * max_new_tokens):
        byte = int(mixture.next_bytes().argmax())
        if byte == END or any(beam.full for beam in beams):
            return
        yield bytes([byte])
        mixture.push(byte)
