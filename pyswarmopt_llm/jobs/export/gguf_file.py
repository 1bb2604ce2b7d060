"""Write GGUF files: a whole model, or an adapter for use with its base, one tensor in memory at a time.

The layout of the llama architecture is llama.cpp's: names by the table of the `gguf` package, and the rows of each
query and key head in the order that its rotary embedding expects, pairs (i, i + d/2) side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.jobs.export.source import Source

Describe = Callable[[Any], None]


class Architecture(NamedTuple):
    """How llama.cpp calls an architecture, and whether it reorders the rows of queries and keys."""

    name: str
    reorders: bool


# transformers' model_type -> llama.cpp's.
ARCHITECTURES = {
    "llama": Architecture("llama", True),
    "qwen2": Architecture("qwen2", False),
    "qwen3": Architecture("qwen3", False),
}


@dataclass(frozen=True)
class Layout:
    """Where a weight of a model of transformers belongs in a GGUF file.

    Attributes:
        architecture: of the model.
        config: its configuration, of transformers.
    """

    architecture: Architecture
    config: Any

    @classmethod
    def of(cls, source: Source) -> Layout:
        """The layout for a model.

        Raises:
            UserError: its architecture is not one of `ARCHITECTURES`.
        """
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(source.base.path, trust_remote_code=False, local_files_only=True)
        if config.model_type not in ARCHITECTURES:
            raise UserError(
                f"{source.base.spec}: {config.model_type} is not among the architectures written as GGUF "
                f"({', '.join(ARCHITECTURES)}); use --format merged, then llama.cpp's convert_hf_to_gguf.py on it"
            )
        return cls(ARCHITECTURES[config.model_type], config)

    @cached_property
    def _names(self) -> Any:
        """The table of the `gguf` package: names of transformers -> names in a GGUF file."""
        import gguf

        kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == self.architecture.name)
        return gguf.get_tensor_name_map(kind, self.config.num_hidden_layers)

    def name(self, weight: str) -> str:
        """The name in a GGUF file, such as ``blk.0.attn_q.weight``.

        Raises:
            UserError: the architecture has no such weight.
        """
        found = self._names.get_name(weight, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise UserError(f"{weight}: no weight of llama.cpp's {self.architecture.name}; use --format merged")
        return str(found)

    def omits(self, weight: str) -> bool:
        """Whether a stored tensor follows from others: tied output weights, and frequencies of old checkpoints."""
        tied = self.config.tie_word_embeddings and weight == "lm_head.weight"
        return tied or weight.endswith("rotary_emb.inv_freq")

    def reordered(self, weight: str, value: Tensor) -> Tensor:
        """Rows of a query or key projection as llama.cpp expects them; every other value as it is."""
        module = weight.rpartition(".")[0]
        if not self.architecture.reorders or not module.endswith(("q_proj", "k_proj")):
            return value
        query = module.endswith("q_proj")
        heads = self.config.num_attention_heads if query else self.config.num_key_value_heads
        return value.reshape(heads, 2, -1, *value.shape[1:]).transpose(1, 2).reshape(value.shape)


@dataclass(frozen=True)
class Entry:
    """A tensor of a GGUF file.

    Attributes:
        name: there.
        shape: of the tensor, as PyTorch orders it.
        kind: F32, F16 or Q8_0.
        value: makes it, float32.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    value: Callable[[], Tensor]


def write_model(source: Source, layout: Layout, path: Path, kind: str, describe: Describe) -> None:
    """Write a merged model.

    Args:
        source: the model.
        layout: its layout.
        path: the file, in a directory of our own.
        kind: ``f16`` or ``q8_0``, of matrices; vectors are float32. Q8_0 needs rows of a multiple of 32, others
            stay F16.
        describe: adds the metadata to a `gguf.GGUFWriter`.

    Raises:
        UserError: a weight that float16 cannot hold, or that the architecture does not have.
    """
    entries = [
        Entry(layout.name(weight), shape, _kind(shape, kind), partial(_exact, source, layout, weight))
        for weight, shape in source.stored.shapes.items()
        if not layout.omits(weight)
    ]
    entries += [Entry(name, tuple(v.shape), "F32", v.clone) for name, v in _rotary_factors(layout).items()]
    _write(path, layout, entries, describe)


def write_lora(source: Source, layout: Layout, path: Path, describe: Describe) -> None:
    """Write an adapter, float32, for use with its base.

    llama.cpp scales each pair by alpha / its own rank. Alpha, which `describe` has to state, is `lora_alpha`, and the B
    of a smaller rank is divided by what that adds.
    """
    alpha, entries = lora_alpha(source.changes), []
    for weight, change in source.changes.items():
        b = layout.reordered(weight, change.b * (change.a.shape[0] / alpha))
        for factor, name in ((change.a, "lora_a"), (b, "lora_b")):
            entries.append(Entry(f"{layout.name(weight)}.{name}", tuple(factor.shape), "F32", factor.clone))
    _write(path, layout, entries, describe)


def lora_alpha(changes: Mapping[str, LowRank]) -> int:
    """The alpha of a GGUF adapter: its largest rank."""
    return max(change.a.shape[0] for change in changes.values())


def _write(path: Path, layout: Layout, entries: list[Entry], describe: Describe) -> None:
    """Header and metadata first, then one tensor after another."""
    import gguf

    writer = gguf.GGUFWriter(path, layout.architecture.name)
    describe(writer)
    for entry in entries:
        kind = gguf.GGMLQuantizationType[entry.kind]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        dtype = np.dtype(np.float32)  # what is packed; `raw_dtype` is what is stored
        writer.add_tensor_info(entry.name, entry.shape, dtype, math.prod(entry.shape) // block * size, raw_dtype=kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for entry in entries:
            writer.write_tensor_data(_packed(entry))
    finally:
        writer.close()


def _kind(shape: tuple[int, ...], wanted: str) -> str:
    if len(shape) < 2:
        return "F32"
    return "Q8_0" if wanted == "q8_0" and shape[-1] % 32 == 0 else "F16"


def _exact(source: Source, layout: Layout, weight: str) -> Tensor:
    return layout.reordered(weight, source.exact(weight))


def _packed(entry: Entry) -> Any:
    """The tensor's array in its kind."""
    import gguf

    with np.errstate(over="ignore"):
        found = gguf.quantize(entry.value().contiguous().numpy(), gguf.GGMLQuantizationType[entry.kind])
    if entry.kind == "F16" and not np.isfinite(found).all():
        raise UserError(f"{entry.name}: has weights beyond the range of float16; use --type q8_0")
    return found


def _rotary_factors(layout: Layout) -> dict[str, Tensor]:
    """Factors by which Llama 3 stretches its rotary frequencies; llama.cpp reads them as a tensor."""
    rope = layout.config.rope_parameters
    if rope["rope_type"] != "llama3":
        return {}
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    stretched, _ = ROPE_INIT_FUNCTIONS["llama3"](layout.config, torch.device("cpu"))
    size = head_size(layout.config)
    plain = rope["rope_theta"] ** -(torch.arange(0, size, 2, dtype=torch.float32) / size)
    return {"rope_freqs.weight": plain / stretched}


def head_size(config: Any) -> int:
    """Width of an attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
