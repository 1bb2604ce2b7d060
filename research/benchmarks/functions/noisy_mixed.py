"""Noise with whole numbers: `minimize(noisy=True)`, and undeclared, beside optuna's TPE.

    python research/benchmarks/functions/noisy_mixed.py --out research/evidence/noisy-mixed.jsonl

The outcome is the true mean at the result, after 100 and after 200 calls, median of the seeds. Three
systems of which a call is a simulation: a queue (arrivals, service and impatience by chance), a stock
(two thresholds, daily demand by chance) and a network's training as a formula with noise. A run that is
in the file is not made again.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import itertools
import math
import zlib
from typing import Any

import numpy as np
from resumed import arguments, medians, outcomes, suggested

import pyswarmopt as pso

BUDGETS = (100, 200)
SOLVERS = ("noisy=True", "undeclared", "TPE")
DRAWS = 400  # of the true mean


def queue(random, desks, fast, room, priority, speed, break_share):
    """Cost of an hour: wages and the waiting of 60 customers at counters of two kinds."""
    free = np.zeros(desks + fast)
    rates = np.append(np.full(desks, 1.0), np.full(fast, 1.6)) * speed * (1 - break_share)
    waited = lost = 0.0
    now = 0.0
    for _ in range(60):
        now += random.exponential(1 / 4.0)
        turn = np.argmin(free - (0.05 * priority) * rates)
        wait = max(free[turn] - now, 0.0)
        if wait > 0.25 * room:
            lost += 1
            continue
        waited += wait
        free[turn] = now + wait + random.exponential(1 / rates[turn])
    tired = 0.6 * (speed - 1) ** 2 + 2 * (0.15 - break_share) ** 2 * 10
    return 0.35 * desks + 0.75 * fast + waited / 20 + 0.12 * lost + 0.02 * room + tired


QUEUE = {
    "desks": pso.integer(1, 10), "fast": pso.integer(0, 5), "room": pso.integer(1, 12),
    "priority": pso.integer(0, 5), "speed": (0.6, 1.6), "break_share": (0.0, 0.3),
}  # fmt: skip


def stock(random, reorder, up_to, review, safety):
    """Cost a day of 60 days: orders, storage and what could not be delivered."""
    held, cost, due = float(up_to), 0.0, []
    for day in range(60):
        held += sum(amount for when, amount in due if when == day)
        demand = random.poisson(9) + (random.random() < 0.1) * 15
        sold = min(held, demand)
        held -= sold
        cost += 0.12 * held + 1.5 * (demand - sold)
        if day % review == 0 and held <= reorder + 10 * safety:
            cost += 12
            due.append((day + 1 + int(random.integers(1, 4)), max(up_to - held, 0)))
    return cost / 60


STOCK = {
    "reorder": pso.integer(0, 60), "up_to": pso.integer(10, 150), "review": pso.integer(1, 7),
    "safety": (0.0, 3.0),
}  # fmt: skip


def training(random, layers, width, rate, batch, kind):
    """Error of a network: a smooth valley, two kinds of layers, and the luck of a seed."""
    depth = {"plain": 3.0, "residual": 6.0}[kind]
    best = -2.5 - 0.15 * layers + 0.3 * math.log2(batch / 64)
    error = 0.08 + 0.012 * (layers - depth) ** 2 * (0.5 if kind == "residual" else 1.0)
    error += 0.03 * (math.log2(width) - 7.3) ** 2 / 4 + 0.06 * (math.log10(rate) - best) ** 2
    return error + (0.01 if kind == "plain" else 0.0) + 0.03 * random.normal()


TRAINING = {
    "layers": pso.integer(1, 12), "width": pso.integer(16, 1024, log=True), "rate": pso.log(1e-5, 1.0),
    "batch": pso.ordered([16, 32, 64, 128, 256]), "kind": ["plain", "residual"],
}  # fmt: skip
PROBLEMS = {"queue": (queue, QUEUE), "stock": (stock, STOCK), "training": (training, TRAINING)}


def run(budget: int, problem: str, solver: str, seed: int) -> float:
    """The true mean at the result."""
    fun, space = PROBLEMS[problem]
    random = np.random.default_rng([seed, zlib.crc32(problem.encode())])
    if solver == "TPE":
        found = _tpe(fun, space, random, budget, seed)
    else:
        noisy = solver == "noisy=True"
        found = pso.minimize(
            lambda **p: fun(random, **p), space=space, max_evals=budget, seed=seed, noisy=noisy
        ).params
    again = np.random.default_rng(12345)
    return float(np.mean([fun(again, **found) for _ in range(DRAWS)]))


def _tpe(fun, space, random, budget, seed):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    found: list[dict[str, Any]] = []

    def objective(trial):
        found.append({name: suggested(trial, name, kind) for name, kind in space.items()})
        return fun(random, **found[-1])

    study.optimize(objective, n_trials=budget)
    return found[study.best_trial.number]


def main() -> None:
    args = arguments(__doc__, seeds=8).parse_args()
    wanted = (
        (budget, problem, solver, seed)
        for seed in range(0 if args.table else args.seeds)
        for budget, problem, solver in itertools.product(BUDGETS, PROBLEMS, SOLVERS)
    )
    rows = outcomes(args.out, ("budget", "problem", "solver", "seed"), wanted, "mean", run)
    print(medians(rows, "problem", ("budget", "solver"), "mean"))


if __name__ == "__main__":
    main()
