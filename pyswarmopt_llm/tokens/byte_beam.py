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
        weights = np.zeros(END + 1)
        weights[:END] = self.read.text_model.vocabulary.next_bytes(self.begun, self.read.texts)
        if not self.begun:
            weights[END] = self.read.end
        return self.weight * weights


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
        self._vocabulary = prompt.text_model.vocabulary
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
        total = weights.sum()
        return weights / total if total > 0.0 else weights

    def push(self, byte: int) -> None:
        """Read another byte."""
        self._written += bytes([byte])
        # share, previous path, the token that it completes
        candidates: list[tuple[float, _Path, int | None]] = []
        for path in self._paths:
            texts = path.read.texts
            begun = path.begun + bytes([byte])
            done = self._vocabulary.complete(begun)
            inside = self._vocabulary.beginning(begun)
            going = _Path(path.weight, path.read, begun)
            share = path.weight * float(texts[done.stop : inside.stop].sum())
            candidates.append((share, going, None))
            for index in done:
                token = int(self._vocabulary.ids[index])
                candidates.append((path.weight * float(texts[index]), going, token))
        self._paths = self._heaviest(candidates) or self._cut_anew()

    def _heaviest(self, candidates: list[tuple[float, _Path, int | None]]) -> list[_Path]:
        total = sum(share for share, _, _ in candidates)
        heaviest = sorted(candidates, key=lambda candidate: -candidate[0])[: self._most]
        paths = []
        for share, path, token in heaviest:
            if share <= self._least * total:
                continue
            if token is None:
                paths.append(replace(path, weight=path.weight / total))
            else:
                paths.append(_Path(share / total, path.read.read((*path.read.ids, token))))
        return paths

    def _cut_anew(self) -> list[_Path]:
        """The text retokenised, longest token first, when no kept path continues with its bytes.

        Empty if the member has no token for some byte: it contributes nothing from here on.
        """
        ids = self._vocabulary.cut(self._written)
        if ids is None:
            return []
        read = self._prompt.read((*self._prompt.ids, *ids))
        return [_Path(1.0, read)]


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

    @property
    def full(self) -> bool:
        """Whether a member's context window is."""
        return any(beam.full for beam in self._beams)

    def next_bytes(self) -> Floats:
        """P(next byte), and P(end) at `END`: (257,); only the end if no member contributes.

        With negative weights this is no distribution: negative values mean impossible.
        """
        total: Floats = self._weights @ self._members
        if total.max() <= 0.0:  # no member can continue
            total = np.zeros(END + 1)
            total[END] = 1.0
        return total

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
        if mixture.full:
            return
        byte = int(mixture.next_bytes().argmax())
        if byte == END:
            return
        yield bytes([byte])
        mixture.push(byte)
