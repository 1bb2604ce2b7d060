"""Quantised bases: GGUF files are read by their values, other formats stay packed.

A GGUF file is dequantised once and kept as bf16 safetensors in the user's cache directory
(``$XDG_CACHE_HOME`` or ``~/.cache``): transformers takes some 15 seconds for 135 million values, the
safetensors load in a third of a second.

Linear weights that are packed codes, of four bits (QLoRA, Dettmers et al. 2023, arXiv 2305.14314) or
eight, lie in a directory (bitsandbytes, GPTQ, AWQ, ...; its config.json says so), or bitsandbytes
makes them of plain weights on loading: ``nf4:BASE`` and ``int8:BASE``. Nothing can be added to codes,
so experts are mixed at run time (`engines.mixing`).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import need_extra, optional
from pyswarmopt_llm.common.fingerprint import sample_digest
from pyswarmopt_llm.models.base import BITSANDBYTES, BaseModel
from pyswarmopt_llm.models.files import atomic_directory
from pyswarmopt_llm.models.pretrained import load_weights, quiet_transformers, read_tokenizer

logger = logging.getLogger(__name__)

FOLDER = "gguf"  # in the cache, of files that users name


def load_packed(base: BaseModel, dtype: torch.dtype, device: torch.device | str) -> Any:
    """A base with packed weights, on its device, in eval mode.

    Raises:
        UserError: it cannot be loaded, or bitsandbytes is not installed and it needs it.
    """
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    options: dict[str, Any] = {"device_map": {"": str(device)}}
    by_bitsandbytes = base.packing.startswith(BITSANDBYTES)
    if by_bitsandbytes:
        need_extra(BITSANDBYTES, f"{base.spec}: its quantisation")
        quiet_bitsandbytes()
    if base.scheme:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=base.scheme == "nf4",
            load_in_8bit=base.scheme == "int8",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,  # QLoRA's
            bnb_4bit_compute_dtype=dtype,
        )
    options |= {"dtype": dtype, "local_files_only": True}
    model = load_weights(AutoModelForCausalLM, base.path, base.spec, "language model", **options)
    if by_bitsandbytes:
        _prepare_layers(model, dtype)
    return model


def quiet_bitsandbytes() -> None:
    """Let it, where it is imported from now on, not warn of missing kernels and of every product."""
    logging.getLogger(BITSANDBYTES).setLevel(logging.ERROR)


def _prepare_layers(model: Any, dtype: torch.dtype) -> None:
    """Let a model with layers of bitsandbytes compute in `dtype`, forward and backward.

    transformers leaves what is not packed in the dtype in which it was saved. The format of 4-bit
    layers for CPUs with AVX-512 is not used: it rounds inputs to bfloat16, has no backward pass
    (gradients are lost without an error, version 0.50.2), and was no faster when measured.
    """
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    layers = optional(BITSANDBYTES, BITSANDBYTES).nn
    for module in model.modules():
        if isinstance(module, layers.Linear4bit):
            module.compute_dtype = module.weight.quant_state.dtype = dtype
            module.support_avx512bf16_for_cpu = False


def dequantised(gguf: Path, who: str, folder: str = FOLDER) -> Path:
    """The directory with the model as bf16 safetensors and its tokenizer; the first call creates it, under a lock.

    Args:
        gguf: the file, of any type of quantisation that the package `gguf` reads.
        who: start of error messages.
        folder: name of a directory in the cache, which holds one for each content of a file.

    Raises:
        UserError: there is no such file, it cannot be read as a language model, or `gguf` is not installed.
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
            f"{cache}: cannot be created ({error.strerror}); set XDG_CACHE_HOME to another directory"
        ) from error
    with FileLock(cache / "lock"):
        if not (target / "config.json").is_file():  # another process may have created it meanwhile
            logger.info("Converting %s to safetensors, once", gguf.name)
            _convert(gguf, target, who)
    return target


def _convert(gguf: Path, target: Path, who: str) -> None:
    """Dequantise to bf16 and save model and tokenizer into `target`."""
    import transformers

    file = {"gguf_file": gguf.name}
    plain: dict[str, Any] = {"dtype": torch.bfloat16}
    if hasattr(transformers, "GgufConfig"):  # of versions that leave weights packed where they have kernels for it
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
            f"{target}: cannot be written ({error.strerror}); set XDG_CACHE_HOME to a directory with more room"
        ) from error


def _as_plain(model: Any) -> None:
    """Let the model save plain bf16: with these attributes, transformers would quantise again on loading."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
