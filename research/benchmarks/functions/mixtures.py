"""Shares of two data mixtures: the default beside optuna's Gaussian process and its TPE.

    python research/benchmarks/functions/mixtures.py --out research/evidence/mixtures.jsonl
    python research/benchmarks/functions/mixtures.py --out research/evidence/mixtures.jsonl --table

Six sources of pretraining and four of a second stage, 60 calls, as in BoLT. A law is drawn from its
number: the mean of eight losses, each exponential in the shares (Ye et al. 2024, "Data mixing laws").
Rivals get keys, as in twenty.py. Laws, seeds and rivals were written down before the first run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from resumed import compared, sampled
from simulations import SOLVE, Watched
from twenty import best_of

import pyswarmopt as pso

STAGES = {"first": pso.Shares(6), "second": pso.Shares(4)}


def run(law: int, solver: str, seed: int) -> float:
    random = np.random.default_rng(law)
    floors = random.uniform(0.5, 2, 8)
    useful = random.gamma(0.6, 3, (8, 10))

    def loss(first: list[float], second: list[float]) -> tuple[float, list[float]]:
        return float((floors + 3 * np.exp(-useful @ [*first, *second])).mean()), []

    return best_of(loss, STAGES, 60, solver, seed)


def _gaussian(watched: Watched, space: dict[str, Any], seed: int) -> None:
    from optuna.samplers import GPSampler

    sampled(watched, space, GPSampler(seed=seed, deterministic_objective=True), watched.limit)


SOLVE["GP"] = _gaussian

if __name__ == "__main__":
    compared(__doc__, 3, {"law": range(4), "solver": ("default", "GP", "TPE")}, "best", run)
