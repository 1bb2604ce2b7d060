#!/usr/bin/env python3
"""Model Swarms among ten linear classifiers: ablations, restarts and coefficients where a swarm has
something to gain, and where a search takes a second.

A particle is all 650 weights of a logistic regression on scikit-learn's digits, flattened; an expert
was trained on four of the ten digits. 200 dev and 1,000 test items; six pools, which differ in
items and in who knows what, and three seeds. Each variant changes one thing in the published
algorithm and is paired with it by pool and seed; `restarts` counts particles sent back to their
personal best. Variants that are in the outcomes are not run again.

    python research/benchmarks/lab/classifiers.py --outcomes research/evidence/classifiers.jsonl
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import pyswarmopt as pso
from pyswarmopt.inspect.recorder import record
from pyswarmopt.parts.initialise import at_rest
from pyswarmopt_llm.common.files.regular import AppendLog

Floats = npt.NDArray[np.float64]
POOLS, EXPERTS, KNOWN, CLASSES = 6, 10, 4, 10
DEV, TEST, PARTICLES, TOP = 200, 1_000, 20, 10
FULL, NEVER = "full", 10**6
# variant -> options of `model_swarms`
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    FULL: {},
    "no p": {"cognitive": 0.0},
    "no g": {"social": 0.0},
    "no repel": {"repel": 0.0},
    "no inertia": {"inertia": 0.0},
    "no randomness": {"randomness": "none"},
    "no schedule": {"step_decay": 1.0},
    "no C": {},
    "velocity zero": {},
    "top 10 vote": {},
    "no crossover": {},
    "1 x 10": {},
    "2 x 5": {},
    "weaker half": {},
    "patience 5": {"patience": 5},
    "patience 20": {"patience": 20},
}
# patience of 51: all 50 moves are made, whatever the restarts do
LONG = {"patience": 51}
RESTARTS: Mapping[str, Mapping[str, Any]] = {
    "restart after 5, 50 moves": LONG,
    "never, 50 moves": {"restart_patience": NEVER, **LONG},
    "restart after 10, 50 moves": {"restart_patience": 10, **LONG},
    "restart after 2, 50 moves": {"restart_patience": 2, **LONG},
    "restart after 1, 50 moves": {"restart_patience": 1, **LONG},
}
COEFFICIENTS: Mapping[str, Mapping[str, Any]] = {
    f"{name} {value:g}": {name: value}
    for name, values in {
        "inertia": (0.1, 0.3, 0.6),
        "cognitive": (0.1, 0.2, 0.4, 0.5),
        "social": (0.2, 0.3, 0.5, 0.6),
        "repel": (0.01, 0.1),
        "step": (0.5, 0.6, 0.7, 0.9, 1.0),
    }.items()
    for value in values
}
VARIANTS = {**ABLATIONS, **RESTARTS, **COEFFICIENTS}


@dataclass(frozen=True)
class Pool:
    """Ten experts and their task.

    Attributes:
        experts: (10, 650) flattened weights and biases.
        dev: inputs (200, 64) and labels.
        test: inputs (1000, 64) and labels.
    """

    experts: Floats
    dev: tuple[Floats, Floats]
    test: tuple[Floats, Floats]


def make_pool(number: int) -> Pool:
    """The pool of this number: its items are drawn, and what each expert knows."""
    rng = np.random.default_rng(number)
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    inputs, labels = digits.data[order] / 16, digits.target[order]
    dev, test = slice(0, DEV), slice(DEV, DEV + TEST)
    train_inputs, train_labels = inputs[DEV + TEST :], labels[DEV + TEST :]
    experts = np.empty((EXPERTS, CLASSES * (inputs.shape[1] + 1)))
    for expert in experts:
        known = rng.choice(CLASSES, KNOWN, replace=False)
        seen = np.isin(train_labels, known)
        model = LogisticRegression(max_iter=1_000).fit(train_inputs[seen], train_labels[seen])
        weights = np.zeros((CLASSES, inputs.shape[1] + 1))
        weights[model.classes_] = np.column_stack([model.coef_, model.intercept_])
        expert[:] = weights.ravel()
    return Pool(experts, (inputs[dev], labels[dev]), (inputs[test], labels[test]))


def accuracy(models: Floats, items: tuple[Floats, Floats]) -> Floats:
    """The share that each flattened model, (N, 650), gets right; (N,)."""
    inputs, labels = items
    weights = models.reshape(len(models), CLASSES, -1)
    logits = np.einsum("ncd,id->nic", weights[:, :, :-1], inputs) + weights[:, None, :, -1]
    return np.asarray((logits.argmax(axis=2) == labels).mean(axis=1))


def top_vote(models: Floats, scores: Floats, items: tuple[Floats, Floats]) -> float:
    """Accuracy of the vote of the first ten models that are among the ten best, ties to who is listed
    first: the top-k ensemble of the released code's `overall_metrics.py`.

    (There a tie goes by sums of utilities, which its loop takes from the last model alone: so to the
    first.)
    """
    bar = np.sort(scores)[-TOP]
    chosen = models[scores >= bar][:TOP]
    inputs, labels = items
    weights = chosen.reshape(TOP, CLASSES, -1)
    logits = np.einsum("ncd,id->nic", weights[:, :, :-1], inputs) + weights[:, None, :, -1]
    votes = logits.argmax(axis=2).T.tolist()
    said = [Counter(ballots).most_common(1)[0][0] for ballots in votes]
    return float(np.mean(np.array(said) == labels))


def start_of(pool: Pool, variant: str, seed: int) -> tuple[Floats, int]:
    """The starting experts of a variant, and the size of its swarm."""
    experts = pool.experts
    rng = np.random.default_rng(seed)
    if variant == "no crossover":
        return experts, EXPERTS
    if variant in ("1 x 10", "2 x 5"):
        kinds = int(variant[0])
        drawn = experts[rng.choice(EXPERTS, kinds, replace=False)]
        return np.tile(drawn, (EXPERTS // kinds, 1)), PARTICLES
    if variant == "weaker half":
        return experts[np.argsort(accuracy(experts, pool.dev))[: EXPERTS // 2]], PARTICLES
    return experts, PARTICLES


def run(pool: Pool, variant: str, seed: int) -> dict[str, Any]:
    """One search."""
    positions, size = start_of(pool, variant, seed)
    best: list[tuple[float, Floats]] = []

    def score(x: torch.Tensor) -> torch.Tensor:
        models = x.double().numpy()
        scores = accuracy(models, pool.dev)
        if not best or scores.max() > best[-1][0]:
            best.append((float(scores.max()), models[scores.argmax()].copy()))
        return torch.from_numpy(scores)

    recipe = pso.recipes.model_swarms(**VARIANTS[variant])
    if variant == "no C":
        recipe = replace(recipe, velocity=replace(recipe.velocity, normalise=False))
    elif variant == "velocity zero":
        recipe = replace(recipe, launch=at_rest)
    steps = record(
        score, recipe, 50, positions=positions, population=size, seed=seed, maximize=True
    )
    dev, found = best[-1]
    of_experts = accuracy(pool.experts, pool.dev)
    leader = pool.experts[of_experts.argmax()]
    test = float(accuracy(found[None], pool.test)[0])
    more: dict[str, Any] = {}
    if variant == "top 10 vote":
        bests, values = steps[-1].p, steps[-1].p_values
        dev, test = (top_vote(bests, values, items) for items in (pool.dev, pool.test))
        more = {"start_test": top_vote(steps[0].x, steps[0].values, pool.test)}
    return {
        "dev": dev,
        "test": test,
        "best_expert_dev": float(of_experts.max()),
        "best_expert_test": float(accuracy(leader[None], pool.test)[0]),
        "uniform_test": float(accuracy(pool.experts.mean(axis=0)[None], pool.test)[0]),
        "evaluations": size * len(steps),
        "moves": len(steps) - 1,
        "restarts": int(sum(step.restarted.sum() for step in steps)),
        **more,
    }


def rows(seeds: list[int], done: set[tuple[str, str, int]]) -> Iterator[dict[str, Any]]:
    """A line for each search that is not done."""
    for number in range(1, POOLS + 1):
        pool, task = make_pool(number), f"pool {number}"
        for variant, seed in itertools.product(VARIANTS, seeds):
            if (variant, task, seed) not in done:
                yield {"variant": variant, "task": task, "seed": seed, **run(pool, variant, seed)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    log = AppendLog(args.outcomes)
    done = {(row["variant"], row["task"], row["seed"]) for row in log.repaired()}
    for row in rows(args.seeds, done):
        log.append(row)


if __name__ == "__main__":
    main()
