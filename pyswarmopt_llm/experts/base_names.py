"""Names of base models in the various spellings of adapters: unsloth, the hub's cache, people."""

from __future__ import annotations

import re

_CACHED = re.compile(r"(?:^|/)models--(?:[^/]+--)?([^/]+?)(?:/snapshots/[^/]+)?$")
# Words for storage formats; newer names lack "Meta", and v0.1 is Mistral's first.
_STORAGE = re.compile(
    r"unsloth|bnb|hf|mlx|gguf|gptq|awq|exl[23]|hqq|dynamic|(bf|fp?)(4|8|16|32)|(nv|mx)fp4|nf4"
    r"|int[48]|(4|8|16)bits?|quantized\..*|w\d+a\d+|meta|v0\.1"
)


def same_model(name: str, other: str) -> bool:
    """Whether two names mean the same model, in any spelling or storage format.

    Example:
        >>> same_model("unsloth/Meta-Llama-3.1-8B-bnb-4bit", "meta-llama/Llama-3.1-8B")
        True
        >>> same_model("Qwen/Qwen2.5-7B-Instruct", "/models/Qwen2.5-7B")
        False
    """
    return _bare_name(name) == _bare_name(other)


def _bare_name(name: str) -> str:
    """A model's name in lower case, without owner, separators and storage format."""
    path = name.strip().replace("\\", "/").rstrip("/").lower().replace("___", ".")  # ModelScope's
    cached = _CACHED.search(path)
    words = re.split(r"[-_\s]+", cached[1] if cached else path.rpartition("/")[2])
    return "".join([word for word in words if not _STORAGE.fullmatch(word)] or words)
