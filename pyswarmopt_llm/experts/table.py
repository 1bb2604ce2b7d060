"""The table of experts that `inspect` prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pyswarmopt_llm.experts.adapter import AdapterInfo


@dataclass(frozen=True)
class ExpertRow:
    """One row; dashes for an expert that cannot be read.

    `norm` and `top_share` are those of its weight changes, see `outliers.inspect_weights`; `score`
    is that on the dev items of a task. None: not computed.
    """

    expert: str
    base: str = "-"
    rank: str = "-"
    alpha: str = "-"
    kind: str = "-"
    targets: str = "-"
    dtype: str = "-"
    parameters: int = 0
    bytes: int = 0
    norm: float | None = None
    top_share: float | None = None
    score: float | None = None


def rows_of(
    names: Sequence[str],
    experts: Sequence[AdapterInfo],
    spectra: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, float],
) -> tuple[ExpertRow, ...]:
    """One row per name; see `PreflightReport`."""
    read = {info.name: info for info in experts}
    return tuple(
        _row(read[name], spectra.get(name), scores.get(name)) if name in read else ExpertRow(name)
        for name in names
    )


def _row(info: AdapterInfo, spectra: Mapping[str, Any] | None, score: float | None) -> ExpertRow:
    ranks = sorted({shape.rank for shape in info.modules.values()})
    norms = [] if spectra is None else [spectrum.norm for spectrum in spectra.values()]
    shares = [] if spectra is None else [spectrum.share for spectrum in spectra.values()]
    return ExpertRow(
        expert=info.name,
        base=info.base_model_name or "-",
        rank=", ".join(map(str, ranks)),
        alpha=f"{info.config.peft.lora_alpha:g}",
        kind="rsLoRA" if info.config.peft.use_rslora else "LoRA",
        targets=", ".join(sorted({module.rsplit(".", 1)[-1] for module in info.modules})),
        dtype=", ".join(sorted({tensor.dtype for tensor in info.tensors.values()})),
        parameters=sum(math.prod(tensor.shape) for tensor in info.tensors.values()),
        bytes=info.weights_file.stat().st_size,
        norm=None if spectra is None else math.hypot(*norms),
        top_share=None if spectra is None else median(shares),
        score=score,
    )
