"""Bases with linear weights packed in four bits (QLoRA, Dettmers et al. 2023, arXiv 2305.14314) or
eight.

A directory may hold packed weights (bitsandbytes, GPTQ, AWQ, ..., by its config.json), or
bitsandbytes packs plain weights on loading: ``nf4:BASE`` and ``int8:BASE``. Packed weights cannot
be changed, so experts are mixed at run time (`engine.added_outputs`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import need_extra, optional
from pyswarmopt_llm.experts.pretrained import BITSANDBYTES, load_weights, quiet_bitsandbytes
from pyswarmopt_llm.experts.safetensors_file import DTYPES


def load_packed(
    path: Path, who: str, packing: str, scheme: str, dtype: torch.dtype, device: torch.device | str
) -> Any:
    """A base with packed weights, on its device, in eval mode.

    Args:
        path: directory of the base.
        who: start of error messages.
        packing: see `BaseModel`.
        scheme: see `BaseModel`.
        dtype: dtype of computations and of unpacked weights.
        device: device of the model.

    Raises:
        UserError: the base cannot be loaded, config.json does not describe its files, or
            bitsandbytes is needed but not installed.
    """
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    options: dict[str, Any] = {"device_map": {"": str(device)}}
    by_bitsandbytes = packing.startswith(BITSANDBYTES)
    if by_bitsandbytes:
        need_extra(BITSANDBYTES, f"{who}: its quantisation")
        quiet_bitsandbytes()
    elif packing not in AUTO_QUANTIZATION_CONFIG_MAPPING:
        known = "transformers does not know it here; install what it needs"
        raise UserError(
            f"{who}: its config.json says that its weights are packed by {packing}; {known}"
        )
    if scheme:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=scheme == "nf4",
            load_in_8bit=scheme == "int8",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,  # as in QLoRA
            bnb_4bit_compute_dtype=dtype,
        )
    options |= {"dtype": dtype, "local_files_only": True}
    model = load_weights(AutoModelForCausalLM, path, who, "language model", **options)
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
