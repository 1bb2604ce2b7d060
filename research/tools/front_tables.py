"""The table of fronts in the laboratory, from research/evidence/lab-fronts.jsonl."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from outcomes import markdown

from pyswarmopt import hypervolume

EVIDENCE = Path(__file__).resolve().parents[1] / "evidence" / "lab-fronts.jsonl"
LABELS = {
    "knob": "best adapter, 40 strengths",
    "random": "random mixtures",
    "NSGA-II": "NSGA-II",
    "TPE": "TPE of optuna",
    "scalar": "five weighted sums, same surrogate",
    "front": "`--front`",
}
DRAWS = 4000  # of the bootstrap
Volumes = npt.NDArray[np.float64]  # (builds, seeds)


@cache
def volumes() -> Mapping[str, Volumes]:
    """Method -> the hypervolume on test of what a build and a seed found, beyond the base's scores."""
    rows = [json.loads(line) for line in EVIDENCE.read_text(encoding="utf-8").splitlines()]
    base = {row["build"]: np.array(row["test"][0]) for row in rows if row["method"] == "base"}
    found: dict[str, dict[int, list[float]]] = {name: {} for name in LABELS}
    for row in rows:
        if row["method"] in found:
            corner = base[row["build"]]
            volume = hypervolume(-np.array(row["test"]), -corner)
            found[row["method"]].setdefault(row["build"], []).append(volume)
    return {name: np.array([*builds.values()]) for name, builds in found.items()}


def ahead(ours: Volumes, theirs: Volumes) -> tuple[float, float, float]:
    """How much larger the mean of ours is, in percent, with its 95% interval by a bootstrap over
    builds, and over seeds within each.
    """
    rng = np.random.default_rng(0)
    builds, seeds = ours.shape
    gains = []
    for _ in range(DRAWS):
        chosen = (
            rng.integers(builds, size=builds)[:, None],
            rng.integers(seeds, size=(builds, seeds)),
        )
        gains.append(ours[chosen].mean() / theirs[chosen].mean() - 1)
    low, high = np.quantile(gains, (0.025, 0.975))
    return tuple(100 * gain for gain in (ours.mean() / theirs.mean() - 1, low, high))


def lab_fronts() -> str:
    """A row for each method: its hypervolume, and how far the front is ahead of it."""
    found = volumes()
    ours = found["front"]
    rows: list[Sequence[str]] = []
    for name, label in LABELS.items():
        theirs = found[name]
        text = ""
        if name != "front":
            text = "{:+.0f}% [{:+.0f}%, {:+.0f}%]".format(*ahead(ours, theirs))
        rows.append([label, f"{theirs.mean():.2f}", text])
    builds, seeds = ours.shape
    head = [f"{builds} builds, {seeds} seeds each", "hypervolume, test", "`--front` ahead"]
    return markdown(head, rows)


TABLES = {"lab-fronts": lab_fronts}
