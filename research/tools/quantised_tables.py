"""The tables of what rounding costs, from research/evidence/quantised.jsonl and rounding-forecast.jsonl."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from outcomes import lines, markdown
from scipy.stats import spearmanr

METHODS = ("base", "full", "rounded", "strength", "search")
LEAST_LOSS = 0.01  # of which a share is told
LEAST_GAIN = 0.05  # of an adapter, so that a share of it is told
BASES = {
    "smollm2-135m": "SmolLM2",
    "dithered": "SmolLM2, off the grid",
    "gemma3-270m": "Gemma 3 270M",
}
Line = Mapping[str, Any]


def score(line: Line) -> float:
    """Share of right answers."""
    items: str = line["items"]
    return items.count("1") / len(items)


# Searches


def quantised() -> str:
    """A row for each task, base, way of training and format: mean scores over seeds."""
    head = ["task", "base", "trained", "format", "seeds", *METHODS, "back"]
    return markdown(head, rows(lines("quantised")))


def shipped() -> str:
    """The demo without training: what is shipped, and its accuracy in each format."""
    found = [line for line in lines("quantised") if line["task"] == "demo"]
    known = {row[3]: row for row in rows(found) if row[1:3] == [BASES["smollm2-135m"], "off"]}
    names = {"full": "base model and adapter apart", "rounded": "merged and rounded"}
    names |= {
        "search": "the result of `search --quantize`",
        "base": "the base model alone, rounded",
    }
    formats = ("q4_1", "q4_0", "nf4", "q8_0")
    column = {method: 5 + number for number, method in enumerate(METHODS)}
    table = [
        [text, *(known[name][column[method]] for name in formats)] for method, text in names.items()
    ]
    return markdown(["what you ship", *(name.upper() for name in formats)], table)


def rows(found: Iterable[Line]) -> list[list[str]]:
    """The rows of that table."""
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in found:
        base = BASES[line.get("base", "smollm2-135m")]
        key = (line["task"], base, line["train"], line["format"])
        groups.setdefault(key, []).append(line)
    return [[*key, *_cells(groups[key])] for key in sorted(groups)]


def _cells(group: Iterable[Line]) -> list[str]:
    """Seeds, mean scores, and the share of the loss that came back."""
    by_method: dict[str, list[float]] = {}
    seeds = set()
    for line in group:
        by_method.setdefault(line["method"], []).append(score(line))
        seeds.add(line["seed"])
    means = {method: fmean(scores) for method, scores in by_method.items()}
    cells = [f"{means[method]:.3f}" if method in means else "" for method in METHODS]
    return [str(len(seeds)), *cells, _back(means)]


def _back(means: Mapping[str, float]) -> str:
    """The share of the loss that came back, by the search, or by the strength where no search was made; a dash
    where nothing was lost.
    """
    lost = means["full"] - means["rounded"]
    best = means.get("search", means.get("strength"))
    if lost <= LEAST_LOSS or best is None:
        return "-"
    return f"{(best - means['rounded']) / lost:.0%}"


def won_back() -> str:
    """What a search for a file of four bits wins back, on the demo: beside plain rounding."""
    (row,) = (
        row for row in rows(lines("quantised")) if row[:4] == ["demo", "SmolLM2", "off", "q4_1"]
    )
    seeds, rounded, search = row[4], float(row[7]), float(row[9])
    return f"{100 * (search - rounded):+.1f} beside rounding the result on the demo, {seeds} seeds"


# The forecast


def losses(found: Iterable[Line]) -> list[dict[str, Any]]:
    """Each rounded adapter with what it lost: in points, and as a share of its gain, if it has one."""
    known = {(line["adapter"], line["model"]): line for line in found}
    lost = []
    for (adapter, _), line in known.items():
        if line["slope"] is None:
            continue
        full = score(known[adapter, "full"])
        gain = full - score(known[adapter, "base"])
        loss = full - score(line)
        share = loss / gain if gain >= LEAST_GAIN else None
        lost.append({**line, "points": 100 * loss, "share": share})
    return lost


def rank_correlation(lost: Iterable[Line], loss: str) -> float:
    """Spearman's rank correlation of what the slope calls lost with a loss, ``points`` or ``share``."""
    pairs = [(1 - line["slope"], line[loss]) for line in lost if line[loss] is not None]
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def forecast() -> str:
    """A row for each format: means over adapters; in the last one the rank correlations."""
    lost = losses(lines("rounding-forecast"))
    by_format: dict[str, list[Line]] = {}
    for line in lost:
        by_format.setdefault(line["model"], []).append(line)
    table = [[name, *_means(of_format)] for name, of_format in by_format.items()]
    ranks = [f"{rank_correlation(lost, loss):.2f}" for loss in ("points", "share")]
    table.append(["rank correlation with 1 - slope", str(len(lost)), "", *ranks])
    head = ["format", "adapters", "slope", "loss, points", "loss, share of the gain"]
    return markdown(head, table)


def _means(of_format: list[Line]) -> list[str]:
    """The number of adapters, and means over them."""
    shares = [line["share"] for line in of_format if line["share"] is not None]
    slope = fmean(line["slope"] for line in of_format)
    points = fmean(line["points"] for line in of_format)
    return [str(len(of_format)), f"{slope:.2f}", f"{points:.1f}", f"{fmean(shares):.2f}"]


# A server


def served() -> str:
    """A row for each file: prompts with the same choice as ours, right answers, and how far apart."""
    table = []
    for line in lines("llama-cpp"):
        choices = list(zip(line["right"], line["ours"], line["theirs"], line["lead"], strict=True))
        same = sum(ours == theirs for _, ours, theirs, _ in choices)
        own = sum(right == ours for right, ours, _, _ in choices)
        its = sum(right == theirs for right, _, theirs, _ in choices)
        apart = [lead for _, ours, theirs, lead in choices if ours != theirs]
        widest = f"{max(apart):.3f}" if apart else "-"
        files = [line["run"], line["file"]]
        counts = [f"{same} of {len(choices)}", str(own), str(its)]
        table.append([*files, *counts, f"{line['furthest']:.4f}", widest])
    head = ["run", "file", "same choice", "we are right", "llama.cpp is right"]
    return markdown([*head, "furthest log-probability", "our lead where choices differ"], table)
