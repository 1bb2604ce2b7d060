"""The scripts of the laboratory, which import each other by name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
RESEARCH = ROOT / "research"
BENCHMARKS = RESEARCH / "benchmarks"
KINDS = ("lab", "groups", "tokens", "scores", "functions", "bbob", "scaling")
FOLDERS = [RESEARCH / "tools", BENCHMARKS, *(BENCHMARKS / kind for kind in KINDS)]
PLACES = [*map(str, FOLDERS), str(ROOT / "benchmarks" / "bbob")]
sys.path += PLACES  # for what a script imports when a function of it is called


def script(name: str) -> Any:
    """The script of that name, as a module."""
    before = list(sys.path)
    sys.path[:0] = PLACES
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = before


def scripts(names: str) -> SimpleNamespace:
    """Several of them."""
    return SimpleNamespace(**{name: script(name) for name in names.split()})


def cells(table: str) -> list[list[str]]:
    """The rows of a table, without its head."""
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def said(member: Any, prompt: str) -> str:
    """The reply of a member of a group."""
    (reply,) = member.generate([prompt])
    return str(reply.texts[0])


def llama(seed: int, hidden: int = 16, vocabulary: int = 64) -> Any:
    """A small Llama of two layers with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": hidden, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4}
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=vocabulary, **sizes, **heads, tie_word_embeddings=True)
    return LlamaForCausalLM(config).eval().requires_grad_(False)
