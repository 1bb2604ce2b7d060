"""The table of experts that `inspect` prints."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pyswarmopt_llm.models.adapters.adapter import AdapterInfo
from pyswarmopt_llm.models.adapters.compatibility import PreflightReport
from pyswarmopt_llm.models.adapters.outliers import median_share


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


def rows_of(report: PreflightReport) -> tuple[ExpertRow, ...]:
    """One row per expert, in the order given."""
    return tuple(_rows(report))


def _rows(report: PreflightReport) -> Iterator[ExpertRow]:
    experts = {info.name: info for info in report.experts}
    for name in report.names:
        if name in experts:
            yield _row(experts[name], report)
        else:
            yield ExpertRow(name)


def _row(info: AdapterInfo, report: PreflightReport) -> ExpertRow:
    ranks = sorted({shape.rank for shape in info.modules.values()})
    spectra = report.spectra.get(info.name)
    norms = [] if spectra is None else [spectrum.norm for spectrum in spectra.values()]
    return ExpertRow(
        expert=info.name,
        base=info.base_model_name or "-",
        rank=", ".join(map(str, ranks)),
        alpha=f"{info.config.alpha:g}",
        kind="rsLoRA" if info.config.rslora else "LoRA",
        targets=", ".join(sorted({module.rsplit(".", 1)[-1] for module in info.modules})),
        dtype=", ".join(sorted({tensor.dtype for tensor in info.tensors.values()})),
        parameters=sum(math.prod(tensor.shape) for tensor in info.tensors.values()),
        bytes=info.weights_file.stat().st_size,
        norm=None if spectra is None else math.hypot(*norms),
        top_share=None if spectra is None else median_share(spectra),
        score=report.scores.get(info.name),
    )
