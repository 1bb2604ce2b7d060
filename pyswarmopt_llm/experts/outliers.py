"""Adapters whose weights stand out in a pool: too loud, too quiet, or all in one direction.

A sign of damage, of another training recipe or of manipulation, not a proof of any: detectors of
backdoors in LoRA adapters are classifiers of such spectra (arXiv 2602.15195), which need labelled
adapters of the same base. The bounds here are rules of thumb: in two pools of 12 and 8 clean
experts the largest and smallest ratios of norms were 3.3 and 0.48, the largest excess of the share
0.04.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median

import torch

from pyswarmopt_llm.common.commands import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.adapter import load_factors
from pyswarmopt_llm.experts.compatibility import PreflightReport, Problem

LEAST = 3  # adapters from which on one of them can be an outlier
RATIO = 5.0  # between norms of one module
IDLE = "changes nothing: B is zero in all its modules, as before training; train it, or export it again"
EXCESS = 0.15  # of the share of the first singular value, median over modules


@dataclass(frozen=True)
class Spectrum:
    """The spectrum of one module's weight change.

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
            changes = load_factors(info)
        except UserError as error:
            problems.append(Problem(info.name, error.text))
        else:
            pool[info.name] = {name: spectrum(change) for name, change in changes.items()}
    for info in report.experts:
        spectra = pool.get(info.name, {})
        if not any(spectrum.norm for spectrum in spectra.values()):
            words = [IDLE] if spectra else []
        elif words := [*_unusual_norms(spectra, pool), *_unusual_shares(spectra, pool)]:
            models = {"base": base or "BASE", "adapter": info.path, "against": "base"}
            seen = command("eval", **models, task="TASK.json")
            words.append(f"see what it does ({seen}), or remove it")
        if words:
            problems.append(Problem(info.name, "; ".join(words), "warning"))
    return replace(report, problems=tuple(problems), spectra=pool)


def _unusual_norms(spectra: Spectra, pool: Mapping[str, Spectra]) -> Iterator[str]:
    """How an adapter's changes are louder or quieter than those of its pool, which it is in."""
    ratios = {}
    for module, spectrum in spectra.items():
        norms = [other[module].norm for other in pool.values() if module in other]
        if len(norms) >= LEAST and median(norms) > 0:
            ratios[module] = spectrum.norm / median(norms)
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


def _unusual_shares(spectra: Spectra, pool: Mapping[str, Spectra]) -> Iterator[str]:
    """How much more of an adapter's changes than of its pool's is in one direction a module."""
    excesses = []
    for module, spectrum in spectra.items():
        others = (other[module] for other in pool.values() if module in other)
        # A lower rank alone raises the share: only equals are compared.
        shares = [other.share for other in others if other.rank == spectrum.rank]
        if len(shares) >= LEAST:
            excesses.append(spectrum.share - median(shares))
    if excesses and median(excesses) > EXCESS:
        share = median(spectrum.share for spectrum in spectra.values())
        yield (
            f"has {share:.0%} of its change in one direction per module, {median(excesses):.0%} "
            "more than the median of the pool"
        )
