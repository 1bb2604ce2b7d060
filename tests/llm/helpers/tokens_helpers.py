"""Members for tests of token swarms: random models of several architectures, each with a small
tokenizer of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from engine_reference import random_model
from llm_fixtures import _TEMPLATE
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from pyswarmopt_llm.engine.transformers import TransformersEngine

SPACE = "▁"
MERGES = [("t", "h"), ("th", "e"), ("Ġ", "a"), ("e", "r"), ("Ġa", "n"), ("o", "n")]


def byte_level(merges: Sequence[tuple[str, str]] = MERGES, template: str | None = _TEMPLATE) -> Any:
    """GPT-2's kind: a token per byte, some merged, two control tokens."""
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet()) + [a + b for a, b in merges]
    raw = Tokenizer(
        models.BPE(vocab={symbol: i for i, symbol in enumerate(symbols)}, merges=list(merges))
    )
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return _fast(raw, template)


def sentence_piece(merges: Sequence[tuple[str, str]] = (), template: str | None = _TEMPLATE) -> Any:
    """Gemma's kind: characters, U+2581 for a space, bytes for all other characters, two control
    tokens.
    """
    letters = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", SPACE]
    symbols = [
        "<unk>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *letters,
        *(a + b for a, b in merges),
    ]
    vocabulary = {symbol: i for i, symbol in enumerate(symbols)}
    raw = Tokenizer(
        models.BPE(vocab=vocabulary, merges=list(merges), byte_fallback=True, unk_token="<unk>")
    )
    raw.normalizer = normalizers.Replace(" ", SPACE)
    raw.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return _fast(raw, template)


def letters(alphabet: str, merges: Sequence[tuple[str, str]]) -> Any:
    """A byte-level tokenizer that knows a few letters only."""
    symbols = [*alphabet, *(a + b for a, b in merges)]
    raw = Tokenizer(
        models.BPE(vocab={symbol: i for i, symbol in enumerate(symbols)}, merges=list(merges))
    )
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return _fast(raw, None)


def _fast(raw: Tokenizer, template: str | None) -> Any:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
    )
    tokenizer.chat_template = template
    return tokenizer


def model_for(tokenizer: Any, architecture: str, seed: int = 0) -> Any:
    """A random model; seeds differ in every weight."""
    model = random_model(architecture, len(tokenizer))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def member(tokenizer: Any, architecture: str = "llama", seed: int = 0) -> TransformersEngine:
    """A random model, ready to be asked."""
    return TransformersEngine(model_for(tokenizer, architecture, seed), tokenizer)


def save_member(
    path: Path, tokenizer: Any, architecture: str = "llama", seed: int = 0, **config: Any
) -> Path:
    """A directory with a random model and its tokenizer."""
    model = model_for(tokenizer, architecture, seed)
    for name, value in config.items():
        setattr(model.config, name, value)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
