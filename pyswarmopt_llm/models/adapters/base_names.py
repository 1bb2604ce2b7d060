"""Names of base models as adapters spell them: whose is the same model, another tuning, or neither.

Unsloth states the 4-bit copy that it trained on (``unsloth/X-unsloth-bnb-4bit``), a training on a
downloaded model the place in the cache (``models--ORG--NAME/snapshots/HASH``), and several models
have two names (``Meta-Llama-3.1-8B``, ``Llama-2-7b-hf``).
"""

from __future__ import annotations

import re
from typing import Literal

Relation = Literal["same", "tuning", "other"]

_CACHED = re.compile(r"(?:^|/)models--(?:[^/]+--)?([^/]+?)(?:/snapshots/[^/]+)?$")
# Words on how a model is stored; "Meta" is left out of newer names, and v0.1 is Mistral's first.
_STORAGE = re.compile(
    r"unsloth|bnb|hf|mlx|gguf|gptq|awq|dynamic|nf4|[bf]p?(8|16)|int[48]|(4|8|16)bit"
    r"|quantized\..*|w\d+a\d+|meta|v0\.1"
)
_TUNING = re.compile(r"instruct|it|chat|base|pt|sft|dpo|thinking|qat|\d{4}")  # or a date


def relation(name: str, other: str) -> Relation:
    """Whether two names stand for one model, for two tunings of one, or for two models.

    Example:
        >>> relation("unsloth/Meta-Llama-3.1-8B-bnb-4bit", "meta-llama/Llama-3.1-8B")
        'same'
        >>> relation("Qwen/Qwen2.5-7B-Instruct", "/models/Qwen2.5-7B"), relation("Qwen/Qwen3-8B", "Qwen/Qwen3-4B")
        ('tuning', 'other')
    """
    first, second = _words(name), _words(other)
    if "".join(first) == "".join(second):
        return "same"
    return "tuning" if _untuned(first) == _untuned(second) else "other"


def _words(name: str) -> list[str]:
    """The words of a model's name in lower case, without its owner and how it is stored."""
    path = name.strip().replace("\\", "/").rstrip("/").lower().replace("___", ".")  # ModelScope's
    cached = _CACHED.search(path)
    words = re.split(r"[-_\s]+", cached[1] if cached else path.rpartition("/")[2])
    return [word for word in words if not _STORAGE.fullmatch(word)] or words


def _untuned(words: list[str]) -> str:
    return "".join(word for word in words if not _TUNING.fullmatch(word))
