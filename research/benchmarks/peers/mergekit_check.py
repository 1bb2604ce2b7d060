#!/usr/bin/env python3
"""Our fixed rules against mergekit's (Goddard et al. 2024, arXiv 2403.13257), on the same weights:
a table.

mergekit is no dependency; put it beside this project, then compare on any base and its LoRA
experts:

    pip install --no-deps mergekit immutables sentencepiece
    python research/benchmarks/peers/mergekit_check.py --base runs/lab/base --experts runs/lab/experts/*

mergekit is given whole models, the base and the base with each expert merged in, in float64; what
it returns minus the base is compared with our weight change, which is left at full rank.
Differences are relative to the largest entry of mergekit's change in that module. Entries that
differ by more than a ten-thousandth are counted: they lie so near a threshold (the last one kept,
or the draw that just keeps it) that rounding decides. Rules that draw at random are given the same
draws: mergekit's `torch.bernoulli(p)` is answered with our draws, divided by p, and its own
rescaling is off.
"""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.experts.adapter import Adapter, load_adapter
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_rivals.methods import load_method
from pyswarmopt_rivals.methods.changes import side_by_side

Changes = dict[str, Tensor]  # module -> (n, out, in) float64, what each expert changes there

SEED = 3
ROUNDING = 1e-4  # of the largest entry; all arithmetic of ours is in float32


@dataclass(frozen=True)
class Case:
    """One of our methods and what mergekit calls the same.

    Attributes:
        ours, options: our method and its options.
        theirs, parameters: mergekit's name and parameters.
        based: whether mergekit is given the base; else the experts' changes are its models.
        first: how many of the experts take part.
    """

    ours: str
    options: Mapping[str, Any]
    theirs: str
    parameters: Mapping[str, Any]
    based: bool = True
    first: int | None = None


@dataclass(frozen=True)
class Shipped:
    """mergekit's own settings where they differ from the paper that we follow: how far that is from
    ours.
    """

    case: Case
    why: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


UNSCALED = {"rescale": False, "normalize": True}
TIES = {"weight": 1.0, "density": 0.2}
DARE = Case(
    "dare-linear", {"seed": SEED}, "dare_linear", {"weight": 0.4, "density": 0.5, "rescale": False}
)
DARE_TIES = Case(
    "dare-ties", {"seed": SEED}, "dare_ties", {"weight": 1.0, "density": 0.5, **UNSCALED}
)
DELLA = Case(
    "della", {"seed": SEED}, "della", {"weight": 1.0, "density": 0.5, "epsilon": 0.25, **UNSCALED}
)

CASES = (
    Case("uniform-soup", {}, "linear", {"weight": 1.0}, based=False),
    Case(
        "task-arithmetic",
        {"weights": (0.7, -0.2, 0.4)},
        "task_arithmetic",
        {"weight": [0.7, -0.2, 0.4]},
        first=3,
    ),
    Case("slerp", {"t": 0.3}, "slerp", {"t": 0.3}, based=False, first=2),
    Case("slerp", {"t": 0.3}, "nuslerp", {"weight": [0.7, 0.3]}, first=2),
    Case("model-stock", {}, "model_stock", {}),
    Case("ties", {}, "ties", TIES),
    DARE,
    DARE_TIES,
    DELLA,
    Case("breadcrumbs", {}, "breadcrumbs", {"weight": 0.2, "density": 0.15, "gamma": 0.006}),
)

SHIPPED = (
    Shipped(
        Case("ties", {"weights": (1.5, 1.0, 0.5)}, "ties", TIES, first=3),
        "weights 1.5, 1, 0.5: before the election, a weighted mean",
        {"weight": [1.5, 1.0, 0.5]},
    ),
    Shipped(DARE, "rescaled to each expert's L1 norm", {"rescale": True}),
    Shipped(
        DARE_TIES,
        "rescaled to the L1 norm, sum instead of mean",
        {"rescale": True, "normalize": False},
    ),
    Shipped(DELLA, "one scale for all entries, by the L1 norm", {"rescale": True}),
)


def our_change(experts: Sequence[Adapter], case: Case) -> dict[str, Tensor]:
    """Module -> our change at full rank."""
    method = load_method(case.ours)
    patch = method.execute(experts, method.settings(len(experts), "delta", **case.options)).patch
    changes = {name: change.dense() for name, change in patch.low_rank.items()} | dict(
        patch.full_rank
    )
    return {name.removesuffix(".weight"): change.double() for name, change in changes.items()}


def their_change(
    base: Mapping[str, Tensor], changes: Changes, case: Case, same_draws: bool
) -> dict[str, Tensor]:
    """Module -> what mergekit adds to the base."""
    from mergekit.merge_methods.api import merge_tensors

    generator = torch.Generator().manual_seed(SEED)
    found = {}
    for module, parts in changes.items():  # in the order of our draws
        drawn = torch.rand(parts.shape, generator=generator)
        models = (
            [base[module], *(base[module] + part for part in parts)] if case.based else list(parts)
        )
        index = 0 if case.based or case.theirs == "slerp" else None
        with answered(iter(drawn), same_draws):
            merged = merge_tensors(
                models, case.theirs, parameters=case.parameters, base_index=index
            )
        found[module] = merged.double() - (base[module] if case.based else 0)
    return found


@contextmanager
def answered(draws: Iterator[Tensor], divide: bool) -> Iterator[None]:
    """`torch.bernoulli` with our draws, an expert after the other; divided by p if asked for."""
    own = torch.bernoulli

    def bernoulli(p: Tensor) -> Tensor:
        kept = (next(draws) < p).to(p.dtype)
        return kept / p if divide else kept

    torch.bernoulli = bernoulli  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.bernoulli = own


def agreement(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> tuple[int, int, float]:
    """Entries that differ, entries in all, and the largest relative difference of the others."""
    off = torch.cat(
        [((ours[m] - theirs[m]).abs() / theirs[m].abs().max()).flatten() for m in theirs]
    )
    alike = off <= ROUNDING
    return int((~alike).sum()), len(off), float(off[alike].max())


def overall(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """Frobenius norm of the difference over that of mergekit's change, all modules together."""
    lost = sum(float((ours[m] - theirs[m]).square().sum()) for m in theirs)
    return (lost / sum(float(theirs[m].square().sum()) for m in theirs)) ** 0.5


def read(base_name: str, folders: Sequence[str]) -> tuple[dict[str, Tensor], list[Adapter]]:
    """The base's weights in float64 by module, and the experts."""
    base = resolve_base(base_name)
    experts = [load_adapter(info) for info in inspect_experts(folders, base).experts]
    model, _ = load_model(base, torch.float32)
    weights = {name: p.detach().double() for name, p in model.named_parameters()}
    return {
        m: weights[f"{m}.weight"] for m in sorted({m for e in experts for m in e.factors})
    }, experts


def compared(
    base: Mapping[str, Tensor], experts: Sequence[Adapter], case: Case, same_draws: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Our change and mergekit's; `same_draws`: already divided by p, as ours are."""
    chosen = experts[: case.first]
    parts = side_by_side(chosen)
    changes = {name.removesuffix(".weight"): part.dense().double() for name, part in parts.items()}
    return our_change(chosen, case), their_change(base, changes, case, same_draws)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", required=True)
    parser.add_argument("--experts", nargs="+", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    base, experts = read(args.base, args.experts)
    print(
        f"mergekit {importlib.metadata.version('mergekit')}, {len(experts)} experts, {len(base)} "
        "modules\n"
    )
    print(
        "| ours | mergekit | entries that differ | largest difference of the others "
        "|\n|---|---|---|---|"
    )
    for case in CASES:
        differ, of, rest = agreement(*compared(base, experts, case, same_draws=True))
        print(f"| {case.ours} | {case.theirs} | {differ} of {of:,} | {rest:.0e} |", flush=True)
    print(
        "\n| mergekit as it is shipped | where it differs | Frobenius norm of the difference "
        "|\n|---|---|---|"
    )
    for shipped in SHIPPED:
        case = shipped.case
        own = replace(case, parameters={**case.parameters, **shipped.parameters})
        far = overall(*compared(base, experts, own, same_draws=False))
        print(f"| {case.theirs} | {shipped.why} | {far:.1%} |", flush=True)


if __name__ == "__main__":
    main()
