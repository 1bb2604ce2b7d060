"""The bytes of tokens, and a common alphabet of tokenizers."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from pyswarmopt_llm.common.errors import UserError

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "▁"  # U+2581, SentencePiece's space
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
