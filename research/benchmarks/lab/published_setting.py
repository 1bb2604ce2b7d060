#!/usr/bin/env python3
"""Model Swarms in its published setting among the linear classifiers of `classifiers.py`: what the
grid of coefficients, dropout of evaluations and starts from sums bring, and what is handed over.

The setting: 20 particles, at most 50 iterations, patience 10, restart after 5, step decay 0.95, the
library's coefficients. Rows, six pools and five seeds each:

- `grid K`: the K-th draw of ten of the paper's grid (`searching/grid.py`); control: `repeat K`, the
  published coefficients with other seeds. Which of ten is best on dev, the table says.
- `drop-k P`, `drop-n P`: evaluations left out by `searching/swarm.py`; controls with fewer
  evaluations: `10 particles`, the experts alone, and `patience 5`.
- `sums`, `even`: ten points between two experts replaced by sums of all (`mix/coefficients.py`).
- handed over in place of the global best: the best of the last iteration, a personal best by lot,
  and the means of the last positions and of the personal bests.

A line is a search and holds its answers on test, right or wrong, as bits in hexadecimal. What is in
the outcomes is not run again.

    python research/benchmarks/lab/published_setting.py \\
        --outcomes research/evidence/published-setting.jsonl
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from classifiers import CLASSES, EXPERTS, PARTICLES, POOLS, Floats, Pool, accuracy, make_pool

import pyswarmopt as pso
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.common.optimizers import recipe_options
from pyswarmopt_llm.mix.coefficients import even_sums, sums
from pyswarmopt_llm.searching.grid import make_grid
from pyswarmopt_llm.searching.swarm import Dropout

PUBLISHED, TRIES = "published", 10
SHARES = (0.2, 0.5, 0.8)
VARIANTS = (
    PUBLISHED,
    *(f"{kind} {k}" for kind in ("grid", "repeat") for k in range(1, TRIES + 1)),
    *(f"drop-{what} {share:g}" for what in "kn" for share in SHARES),
    "10 particles",
    "patience 5",
    "sums",
    "even",
)


def drawn(seed: int) -> list[dict[str, Any]]:
    """Ten sets of coefficients of the paper's grid."""
    config = SearchConfig("base", ("a", "b"), ("task",), "run", grid="paper", seed=seed)
    return [recipe_options(settings) for settings in make_grid(config).waiting]


def start_of(pool: Pool, variant: str, seed: int) -> Floats:
    """The positions that a variant gives; the recipe adds points between two experts."""
    if variant not in ("sums", "even"):
        return pool.experts
    shares = np.eye(EXPERTS)
    if variant == "even":
        shares = np.concatenate([shares, even_sums(torch.from_numpy(shares)).numpy()])
    more = sums(EXPERTS, PARTICLES - len(shares), seed).numpy()
    return np.concatenate([shares, more]) @ pool.experts


def searched(pool: Pool, variant: str, seed: int) -> tuple[pso.Swarm, Floats, Floats, int]:
    """A search that has ended: the swarm, the last positions and their dev scores, evaluations."""
    kind, _, number = variant.partition(" ")
    options: dict[str, Any] = drawn(seed)[int(number) - 1] if kind == "grid" else {}
    if kind == "patience":
        options = {"patience": int(number)}
    share = float(number) if kind.startswith("drop") else 0.0
    dropout = Dropout(share * (kind == "drop-k"), share * (kind == "drop-n"), seed)
    swarm = pso.Swarm(
        recipe=pso.recipes.model_swarms(**options),
        positions=start_of(pool, variant, seed),
        population=10 if variant == "10 particles" else PARTICLES,
        seed=seed + 1000 * int(number) if kind == "repeat" else seed,
        maximize=True,
    )
    evaluations, iteration = 0, 0
    while not swarm.stop():
        positions = swarm.ask()
        models = positions.double().numpy()
        dropped = dropout.dropped(iteration, len(models))
        scores = accuracy(models, pool.dev)
        swarm.tell(positions, scores, dropped)
        evaluations += int((~dropped).sum())
        iteration += 1
    return swarm, models.copy(), scores, evaluations


def handed_over(
    swarm: pso.Swarm, last: Floats, scores: Floats, rng: np.random.Generator
) -> dict[str, Floats]:
    """What stands in place of the global best."""
    bests = swarm.personal_bests.double().numpy()
    return {
        "the best of the last iteration": last[scores.argmax()],
        "a personal best by lot": bests[rng.integers(len(bests))],
        "the mean of the last positions": last.mean(axis=0),
        "the mean of the personal bests": bests.mean(axis=0),
    }


def row_of(model: Floats, pool: Pool) -> dict[str, Any]:
    """Dev accuracy, and which test items are right."""
    inputs, labels = pool.test
    weights = model.reshape(CLASSES, -1)
    right = (inputs @ weights[:, :-1].T + weights[:, -1]).argmax(axis=1) == labels
    return {
        "dev": float(accuracy(model[None], pool.dev)[0]),
        "right": np.packbits(right).tobytes().hex(),
    }


def rows(pool: Pool, task: str, variant: str, seed: int) -> Iterator[dict[str, Any]]:
    """A line for a search; for the published one a line for each other thing to hand over, and for
    what needs no search.
    """
    swarm, last, scores, evaluations = searched(pool, variant, seed)
    about = {"task": task, "seed": seed}
    if variant == PUBLISHED:
        others = handed_over(swarm, last, scores, np.random.default_rng(seed))
        others["best expert on dev"] = pool.experts[accuracy(pool.experts, pool.dev).argmax()]
        others["uniform average"] = pool.experts.mean(axis=0)
        for name, model in others.items():
            yield {"variant": name, **about, **row_of(model, pool)}
    best = swarm.best.x.double().numpy()
    yield {"variant": variant, **about, **row_of(best, pool), "evaluations": evaluations}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    args = parser.parse_args()
    torch.set_num_threads(1)
    log = AppendLog(args.outcomes)
    done = {(row["variant"], row["task"], row["seed"]) for row in log.repaired()}
    for number in range(1, POOLS + 1):
        pool, task = make_pool(number), f"pool {number}"
        for variant, seed in itertools.product(VARIANTS, args.seeds):
            if (variant, task, seed) not in done:
                for row in rows(pool, task, variant, seed):
                    log.append(row)
        print(task, flush=True)


if __name__ == "__main__":
    main()
