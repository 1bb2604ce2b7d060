"""The plots of `swarm-llm analyse`, by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import replacing
from pyswarmopt_llm.reporting.reading import Emergence, Origin, Variant

_CASES = {
    "kept": ("some expert and the swarm right", "tab:blue"),
    "emerged": ("no expert, the swarm right", "tab:green"),
    "lost": ("some expert right, the swarm wrong", "tab:orange"),
    "never": ("nobody right", "0.8"),
}


def plot_emergence(file: Path, labels: Sequence[str], cases: Sequence[Mapping[str, Emergence]]) -> None:
    """Stacked shares of the four cases, a bar for each run and task."""
    bars = [
        (f"{label}\n{task}", case) for label, of_run in zip(labels, cases, strict=True) for task, case in of_run.items()
    ]
    figure, axes = _figure(width=max(5.0, 1.2 * len(bars)))
    bottoms = [0.0] * len(bars)
    for name, (meaning, colour) in _CASES.items():
        totals = [case.kept + case.lost + case.emerged + case.never for _, case in bars]
        shares = [getattr(case, name) / total for (_, case), total in zip(bars, totals, strict=True)]
        axes.bar(range(len(bars)), shares, bottom=bottoms, color=colour, label=meaning)
        bottoms = [b + s for b, s in zip(bottoms, shares, strict=True)]
    axes.set(ylabel="share of dev items", ylim=(0, 1))
    axes.set_xticks(range(len(bars)), [label for label, _ in bars])
    figure.legend(loc="outside upper center")  # in one column: two are wider than a picture of a few bars
    with replacing(file) as stream:
        figure.savefig(stream, dpi=120)


def plot_origin(file: Path, origins: Sequence[Origin]) -> None:
    """Where the best particles started: rank among the starting swarm against what became of them."""
    figure, axes = _figure()
    for start in origins:
        if start.promised:
            axes.axhline(start.value, color="tab:red", linestyle="--", linewidth=1)
            continue
        axes.plot([start.rank, start.rank], [start.start, start.value], "-", color="0.7")
        axes.plot(start.rank, start.start, "o", color="tab:orange")
        axes.plot(start.rank, start.value, "*", color="tab:red", markersize=12)
    population = max(start.population for start in origins)
    axes.axvline((population + 1) / 2, linestyle=":", color="0.5")
    axes.set_xlabel("rank of its start in the swarm (1 is best)")
    axes.set_ylabel("dev: start (dot), end (star), proposed (dashes)")
    axes.set_xlim(0, population + 1)
    with replacing(file) as stream:
        figure.savefig(stream, dpi=120)


def plot_variants(file: Path, variants: Sequence[Variant]) -> None:
    """Dev and test of the searches of a study, side by side."""
    figure, axes = _figure(width=max(5.0, 1.1 * len(variants)))
    places = range(len(variants))
    axes.bar([p - 0.2 for p in places], [t.dev for t in variants], width=0.4, color="0.7", label="dev")
    tested = [(p, t.test) for p, t in zip(places, variants, strict=True) if t.test is not None]
    axes.bar([p + 0.2 for p, _ in tested], [v for _, v in tested], width=0.4, color="tab:blue", label="test")
    axes.set_xticks(list(places), [t.label.replace(" ", "\n") for t in variants])
    axes.legend()
    with replacing(file) as stream:
        figure.savefig(stream, dpi=120)


def _figure(width: float = 5.0) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError('the plots need matplotlib; install it with: pip install "pyswarmopt[llm]"') from error
    figure = Figure(figsize=(width, 4), layout="constrained")
    return figure, figure.subplots()


__all__ = ["plot_emergence", "plot_origin", "plot_variants"]
