"""The bytes of tokens: a common alphabet of tokenizers, and a vocabulary sorted by bytes."""

from __future__ import annotations

import json
import re
import string
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt_llm.common.errors import UserError

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "▁"  # U+2581, SentencePiece's space
_PREFIXES = 10_000  # most tokens with cached places in a vocabulary
# Bytes that tokenizers must share to write one text.
_NEEDED = {sign.encode() for sign in string.ascii_letters + string.digits + " "}


def token_bytes(tokenizer: Any) -> list[bytes | None]:
    """The bytes of each token id; None for control tokens and unused ids.

    Supports byte-level vocabularies (GPT-2, Llama 3, Qwen: a printable character stands for each
    byte) and SentencePiece vocabularies (Gemma, Mistral, Llama 2: U+2581 is a space, ``<0x0A>`` a
    byte).

    Args:
        tokenizer: a fast transformers tokenizer.

    Raises:
        UserError: the type of tokenizer is not supported.
    """
    state = _state(tokenizer)
    decode = _decoder(state)
    special = {int(added["id"]) for added in state["added_tokens"] if added["special"]}
    vocabulary = tokenizer.get_vocab()
    stands_for: list[bytes | None] = [None] * (max(vocabulary.values()) + 1)
    for token, i in vocabulary.items():
        if i not in special:
            stands_for[i] = decode(token)  # added tokens go through the same decoder
    return stands_for


def same_tokenizer(tokenizers: Sequence[Any]) -> bool:
    """Whether all tokenizers map any text to the same ids (ignoring padding and truncation)."""
    first, *others = [_state(tokenizer) for tokenizer in tokenizers]
    return all(other == first for other in others)


def require_common_alphabet(tokenizers: Mapping[str, Any]) -> None:
    """Check that every tokenizer has tokens for single letters, digits and the space.

    Raises:
        UserError: a tokenizer lacks one.
    """
    for name, tokenizer in tokenizers.items():
        try:
            lacking = _NEEDED.difference(token_bytes(tokenizer))
        except UserError as error:
            raise UserError(f"{name}: {error.text}") from error
        if lacking:
            raise UserError(
                f"{name}: its tokenizer has no token for {min(lacking).decode()!r} alone; mix it "
                "only with models that have the same tokenizer"
            )


def _state(tokenizer: Any) -> dict[str, Any]:
    """Everything that determines the tokenisation, as JSON."""
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise UserError(
            f"{tokenizer.name_or_path}: no tokenizer.json; convert it to a fast tokenizer"
        )
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    return {key: value for key, value in state.items() if key not in ("padding", "truncation")}


def _decoder(state: Mapping[str, Any]) -> Callable[[str], bytes]:
    """Maps a token to its bytes."""
    parts = [state["decoder"], state["pre_tokenizer"], state["normalizer"]]
    kinds = json.dumps(parts, ensure_ascii=False)
    if '"ByteLevel"' in kinds:
        return _from_stand_ins
    if '"ByteFallback"' in kinds or _SPACE in kinds:
        return _from_pieces
    raise UserError(
        f"its tokenizer ({state['model']['type']}) does not define the bytes of a token; use "
        "models with byte-level BPE or SentencePiece tokenizers"
    )


def _from_stand_ins(token: str) -> bytes:
    """GPT-2's alphabet: a printable character for each byte (Radford et al. 2019)."""
    byte_of = _stand_ins()
    if byte_of.keys() >= set(token):
        return bytes(byte_of[sign] for sign in token)
    return token.encode()


@cache
def _stand_ins() -> dict[str, int]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {sign: byte for byte, sign in bytes_to_unicode().items()}


def _from_pieces(token: str) -> bytes:
    byte = _BYTE.fullmatch(token)
    if byte:
        return bytes([int(byte[1], 16)])
    return token.replace(_SPACE, " ").encode()


class Vocabulary:
    """A model's token ids and their bytes.

    Tokens are sorted, so tokens with a common prefix form a range.

    Args:
        tokens: bytes of each id; None or empty for ids without text.
        ends: ids that end a text.

    Attributes:
        texts: bytes of the M distinct text ids, sorted.
        ids: their ids, (M,), in the same order (equal bytes by id).
        ends: (E,) ids that end a text.
        place: text -> its first place in `texts`.

    Example:
        >>> vocabulary = Vocabulary([b"b", b"ab", None, b"a"], ends=[2])
        >>> vocabulary.texts, vocabulary.ids.tolist()
        ([b'a', b'ab', b'b'], [3, 1, 0])
        >>> vocabulary.places(b"a")[[0, 1, -1]].tolist()  # a, then ab
        [0, 1, 2]
    """

    def __init__(self, tokens: Sequence[bytes | None], ends: Iterable[int]) -> None:
        self.ends = np.array(sorted(ends), dtype=np.int64)
        closing = set(self.ends.tolist())
        self._tokens = tokens
        pairs = sorted((token, i) for i, token in enumerate(tokens) if token and i not in closing)
        self.texts = [token for token, _ in pairs]
        self.ids = np.array([i for _, i in pairs], dtype=np.int64)
        self.place = {text: k for k, text in reversed([*enumerate(self.texts)])}
        self._longest = max(map(len, self.texts), default=0)
        self.places = lru_cache(_PREFIXES)(self._find_places)

    def _find_places(self, prefix: bytes) -> Ints:
        """Where the tokens with exactly these bytes begin in `texts`, then those with each next
        byte, and where all end: (258,).
        """
        longer = [bisect_left(self.texts, prefix + bytes([byte])) for byte in range(256)]
        stop = bisect_left(self.texts, prefix + b"\xff" * (self._longest + 1))
        return np.array([bisect_left(self.texts, prefix), *longer, stop])

    def next_bytes(self, prefix: bytes, mass: Floats) -> Floats:
        """Sum of `mass` ((M,), in sorted order) over the tokens that start with these bytes, by
        their next byte: (256,).
        """
        edges = self.places(prefix)[1:]
        sums = np.add.reduceat(np.append(mass[: edges[-1]], 0.0), edges)[:256]
        return np.where(np.diff(edges) > 0, sums, 0.0)

    def spell(self, ids: Sequence[int]) -> bytes | None:
        """The bytes of these tokens; None if one has none.

        Example:
            >>> Vocabulary([b"b", b"ab", None, b"a"], ends=[2]).spell([3, 1])
            b'aab'
        """
        parts = [self._tokens[i] for i in ids if i < len(self._tokens)]
        if all(parts):
            return b"".join(part for part in parts if part)
        return None

    def cut(self, text: bytes) -> list[int] | None:
        """Ids that spell `text`, longest token first; None if impossible.

        Example:
            >>> Vocabulary([b"b", b"ab", None, b"a"], ends=[2]).cut(b"aab")
            [3, 1]
        """
        ids = []
        while text:
            sizes = range(min(self._longest, len(text)), 0, -1)
            size = next((size for size in sizes if text[:size] in self.place), 0)
            if not size:
                return None
            ids.append(int(self.ids[self.place[text[:size]]]))
            text = text[size:]
        return ids
