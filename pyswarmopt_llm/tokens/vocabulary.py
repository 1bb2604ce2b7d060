"""The bytes of tokens: the common alphabet of tokenizers, and a vocabulary sorted by them."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.common.errors import UserError

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "▁"  # U+2581, SentencePiece's space
# Bytes that tokenizers must have in common to write one text.
_NEEDED = frozenset((string.ascii_letters + string.digits + " ").encode())


def token_bytes(tokenizer: Any) -> list[bytes | None]:
    """The bytes of each token id; None for control tokens and unused ids.

    Supports byte-level vocabularies (GPT-2, Llama 3, Qwen: each byte has a printable stand-in) and
    those of SentencePiece (Gemma, Mistral, Llama 2: U+2581 is a space, ``<0x0A>`` a byte).

    Args:
        tokenizer: a fast tokenizer of transformers.

    Raises:
        UserError: another kind of tokenizer.
    """
    state = _state(tokenizer)
    decode = _decoder(state)
    special = {int(added["id"]) for added in state["added_tokens"] if added["special"]}
    written = {int(added["id"]): str(added["content"]) for added in state["added_tokens"]}
    vocabulary = tokenizer.get_vocab()
    stands_for: list[bytes | None] = [None] * (max(vocabulary.values()) + 1)
    for token, i in vocabulary.items():
        if i not in special:
            stands_for[i] = written[i].encode() if i in written else decode(token)
    return stands_for


def same_tokenizer(tokenizers: Sequence[Any]) -> bool:
    """Whether all of them map any text to the same ids (apart from padding and truncation)."""
    first, *others = [_state(tokenizer) for tokenizer in tokenizers]
    return all(other == first for other in others)


def require_common_alphabet(tokenizers: Mapping[str, Any]) -> None:
    """Check that every tokenizer has tokens for single letters, digits and the space.

    Raises:
        UserError: a tokenizer lacks one.
    """
    for name, tokenizer in tokenizers.items():
        try:
            tokens = token_bytes(tokenizer)
        except UserError as error:
            raise UserError(f"{name}: {error.text}") from error
        lacking = _NEEDED - {token[0] for token in tokens if token is not None and len(token) == 1}
        if lacking:
            raise UserError(
                f"{name}: its tokenizer has no common alphabet with the others': no token for "
                f"{chr(min(lacking))!r} "
                "alone; mix it with models of its own tokenizer only"
            )


def _state(tokenizer: Any) -> dict[str, Any]:
    """Everything that determines how text becomes ids, as JSON."""
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise UserError("its tokenizer has no tokenizer.json, which defines its tokens; convert it")
    state: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return {key: value for key, value in state.items() if key not in ("padding", "truncation")}


def _decoder(state: Mapping[str, Any]) -> Callable[[str], bytes]:
    """Token -> its bytes."""
    kinds = json.dumps(
        [state["decoder"], state["pre_tokenizer"], state["normalizer"]], ensure_ascii=False
    )
    if '"ByteLevel"' in kinds:
        return _from_stand_ins()
    if '"ByteFallback"' in kinds or _SPACE in kinds:
        return _from_pieces
    raise UserError(
        f"its tokenizer ({state['model']['type']}) does not define the bytes of a token; "
        "byte-level BPE and SentencePiece do"
    )


def _from_stand_ins() -> Callable[[str], bytes]:
    """GPT-2's kind: a printable character for each byte (Radford et al. 2019)."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    byte_of = {sign: byte for byte, sign in bytes_to_unicode().items()}

    def decode(token: str) -> bytes:
        known = all(sign in byte_of for sign in token)
        return bytes(byte_of[sign] for sign in token) if known else token.encode()

    return decode


def _from_pieces(token: str) -> bytes:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(_SPACE, " ").encode()


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

    Tokens that begin alike lie side by side, so a prefix is a range.

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
        longest = max(map(len, self.texts), default=0)
        self._bytes = np.full((longest + 1, len(pairs)), -1, dtype=np.int16)
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
        sums = np.bincount(here, mass[start : span.hi], minlength=256)
        return sums.astype(np.float64, copy=False)

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
                if len(self.complete(span)):
                    best = span
            if best is None:
                return None
            ids.append(int(self.ids[best.lo]))
            at += best.depth
        return ids
