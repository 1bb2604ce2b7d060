"""The table of experts printed by `inspect`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pyswarmopt_llm.experts.adapter import AdapterInfo


@dataclass(frozen=True)
class ExpertRow:
    """A row; dashes for an unreadable expert."""

    expert: str
    base: str = "-"
    rank: str = "-"
    alpha: str = "-"
    kind: str = "-"
    targets: str = "-"
    dtype: str = "-"
    parameters: int = 0
    bytes: int = 0


def rows_of(names: Sequence[str], experts: Sequence[AdapterInfo]) -> tuple[ExpertRow, ...]:
    """The table of the experts, in the order of `names`."""
    read = {info.name: _row(info) for info in experts}
    return tuple(read.get(name, ExpertRow(name)) for name in names)


def weight_count(info: AdapterInfo) -> int:
    """Number of weights of an adapter."""
    return sum(math.prod(tensor.shape) for tensor in info.tensors.values())


def _row(info: AdapterInfo) -> ExpertRow:
    ranks = sorted({shape.rank for shape in info.modules.values()})
    return ExpertRow(
        expert=info.name,
        base=info.base_model_name or "-",
        rank=", ".join(map(str, ranks)),
        alpha=f"{info.config.lora_alpha:g}",
        kind="rsLoRA" if info.config.use_rslora else "LoRA",
        targets=", ".join(sorted({module.rsplit(".", 1)[-1] for module in info.modules})),
        dtype=", ".join(sorted({tensor.dtype for tensor in info.tensors.values()})),
        parameters=weight_count(info),
        bytes=info.weights_file.stat().st_size,
    )
