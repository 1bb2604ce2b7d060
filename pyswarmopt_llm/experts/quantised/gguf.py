"""Bases in GGUF files: dequantised once, and kept as bf16 safetensors in the user's cache
directory.

The cache is ``$XDG_CACHE_HOME`` or ``~/.cache``: transformers takes some 15 seconds for 135 million
values; the safetensors load in a third of a second.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.files.regular import atomic_directory, sample_digest
from pyswarmopt_llm.experts.pretrained import load_weights, quiet_transformers, read_tokenizer

logger = logging.getLogger(__name__)

FOLDER = "gguf"  # cache folder for files that users name


def dequantised(gguf: Path, who: str, folder: str = FOLDER) -> Path:
    """The directory with the model as bf16 safetensors and its tokenizer; the first call creates
    it, under a lock.

    Args:
        gguf: file of any quantisation type known to the package `gguf`.
        who: start of error messages.
        folder: folder in the cache, with a directory for each file content.

    Raises:
        UserError: no such file, not a language model, or `gguf` is not installed.
    """
    if not gguf.is_file():
        raise UserError(f"{who}: no such file; check the path")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyswarmopt" / folder
    target = cache / sample_digest(gguf)[:16]
    if (target / "config.json").is_file():
        return target
    need_extra("gguf", f"{who}: its file")
    from filelock import FileLock

    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):
        if not (target / "config.json").is_file():  # another process may have created it meanwhile
            logger.info("Converting %s to safetensors, once", gguf.name)
            _convert(gguf, target, who)
    return target


def _convert(gguf: Path, target: Path, who: str) -> None:
    """Dequantise to bf16 and save model and tokenizer into `target`."""
    import transformers

    file = {"gguf_file": gguf.name}
    options: dict[str, Any] = {"dtype": torch.bfloat16, **file}
    # versions with this class leave weights packed where they have kernels
    if hasattr(transformers, "GgufConfig"):
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    kind = transformers.AutoModelForCausalLM
    model = load_weights(kind, gguf.parent, who, "language model", **options)
    tokenizer = read_tokenizer(gguf.parent, who, **file)
    # With these attributes, transformers would quantise it again on loading.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    with quiet_transformers(), atomic_directory(target) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
