"""The tables of fronts, from research/evidence/lab-fronts.jsonl and style-fronts.jsonl."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from outcomes import markdown

from pyswarmopt.base.words import counted
from pyswarmopt.driver.multi.pareto import hypervolume

EVIDENCE = Path(__file__).resolve().parents[1] / "evidence"
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
def lines(name: str = "lab-fronts") -> list[dict[str, Any]]:
    """All outcomes of a file."""
    text = (EVIDENCE / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


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


def beside_sums() -> str:
    """How much larger the front's hypervolume is than that of the five weighted sums."""
    found = volumes()
    return ahead(found["front"], found["scalar"])


Line = Mapping[str, Any]
Values = npt.NDArray[np.float64]  # (models, scores, prompts)
BASES = {"smollm2-135m": "SmolLM2 135M", "gemma3-270m": "Gemma 3 270M"}
STRONGEST, EXPERT = "the best single knob", "the best adapter"


def style_pair(models: Sequence[Line], rival: str) -> tuple[Line, Line]:
    """A seed's rival, and the point of the front with the shortest replies on dev among those whose
    style there is at most a point below the rival's; the best style if there is none.

    Args:
        models: outcomes of a seed.
        rival: the adapter at strength 1, or the strength with the best style on dev.
    """
    knobs = [one for one in models if one["model"].startswith("knob/")]
    beside = next(one for one in knobs if one["model"] == "knob/1")
    if rival == STRONGEST:
        beside = max(knobs, key=lambda one: (one["dev"][0], -one["dev"][1]))
    front = [one for one in models if one["model"].startswith("front/")]
    level = [one for one in front if one["dev"][0] >= beside["dev"][0] - 0.01]
    if not level:
        return beside, max(front, key=lambda one: one["dev"][0])
    return beside, min(level, key=lambda one: one["dev"][1])


def on_test(one: Line) -> Values:
    """Style and tokens of a model, (2, prompts)."""
    return np.array([[int(kept) / 8 for kept in one["style"]], one["tokens"]], dtype=float)


def style_fronts() -> str:
    """Two rows for each base: style and tokens of a rival and of a point of the front on test, and what
    the point changes.
    """
    bases: dict[str, dict[int, list[Line]]] = {}
    for one in lines("style-fronts"):
        seeds = bases.setdefault(one["base"], {})
        seeds.setdefault(one["seed"], []).append(one)
    rows = [
        style_row(base, rival, [*seeds.values()])
        for base, seeds in bases.items()
        for rival in (EXPERT, STRONGEST)
    ]
    head = ["style (points) and tokens, test", "it", "a point of the front"]
    return markdown([*head, "style", "shorter"], rows)


def style_row(base: str, rival: str, seeds: Sequence[Sequence[Line]]) -> list[str]:
    """A base's rival beside the front, in the mean of its seeds."""
    pairs = [style_pair(models, rival) for models in seeds]
    values = np.mean([[on_test(one) for one in pair] for pair in pairs], axis=0)
    (style, tokens), (ours, short) = values.mean(axis=2)
    return [
        f"{BASES[base]}, {rival}, {counted(len(seeds), 'seed')}",
        f"{100 * style:.1f}, {tokens:.1f}",
        f"{100 * ours:.1f}, {short:.1f}",
        *changes(values),
    ]


def changes(values: npt.NDArray[np.float64]) -> tuple[str, str]:
    """The gain in style, in points, and how much shorter replies are, each with its 95% interval by a
    bootstrap over prompts; values (2 models, 2 scores, prompts).
    """
    rng = np.random.default_rng(0)
    drawn = values[:, :, rng.integers(values.shape[2], size=(DRAWS, values.shape[2]))].mean(axis=3)
    means = np.concatenate([values.mean(axis=2)[..., None], drawn], axis=2)
    gains = 100 * (means[1, 0] - means[0, 0])
    saved = 100 * (1 - means[1, 1] / means[0, 1])
    style, shorter = ((one[0], *np.quantile(one[1:], (0.025, 0.975))) for one in (gains, saved))
    middle, low, high = style
    part, least, most = shorter
    return f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]", f"{part:.0f}% [{least:.0f}%, {most:.0f}%]"


TABLES = {"lab-fronts": lab_fronts, "lab-drift": lab_drift, "style-fronts": style_fronts}
