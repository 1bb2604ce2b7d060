#!/usr/bin/env python3
"""Rivals that were chosen because they might win, in the laboratory: routers, which take another expert
for each question, and Optuna's race of mixtures over items.

* `nearest questions`: the expert that is right on most of the 10 dev questions nearest to the test
  question, by the cosine of the base's last hidden states; of equal ones the best on dev.
* `LoGo` (Lee et al. 2025, arXiv 2511.07129): without labels; each expert's signal is the norm of what
  it adds to the query projection of the last layer, at the last token of the question; the three
  with the largest signals are merged, weighted by these. The paper merges outputs of 20 of its 260
  adapters; of linear maps in one layer that is the same as merging changes.
* `Wilcoxon race`: Optuna's TPE with its WilcoxonPruner over weights from 0 to 1.5, begun with each
  expert alone, for as many scored dev items as the search had. A trial sees items in random order.
* Controls: the best single expert on dev, the search before training, and the routed oracle, which
  knows for each test item whether any expert is right.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/rivals_chosen.py --lab runs/lab --out runs/rivals-chosen \\
        --outcomes research/evidence/rivals-chosen.jsonl

A line is a method, a task and a seed, 1 for each right answer. What is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from systems import config_of, searched
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.scoring.record import unpack

TASKS = ("t4", "t5", "t6")
NEIGHBOURS, MERGED = 10, 3
BLOCK = 10  # items between two looks of the pruner
Floats = npt.NDArray[np.float64]


class Bench:
    """The base, the experts and a task's dev and test items."""

    def __init__(self, lab: Path, out: Path, task: str) -> None:
        self.job = prepare(config_of(lab, out, task))
        self.engine: Any = self.job.engine
        scorings = dict.fromkeys(self.job.tasks, "likelihood")
        (self.dev,) = self.job.utilities("dev", scorings).values()
        (self.test,) = self.job.utilities("test", scorings).values()
        self.experts = len(self.job.pool.space.expert_names)

    def right(self, split: Any, weights: Sequence[float], places: Any = None) -> Floats:
        """1 or 0 for each item, or for those at these places, of a mixture."""
        self.engine.load(self.job.pool.space.realise(torch.tensor(weights, dtype=torch.float64)))
        return np.array(split(self.engine, places).per_item)

    def alone(self, split: Any) -> Floats:
        """Right answers of each expert, (experts, items)."""
        return np.array([self.right(split, one) for one in np.eye(self.experts)])

    @torch.no_grad()
    def inputs(self, split: Any) -> tuple[Tensor, Tensor]:
        """Of the base, after each question: what the last layer's query projection reads, and the last
        hidden state, (items, width) each.
        """
        self.engine.load(Patch())
        read: list[Tensor] = []
        module = self.engine.model.get_submodule(last_query(self.job.pool.space.shapes))
        hook = module.register_forward_pre_hook(lambda _, given: read.append(given[0][0, -1]))
        hidden = []
        for prompt in split.prompts:
            ids = torch.tensor([self.engine.encode_prompt(prompt)])
            out = self.engine.model(input_ids=ids, output_hidden_states=True)
            hidden.append(out.hidden_states[-1][0, -1])
        hook.remove()
        return torch.stack(read).float(), torch.stack(hidden).float()


def last_query(parameters: Sequence[str]) -> str:
    """The module of the last layer's query projection."""
    queries = [name.removesuffix(".weight") for name in parameters if ".q_proj." in name]
    return max(queries, key=lambda name: int(name.split("layers.")[1].split(".")[0]))


def nearest(questions: Floats, known: Floats, right: Floats, count: int = NEIGHBOURS) -> list[int]:
    """For each question the expert that is right on most of its nearest known questions.

    Args:
        questions: (N, width) hidden states.
        known: (M, width) of dev.
        right: (experts, M), 1 or 0.
        count: of neighbours.

    Example:
        >>> known = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> right = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> nearest(np.array([[2.0, 0.0], [0.0, 3.0]]), known, right, count=1)
        [0, 1]
    """
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (questions, known)]
    order = np.argsort(-(unit[0] @ unit[1].T), axis=1, kind="stable")[:, :count]
    votes = right[:, order].mean(2) + 1e-6 * right.mean(1, keepdims=True)
    return [int(place) for place in votes.argmax(0)]


def merged(signals: Floats, count: int = MERGED) -> Floats:
    """Weights of the experts with the largest signals, which sum to 1.

    Example:
        >>> merged(np.array([1.0, 3.0, 2.0, 0.5]), count=2)
        array([0. , 0.6, 0.4, 0. ])
    """
    chosen = np.argsort(-signals, kind="stable")[:count]
    weights = np.zeros_like(signals)
    weights[chosen] = signals[chosen] / signals[chosen].sum()
    return weights


def signals(bench: Bench, read: Tensor) -> Floats:
    """The norm of what each expert adds to the query, (items, experts)."""
    name = f"{last_query(bench.job.pool.space.shapes)}.weight"
    parts = []
    for one in torch.eye(bench.experts, dtype=torch.float64):
        change = bench.job.pool.space.realise(one).low_rank[name]
        parts.append((read @ change.a.T @ change.b.T).norm(dim=1))
    return torch.stack(parts, dim=1).double().numpy()


def race(bench: Bench, budget: int, seed: int) -> Floats:
    """The best mixture of a race: its right answers on test."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True),
        pruner=optuna.pruners.WilcoxonPruner(),
    )
    names = [f"w{place}" for place in range(bench.experts)]
    for one in np.eye(bench.experts):
        study.enqueue_trial(dict(zip(names, one.tolist(), strict=True)))
    rng, spent = random.Random(seed), 0
    items = len(bench.dev.items)
    while spent < budget:
        trial = study.ask()
        weights = [trial.suggest_float(name, 0.0, 1.5) for name in names]
        order, seen = rng.sample(range(items), items), list[float]()
        for start in range(0, items, BLOCK):
            places = order[start : start + BLOCK]
            for place, value in zip(places, bench.right(bench.dev, weights, places), strict=True):
                trial.report(float(value), place)
                seen.append(float(value))
            if trial.should_prune():
                break
        spent += len(seen)
        whole = len(seen) == items
        state = optuna.trial.TrialState.COMPLETE if whole else optuna.trial.TrialState.PRUNED
        study.tell(trial, float(np.mean(seen)) if whole else None, state=state)
    return bench.right(bench.test, [study.best_params[name] for name in names])


def outcomes(options: argparse.Namespace, task: str, seed: int) -> dict[str, Floats]:
    """Method -> 1 or 0 for each test item; of seed 0 also what draws nothing."""
    out = options.out / f"{task}-{seed}"
    how = {"preset": "auto", "space": "auto", "no_rivals": True, "train": "off"}
    result = searched(config_of(options.lab, out, task, seed=seed, **how))
    (score,) = result["models"]["best"]["test"]["tasks"].values()
    found = {"the search, before training": np.array(unpack(score["items"]))}
    bench = Bench(options.lab, out, task)
    found["Wilcoxon race"] = race(bench, result["item_evaluations"], seed)
    return found if seed else found | without_draws(bench)


def without_draws(bench: Bench) -> dict[str, Floats]:
    """The routers, the best expert and the oracle."""
    on_dev, on_test = bench.alone(bench.dev), bench.alone(bench.test)
    (_, known), (read, asked) = bench.inputs(bench.dev), bench.inputs(bench.test)
    chosen = nearest(asked.double().numpy(), known.double().numpy(), on_dev)
    logo = [
        bench.right(bench.test, merged(of_item).tolist(), [place])[0]
        for place, of_item in enumerate(signals(bench, read))
    ]
    return {
        "best single expert": on_test[on_dev.mean(1).argmax()],
        "nearest questions": on_test[chosen, np.arange(on_test.shape[1])],
        "LoGo": np.array(logo),
        "routed oracle": on_test.max(0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = set()
    if options.outcomes.exists():
        rows = map(json.loads, options.outcomes.read_text(encoding="utf-8").splitlines())
        done = {(row["task"], row["seed"]) for row in rows}
    for seed, task in product(options.seeds, options.tasks):
        if (task, seed) in done:
            continue
        found = outcomes(options, task, seed)
        with options.outcomes.open("a", encoding="utf-8") as file:
            for method, values in found.items():
                test = "".join(str(int(value)) for value in values)
                row = {"method": method, "task": task, "seed": seed, "test": test}
                file.write(json.dumps(row) + "\n")
        means = (f"{method} {values.mean():.3f}" for method, values in found.items())
        print(task, seed, *means, flush=True)


if __name__ == "__main__":
    main()
