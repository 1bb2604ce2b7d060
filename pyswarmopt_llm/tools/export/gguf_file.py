"""Write an adapter as a GGUF file, for llama.cpp and Ollama to apply to its base.

The layout is llama.cpp's: names by the table of the `gguf` package, and for the llama architecture
the rows of each query and key head in the order that its rotary embedding expects, pairs
(i, i + d/2) side by side. Whole models are left to llama.cpp's own converter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.tools.export.source import Source

CONVERTER = "llama.cpp's convert_lora_to_gguf.py converts it"


# Architectures, by the name that transformers and llama.cpp give them -> whether llama.cpp reorders
# the rows of queries and keys.
ARCHITECTURES = {"llama": True, "qwen2": False, "qwen3": False}


@dataclass(frozen=True)
class Layout:
    """The place in a GGUF file of a weight of a model of transformers.

    Attributes:
        architecture: of `ARCHITECTURES`.
        config: its configuration, of transformers.
    """

    architecture: str
    config: Any

    @classmethod
    def of(cls, source: Source) -> Layout:
        """The layout for a model.

        Raises:
            UserError: its architecture is not one of `ARCHITECTURES`.
        """
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(
            source.base.path, trust_remote_code=False, local_files_only=True
        )
        if config.model_type not in ARCHITECTURES:
            raise UserError(
                f"{source.base.spec}: {config.model_type} is not among the architectures written "
                f"as GGUF ({', '.join(ARCHITECTURES)}); {CONVERTER}"
            )
        return cls(config.model_type, config)

    @cached_property
    def _names(self) -> Any:
        """The table of the `gguf` package: names of transformers -> names in a GGUF file."""
        import gguf

        names = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
        return gguf.get_tensor_name_map(names[self.architecture], self.config.num_hidden_layers)

    def name(self, weight: str) -> str:
        """The name in a GGUF file, such as ``blk.0.attn_q.weight``.

        Raises:
            UserError: the architecture has no such weight.
        """
        name = self._names.get_name(weight, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise UserError(
                f"{weight}: no weight of llama.cpp's {self.architecture}; use `form` merged"
            )
        return str(name)

    def reordered(self, weight: str, value: Tensor) -> Tensor:
        """Rows of queries and keys as llama.cpp expects them; other values as they are."""
        module = weight.rpartition(".")[0]
        if not ARCHITECTURES[self.architecture] or not module.endswith(("q_proj", "k_proj")):
            return value
        config = self.config
        is_query = module.endswith("q_proj")
        heads = config.num_attention_heads if is_query else config.num_key_value_heads
        return value.reshape(heads, 2, -1, *value.shape[1:]).transpose(1, 2).reshape(value.shape)


def write_lora(source: Source, layout: Layout, path: Path) -> None:
    """Write an adapter in float32.

    llama.cpp scales each pair of factors by alpha / its own rank. Alpha is `lora_alpha` of all
    changes, and B of a pair of smaller rank is divided by what that adds.

    Raises:
        UserError: a weight that the architecture does not have.
    """
    alpha = lora_alpha(source.changes)
    factors: dict[str, Tensor] = {}
    for weight, change in source.changes.items():
        name = layout.name(weight)
        factors[f"{name}.lora_a"] = change.a
        factors[f"{name}.lora_b"] = layout.reordered(weight, change.b * (change.a.shape[0] / alpha))
    _write(source, layout, path, factors)


def lora_alpha(changes: Mapping[str, LowRank]) -> int:
    """The alpha of a GGUF adapter: its largest rank."""
    return max(change.a.shape[0] for change in changes.values())


def _write(source: Source, layout: Layout, path: Path, factors: Mapping[str, Tensor]) -> None:
    """Header and metadata first, then one tensor after another."""
    import gguf

    writer = gguf.GGUFWriter(path, layout.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(lora_alpha(source.changes)))
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, source.base.name)
    for name, factor in factors.items():
        size = 4 * math.prod(factor.shape)
        writer.add_tensor_info(name, tuple(factor.shape), np.dtype(np.float32), size)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for factor in factors.values():
            writer.write_tensor_data(factor.contiguous().numpy())
    finally:
        writer.close()
