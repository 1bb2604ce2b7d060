"""The tables of mixed spaces with few calls: `research/benchmarks/functions/tuning.py` and what was
tried on its first half.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from outcomes import lines, markdown, p_value

from pyswarmopt_llm.common.statistics import paired_test

Run = dict[str, dict[str, float]]  # solver -> calls -> least value
CALLS = ("50", "200")
DEFAULT = "pyswarmopt"
PEERS = {"optuna-tpe": "TPE", "catcma": "CatCMA with Margin"}
HALVES = {"claim": "held out", "choose": "to choose on"}
IDEAS = {
    "mean": "improvement on the least expected value, not on the least seen",
    "nugget": "a new point's deviation includes the noise",
    "mut4": "every fourth point is a mutation of the best",
    "noise2": "ten times the noise before anything is known",
    "snaplog": "the process sees whole numbers on a logarithmic scale as whole",
}
LEAST = 0.01  # of a regret


def runs(half: str) -> dict[tuple[str, str, int], Run]:
    """Those of each kind, problem and seed."""
    found: dict[tuple[str, str, int], Run] = {}
    for row in lines("tuning"):
        if row["half"] == half:
            key = row["kind"], row["problem"], row["seed"]
            found.setdefault(key, {})[row["solver"]] = row["values"]
    return found


def beside_peers() -> str:
    """The default beside its peers, by half and kind."""
    table = []
    for half, peer, kind in product(HALVES, PEERS, ("drawn", "trained", "")):
        chosen = {key: run for key, run in runs(half).items() if key[0] == kind or not kind}
        if any(peer in run for run in chosen.values()):
            cells = [cell for calls in CALLS for cell in beside(chosen, DEFAULT, peer, calls)]
            table.append([f"{HALVES[half]}, {kind or 'all'}, {PEERS[peer]}", *cells])
    columns = [f"{calls} calls, {what}" for calls in CALLS for what in ("runs", "log regret")]
    return markdown(["better, level, worse than a peer", *columns], table)


def ideas() -> str:
    """What was tried, beside the default in the same runs of the trained problems to choose on."""
    chosen = {key: run for key, run in runs("choose").items() if key[0] == "trained"}
    table = []
    for idea, name in IDEAS.items():
        solver = f"{DEFAULT}:{idea}"
        cells = [cell for calls in CALLS for cell in beside(chosen, solver, DEFAULT, calls)]
        table.append([name, *cells])
    columns = [f"{calls} calls, {what}" for calls in CALLS for what in ("runs", "log regret")]
    return markdown(["better, level, worse than the default", *columns], table)


def beside(
    chosen: dict[tuple[str, str, int], Run], solver: str, peer: str, calls: str
) -> tuple[str, str]:
    """On how many runs a solver is better than a peer, level and worse, and both mean logarithms."""
    both = {key: run for key, run in chosen.items() if solver in run and peer in run}
    signs = [float(np.sign(run[solver][calls] - run[peer][calls])) for run in both.values()]
    counts = " ".join(str(signs.count(sign)) for sign in (-1.0, 0.0, 1.0))
    means = [np.mean(regrets(chosen, both, each, calls)) for each in (solver, peer)]
    return f"{counts}, {p_value(paired_test(signs).p_value)}", f"{means[0]:.2f}, {means[1]:.2f}"


def regrets(
    chosen: dict[tuple[str, str, int], Run],
    both: dict[tuple[str, str, int], Run],
    solver: str,
    calls: str,
) -> list[float]:
    """Decimal logarithms of a hundredth plus the regret, as a share of the range of all values that
    solvers have found on the problem.
    """
    found = []
    for key, run in both.items():
        values = [
            value
            for other, each in chosen.items()
            if other[1] == key[1]
            for at in each.values()
            for value in at.values()
        ]
        low, high = min(values), max(values)
        found.append(math.log10(LEAST + (run[solver][calls] - low) / ((high - low) or 1.0)))
    return found


TABLES = {"tuning": beside_peers, "tuning-ideas": ideas}
