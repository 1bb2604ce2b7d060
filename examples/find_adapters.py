"""Rank many adapters for one base model: all on 8 examples, the better half on 16, and so on.

    python examples/find_adapters.py BASE TASK ADAPTER... [--top 4]

This is successive halving (Karnin, Koren and Somekh 2013). Adapters are ranked by the mean probability
of the right option, because eight examples are too few to estimate an accuracy. The finalists are
scored on all dev examples; use them in a search. They were selected on dev, so their true scores are
lower.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

import pyswarmopt_llm as sl


def mean_probability(engine: sl.Engine, items: Sequence[Any]) -> float:
    """The mean probability of the right option, normalised over the options of each item."""
    probabilities = []
    for item in items:
        prompt = engine.chat(f"Question: {item.question}")
        scores = engine.loglikelihood([(prompt, option) for option in item.choices.values()])
        right = dict(zip(item.choices, scores, strict=True))[item.answer]
        probabilities.append(1 / sum(math.exp(min(score - right, 500)) for score in scores))
    return sum(probabilities) / len(items)


def rank(base: str, task: str, adapters: Sequence[str], top: int = 4) -> list[tuple[float, str]]:
    """The finalists and their mean probabilities on dev, best first."""
    items = sl.load_task(task).dev
    engine = sl.open_model(base)
    patches = {adapter: sl.adapter_patch(base, adapter) for adapter in adapters}
    left = list(adapters)
    count = min(8, len(items))
    while True:
        scores = []
        for adapter in left:
            engine.load(patches[adapter])
            scores.append((mean_probability(engine, items[:count]), adapter))
        scores.sort(reverse=True)
        if count == len(items):
            return scores
        left = [adapter for _, adapter in scores[: max(top, (len(left) + 1) // 2)]]
        count = len(items) if len(left) <= top else min(2 * count, len(items))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("task")
    parser.add_argument("adapters", nargs="+")
    parser.add_argument("--top", type=int, default=4)
    for score, adapter in rank(**vars(parser.parse_args())):
        print(f"{score:.3f}  {adapter}")
