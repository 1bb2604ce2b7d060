#!/usr/bin/env python3
"""Attention over members that is learnt by reinforcement: a policy looks at the question and names
the member that answers; its reward is 1 if that member is right, and of the others it learns
nothing (REINFORCE, Williams 1992).

The features are those of the strategy `attention`, which is told every member's probability of the
right option. Control: the same policy whose rewards are those of other questions. The laboratory's
ten experts; a line of the outcomes is a row, a task and a seed, with 1 for each right test item.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/groups/reinforced.py --lab runs/lab --work runs/stress \\
        --outcomes research/evidence/reinforced.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cached import lab_members
from numpy.typing import NDArray
from talk import line

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.voting.learned import attention
from pyswarmopt_groups.voting.selection import question_embeddings
from pyswarmopt_llm.scores.tasks import Item, load_task

Array = NDArray[np.float64]
ROUNDS, RATE, DECAY = 3000, 0.5, 1e-3
SEEDS = (0, 1, 2)


def gradient(features: Array, shares: Array, actions: NDArray[np.int64], gains: Array) -> Array:
    """The mean over items of gain times the slope of log(share of the chosen member), (n, d).

    Args:
        features: (items, d).
        shares: (n, items), each member's probability of being chosen.
        actions: (items,), the members that were.
        gains: (items,), reward less baseline.
    """
    slope = -shares
    slope[actions, np.arange(len(actions))] += 1
    return np.asarray((slope * gains) @ features / len(actions))


def fit_policy(features: Array, right: Array, rng: np.random.Generator) -> Array:
    """The weights, (n, d), of a policy that draws one member for each item and round.

    The baseline is each item's mean reward so far, without the present one.

    Args:
        features: (items, d).
        right: (n, items), 1 where a member is right; read only where it was chosen.
        rng: of the draws.
    """
    n, count = right.shape
    weights, baseline = np.zeros((n, features.shape[1])), np.full(count, right.mean())
    for number in range(1, ROUNDS + 1):
        shares = attention(features, weights)
        actions = (shares.cumsum(axis=0) < rng.random(count)).sum(axis=0).clip(max=n - 1)
        rewards = right[actions, np.arange(count)]
        slope = gradient(features, shares, actions, rewards - baseline)
        weights += RATE * (slope - DECAY * weights)
        baseline += (rewards - baseline) / (number + 1)
    return weights


def rows(context: GroupContext, items: Sequence[Item], seed: int) -> Iterator[dict[str, Any]]:
    """The policy, its control, and what stands beside them."""
    task = context.task
    if task is None:
        raise ValueError("there is no task to learn on")
    rng = np.random.default_rng(seed)
    dev, _ = question_embeddings(context, context.dev.items)
    test, cost = question_embeddings(context, items)
    center = dev.mean(axis=0)
    scale = np.sqrt(((dev - center) ** 2).sum(axis=1).mean())

    def features(points: Array) -> Array:
        return np.column_stack([np.ones(len(points)), (points - center) / scale])

    responses, right = context.collect(items), context.dev.right.astype(float)
    shuffled = right[:, rng.permutation(right.shape[1])]
    for name, rewards in (("policy", right), ("rewards of other questions", shuffled)):
        weights = fit_policy(features(dev), rewards, rng)
        chosen = attention(features(test), weights).argmax(axis=0)
        verdicts = [
            Verdict(ballots[k], ballots, 1.0, int(responses.tokens[k, i]) + cost[i])
            for i, (k, ballots) in enumerate(zip(chosen, responses.ballots, strict=True))
        ]
        yield line(name, seed, task, verdicts)
    if seed:
        return
    for strategy in ("majority", "route-neighbours", "attention"):
        verdicts = load_strategy(strategy).decide(context, items)
        yield line(f"`{strategy}`", seed, task, verdicts)
    best = context.order[0]
    alone = [
        Verdict(row[best], row, 1.0, int(responses.tokens[best, i]))
        for i, row in enumerate(responses.ballots)
    ]
    yield line("best member on dev", seed, task, alone)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True, help="folder that lab.py made")
    parser.add_argument("--work", type=Path, required=True, help="that of `stress.py` will do")
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--tasks", nargs="+", default=["t4", "t5", "t6"])
    args = parser.parse_args()
    members = lab_members(args.lab, args.work)
    lines = []
    for seed in SEEDS:
        for name in args.tasks:
            task = load_task(str(args.lab / "tasks" / f"{name}.json"))
            for row in rows(GroupContext(members, task, "likelihood"), task.test, seed):
                lines.append(row)
                print(
                    name, seed, row["method"], row["test"].count("1") / len(task.test), flush=True
                )
    args.outcomes.write_text("".join(f"{json.dumps(row)}\n" for row in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
