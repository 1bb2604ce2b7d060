"""The tables of fronts in the laboratory, from research/evidence/lab-fronts.jsonl."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from outcomes import markdown

from pyswarmopt.driver.multi.pareto import hypervolume

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
Point = Sequence[float]  # two scores, higher is better
Volumes = npt.NDArray[np.float64]  # (builds, seeds)


@cache
def lines() -> list[dict[str, Any]]:
    """All outcomes."""
    return [json.loads(line) for line in EVIDENCE.read_text(encoding="utf-8").splitlines()]


@cache
def volumes() -> Mapping[str, Volumes]:
    """Method -> the hypervolume on test of what a build and a seed found, beyond the base's scores."""
    rows = [row for row in lines() if row["second"] == "tokens"]
    base = {row["build"]: np.array(row["test"][0]) for row in rows if row["method"] == "base"}
    found: dict[str, dict[int, list[float]]] = {name: {} for name in LABELS}
    for row in rows:
        if row["method"] in found:
            volume = hypervolume(-np.array(row["test"]), -base[row["build"]])
            found[row["method"]].setdefault(row["build"], []).append(volume)
    return {name: np.array([*builds.values()]) for name, builds in found.items()}


def ahead(ours: Volumes, theirs: Volumes) -> str:
    """How much larger the mean of ours is, in percent, with its 95% interval by a bootstrap over
    builds, and over seeds within each; "" if theirs is nothing.
    """
    if not theirs.any():
        return ""
    rng = np.random.default_rng(0)
    builds, seeds = ours.shape
    gains = []
    for _ in range(DRAWS):
        rows = rng.integers(builds, size=(builds, 1))
        columns = rng.integers(seeds, size=(builds, seeds))
        gains.append(ours[rows, columns].mean() / theirs[rows, columns].mean() - 1)
    low, high = 100 * np.quantile(gains, (0.025, 0.975))
    return f"{100 * (ours.mean() / theirs.mean() - 1):+.0f}% [{low:+.0f}%, {high:+.0f}%]"


def lab_fronts() -> str:
    """A row for each method: its hypervolume, and how far the front is ahead of it."""
    found = volumes()
    ours = found["front"]
    rows = [
        [label, f"{found[name].mean():.2f}", ahead(ours, found[name]) if name != "front" else ""]
        for name, label in LABELS.items()
    ]
    builds, seeds = ours.shape
    head = [f"{builds} builds, {seeds} seeds each", "hypervolume, test", "`--front` ahead"]
    return markdown(head, rows)


def kept(knob: Mapping[str, Any], front: Mapping[str, Any]) -> tuple[Point, Point]:
    """On test: the strongest strength whose drift on dev is at most half of the whole adapter's, and
    the point of the front with the least drift on dev at no lower a first score.
    """
    facts, drifts = np.transpose(knob["dev"])
    strength = int(np.where(drifts >= drifts.min() / 2, facts, -1.0).argmax())
    ours, moved = np.transpose(front["dev"])
    point = int(np.where(ours >= facts[strength], moved, -np.inf).argmax())
    return knob["test"][strength], front["test"][point]


def lab_drift() -> str:
    """A row for two adapters and for ten: the knob beside the point of the front."""
    table = []
    for count in (2, None):
        rows = [r for r in lines() if r["second"] == "drift" and r["experts"] == count]
        by = {(r["method"], r["build"], r["seed"]): r for r in rows}
        runs = [key[1:] for key in by if key[0] == "front"]
        pairs = np.array([kept(by["knob", *run], by["front", *run]) for run in runs])
        knob, front = pairs.mean(axis=0)
        saved = 100 * (1 - pairs[:, 1, 1].sum() / pairs[:, 0, 1].sum())
        table.append(
            [
                f"{count or 10} adapters",
                f"{knob[0]:.3f}, {-knob[1]:.3f}",
                f"{front[0]:.3f}, {-front[1]:.3f}",
                f"{saved:.0f}%",
            ]
        )
    head = ["facts and drift (nats), test", "one strength", "a point of the front", "less drift"]
    return markdown(head, table)


TABLES = {"lab-fronts": lab_fronts, "lab-drift": lab_drift}
