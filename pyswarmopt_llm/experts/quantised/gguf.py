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
from pyswarmopt_llm.common.files.regular import sample_digest
from pyswarmopt_llm.experts.files import atomic_directory
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

    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{cache}: cannot be created ({error.strerror}); set XDG_CACHE_HOME to another "
            "directory"
        ) from error
    with FileLock(cache / "lock"):
        if not (target / "config.json").is_file():  # another process may have created it meanwhile
            logger.info("Converting %s to safetensors, once", gguf.name)
            _convert(gguf, target, who)
    return target


def _convert(gguf: Path, target: Path, who: str) -> None:
    """Dequantise to bf16 and save model and tokenizer into `target`."""
    import transformers

    _check_layers(gguf, who)
    file = {"gguf_file": gguf.name}
    plain: dict[str, Any] = {"dtype": torch.bfloat16}
    # for versions that leave weights packed where they have kernels
    if hasattr(transformers, "GgufConfig"):
        plain["quantization_config"] = transformers.GgufConfig(dequantize=True)
    kind = transformers.AutoModelForCausalLM
    model = load_weights(kind, gguf.parent, who, "language model", **plain, **file)
    tokenizer = read_tokenizer(gguf.parent, who, **file)
    _as_plain(model)
    try:
        with quiet_transformers(), atomic_directory(target) as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except OSError as error:
        raise UserError(
            f"{target}: cannot be written ({error.strerror}); set XDG_CACHE_HOME to a directory "
            "with more room"
        ) from error


def _check_layers(gguf: Path, who: str) -> None:
    """Refuse a file that names more layers than it has tensors for: transformers would first
    allocate each layer.

    Raises:
        UserError: the file names too many layers.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(gguf)
        kind = reader.fields["general.architecture"].contents()
        named = int(reader.fields[f"{kind}.block_count"].contents())
    except (ValueError, LookupError, TypeError, OSError):  # the loader reports the fault
        return
    held = len({tensor.name.split(".")[1] for tensor in reader.tensors if "blk." in tensor.name})
    if named > held:
        raise UserError(f"{who}: names {named:,} layers and holds {held}; download it again")


def _as_plain(model: Any) -> None:
    """Let the model save plain bf16: with these attributes, transformers would quantise it again on
    loading.
    """
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
