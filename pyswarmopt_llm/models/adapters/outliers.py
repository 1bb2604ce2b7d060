"""Adapters whose weights stand out in a pool: too loud, too quiet, or all in one direction. No model is run.

A sign of damage, of another training recipe or of manipulation, not a proof of any: detectors of backdoors in LoRA
adapters are classifiers of such spectra (arXiv 2602.15195), which need labelled adapters of the same base. The bounds
here are rules of thumb: in two pools of 12 and 8 clean experts the largest and smallest ratios of norms were 3.3 and
0.48, the largest excess of the share 0.04.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.common.options import command_words
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo, load_factors
from pyswarmopt_llm.models.adapters.compatibility import PreflightReport, Problem

LEAST = 3  # adapters from which on one of them can be an outlier
RATIO = 5.0  # between norms of one module
EXCESS = 0.15  # of the share of the first singular value, median over modules


@dataclass(frozen=True)
class Spectrum:
    """Of the weight change of one module.

    Attributes:
        norm: Frobenius norm.
        share: of its square that is in the first singular value, 1 / rank to 1; 0 for a change of zero.
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
    return Spectrum(math.sqrt(total), float(squares[0]) / total if total else 0.0, change.a.shape[0])


def inspect_weights(report: PreflightReport, base: str | None = None) -> PreflightReport:
    """The report with norms and shares in its rows, an error per adapter that is not finite, a warning per outlier.

    Args:
        report: of `inspect_experts`.
        base: as the user gave it, for the command that the warnings name.
    """
    spectra: dict[str, Spectra] = {}
    problems = list(report.problems)
    for info in report.experts:
        if not info.config.dora:  # an error already, and no plain product
            try:
                spectra[info.name] = {name: spectrum(change) for name, change in load_factors(info).items()}
            except UserError as error:
                problems.append(Problem(info.name, error.text))
    for info in report.experts:
        if info.name in spectra and (words := "; ".join(_oddities(info.name, spectra))):
            problems.append(Problem(info.name, f"{words}; {_remedy(info, base)}", "warning"))
    rows = tuple(
        replace(row, norm=_norm(spectra[row.expert]), top_share=_share(spectra[row.expert]))
        if row.expert in spectra
        else row
        for row in report.rows
    )
    return replace(report, rows=rows, problems=tuple(problems))


def _norm(own: Spectra) -> float:
    return math.sqrt(math.fsum(one.norm**2 for one in own.values()))


def _share(own: Spectra) -> float:
    """The median over modules."""
    return median(one.share for one in own.values())


def _oddities(name: str, spectra: Mapping[str, Spectra]) -> Iterator[str]:
    """In what an adapter differs from its pool, in words; medians are over the whole pool, itself included."""
    own = spectra[name]
    pools = {module: _pool(module, spectra) for module in own}
    ratios = {module: own[module].norm / middle for module, pool in pools.items() if (middle := _middle(pool)) > 0}
    loud = {module: ratio for module, ratio in ratios.items() if ratio > RATIO}
    quiet = {module: ratio for module, ratio in ratios.items() if ratio < 1 / RATIO}
    for odd, worst, bound in ((loud, max, f"over {RATIO:g} times"), (quiet, min, f"under 1/{RATIO:g}")):
        if odd:
            module = worst(odd, key=odd.__getitem__)
            yield (
                f"changes {module.removesuffix('.weight')} {odd[module]:.3g} times as much as the median of the pool "
                f"({len(odd)} of {len(own)} modules {bound})"
            )
    # A lower rank alone raises the share: only equals are compared.
    equals = {module: [one for one in pool if one.rank == own[module].rank] for module, pool in pools.items()}
    excesses = [
        own[module].share - median(one.share for one in pool) for module, pool in equals.items() if len(pool) >= LEAST
    ]
    if excesses and median(excesses) > EXCESS:
        yield (
            f"has {_share(own):.0%} of its change in one direction per module, {median(excesses):.0%} more than the "
            "median of the pool"
        )


def _pool(module: str, spectra: Mapping[str, Spectra]) -> list[Spectrum]:
    """All adapters' spectra of a module."""
    return [own[module] for own in spectra.values() if module in own]


def _middle(pool: Sequence[Spectrum]) -> float:
    """The median norm; 0 where the pool is too small to tell."""
    return median(one.norm for one in pool) if len(pool) >= LEAST else 0.0


def _remedy(info: AdapterInfo, base: str | None) -> str:
    settings = (("base", base or "BASE"), ("adapter", info.path), ("against", "base"), ("task", "TASK.json"))
    return f"see what it does ({shlex.join(command_words('eval', *settings))}), or remove it"
