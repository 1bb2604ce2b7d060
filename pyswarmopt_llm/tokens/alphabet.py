"""The bytes of each token: the common alphabet of tokenizers with different vocabularies."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

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


def _decoder(state: Mapping[str, Any]) -> Any:
    kinds = json.dumps([state["decoder"], state["pre_tokenizer"], state["normalizer"]])
    if '"ByteLevel"' in kinds:
        return _from_stand_ins
    if '"ByteFallback"' in kinds or _SPACE in kinds or json.dumps(_SPACE)[1:-1] in kinds:
        return _from_pieces
    raise UserError(
        f"its tokenizer ({state['model']['type']}) does not define the bytes of a token; "
        "byte-level BPE and SentencePiece do"
    )


def _from_stand_ins(token: str) -> bytes:
    stand_ins = _stand_ins()
    return (
        bytes(stand_ins[sign] for sign in token)
        if all(sign in stand_ins for sign in token)
        else token.encode()
    )


def _from_pieces(token: str) -> bytes:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(_SPACE, " ").encode()


@cache
def _stand_ins() -> dict[str, int]:
    """GPT-2's printable character for each byte (Radford et al. 2019): itself if visible, else from
    U+0100 on.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {
        chr(0x100 + k): byte for k, byte in enumerate(hidden)
    }
