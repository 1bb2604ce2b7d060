"""Adapters whose weights stand out in a pool: too loud, too quiet, or all in one direction.

A sign of damage, of another training recipe or of manipulation, not a proof of any: detectors of
backdoors in LoRA adapters are classifiers of such spectra (arXiv 2602.15195), which need labelled
adapters of the same base. The bounds here are rules of thumb: in two pools of 12 and 8 clean
experts the largest and smallest ratios of norms were 3.3 and 0.48, the largest excess of the share
0.04.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median

import torch

from pyswarmopt_llm.common.commands import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors
from pyswarmopt_llm.experts.compatibility import PreflightReport, Problem

LEAST = 3  # adapters from which on one of them can be an outlier
RATIO = 5.0  # between norms of one module
IDLE = "changes nothing: B is zero in all its modules, as before training; train it, or export it again"
EXCESS = 0.15  # of the share of the first singular value, median over modules


@dataclass(frozen=True)
class Spectrum:
    """Of the weight change of one module.

    Attributes:
        norm: Frobenius norm.
        share: of its square that is in the first singular value, 1 / rank to 1; 0 for a change of
            zero.
        rank: of the factors.
    """

    norm: float
    share: float
    rank: int


Spectra = Mapping[str, Spectrum]  # by module


def spectrum(change: LowRank) -> Spectrum:
    """The spectrum of ``b @ a``, by QR of the factors: the product itself is never formed.

    Example:
        >>> import torch
        >>> spectrum(LowRank(b=torch.tensor([[3.0, 0.0], [0.0, 4.0]]), a=torch.eye(2)))
        Spectrum(norm=5.0, share=0.64, rank=2)
    """
    left, right = torch.linalg.qr(change.b.double()).R, torch.linalg.qr(change.a.double().T).R
    squares = torch.linalg.svdvals(left @ right.T) ** 2
    total = float(squares.sum())
    return Spectrum(
        math.sqrt(total), float(squares[0]) / total if total else 0.0, change.a.shape[0]
    )


def inspect_weights(report: PreflightReport, base: str | None = None) -> PreflightReport:
    """The report with spectra, an error per adapter that is damaged, outliers' warnings.

    Args:
        report: of `inspect_experts`.
        base: as the user gave it, for the command that the warnings name.
    """
    pool: dict[str, Spectra] = {}
    problems = list(report.problems)
    for info in report.experts:
        try:
            pool[info.name] = {
                name: spectrum(change) for name, change in load_factors(info).items()
            }
        except UserError as error:
            problems.append(Problem(info.name, error.text))
    for info in report.experts:
        spectra: Spectra = pool.get(info.name, {})
        if words := [*_oddities(spectra, pool.values())]:
            problems.append(Problem(info.name, "; ".join([*words, _remedy(info, base)]), "warning"))
        elif spectra and not any(spectrum.norm for spectrum in spectra.values()):
            problems.append(Problem(info.name, IDLE, "warning"))
    return replace(report, problems=tuple(problems), spectra=pool)


def _share(spectra: Spectra) -> float:
    """The median over modules."""
    return median(spectrum.share for spectrum in spectra.values())


def _oddities(spectra: Spectra, pool: Collection[Spectra]) -> Iterator[str]:
    """Differences of an adapter that changes something from its pool, in words; it is a part."""
    if not any(spectrum.norm for spectrum in spectra.values()):
        return
    ratios: dict[str, float] = {}
    excesses: list[float] = []
    for module, spectrum in spectra.items():
        others = [other[module] for other in pool if module in other]
        norm = median(other.norm for other in others)
        if len(others) >= LEAST and norm > 0:
            ratios[module] = spectrum.norm / norm
        # A lower rank alone raises the share: only equals are compared.
        shares = [other.share for other in others if other.rank == spectrum.rank]
        if len(shares) >= LEAST:
            excesses.append(spectrum.share - median(shares))
    loud = {module: ratio for module, ratio in ratios.items() if ratio > RATIO}
    quiet = {module: ratio for module, ratio in ratios.items() if ratio < 1 / RATIO}
    for odd, worst, bound in (
        (loud, max, f"over {RATIO:g} times"),
        (quiet, min, f"under 1/{RATIO:g}"),
    ):
        if odd:
            module = worst(odd, key=odd.__getitem__)
            yield (
                f"changes {module.removesuffix('.weight')} {odd[module]:.3g} times as much as the "
                f"median of the pool ({len(odd)} of {len(spectra)} modules {bound})"
            )
    if excesses and median(excesses) > EXCESS:
        yield (
            f"has {_share(spectra):.0%} of its change in one direction per module, "
            f"{median(excesses):.0%} more than the median of the pool"
        )


def _remedy(info: AdapterInfo, base: str | None) -> str:
    models = {"base": base or "BASE", "adapter": info.path, "against": "base"}
    return f"see what it does ({command('eval', **models, task='TASK.json')}), or remove it"
