"""Write a LoRA adapter in the format of `peft`: adapter_config.json and
adapter_model.safetensors.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from pyswarmopt_llm.experts.files import atomic_directory

PREFIX = "base_model.model."  # peft's prefix of module names in a causal language model


def write_adapter(
    out: Path,
    factors: Mapping[str, tuple[Tensor, Tensor]],
    *,
    base_model_name: str,
    target_modules: Iterable[str],
    alpha: float | None = None,
    card: str | None = None,
) -> None:
    """Write one LoRA adapter directory atomically.

    Args:
        out: the directory to create; it must not exist or be empty.
        factors: module name (such as ``model.layers.0.self_attn.q_proj``) -> (b, a) with shapes
            (out, r) and (r, in), in the dtype to be stored. Ranks may differ between modules.
        base_model_name: the id or directory of the base model.
        target_modules: suffixes or full names that select these modules in the base.
        alpha: LoRA alpha; the default is each module's own rank, so that the scale alpha / r is 1.
        card: text of README.md; default: no card.

    Raises:
        UserError: `out` already exists or cannot be created.
    """
    ranks = {module: a.shape[0] for module, (_, a) in factors.items()}
    rank = Counter(ranks.values()).most_common(1)[0][0]
    other = {module: r for module, r in sorted(ranks.items()) if r != rank}
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model_name,
        "r": rank,
        "lora_alpha": rank if alpha is None else alpha,
        "rank_pattern": other,
        "alpha_pattern": other if alpha is None else {},
        "target_modules": sorted(target_modules),
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    tensors = {}
    for module, (b, a) in factors.items():
        tensors[f"{PREFIX}{module}.lora_A.weight"] = a.contiguous()
        tensors[f"{PREFIX}{module}.lora_B.weight"] = b.contiguous()
    with atomic_directory(out) as folder:
        text = json.dumps(config, indent=2, sort_keys=True) + "\n"
        (folder / "adapter_config.json").write_text(text, encoding="utf-8")
        data = safetensors.torch.save(tensors, metadata={"format": "pt"})
        (folder / "adapter_model.safetensors").write_bytes(data)
        if card is not None:
            (folder / "README.md").write_text(card, encoding="utf-8")
