#!/usr/bin/env python3
"""What early stops would have saved in runs that asked everything: replayed from their journals, no model is run.

A run with every item's value of every candidate (`--early-stop off`, or made before early stops existed) says what each
rule would have told and when. With `exact` the search is the same, so the replay is exact; `bound` and races may lead
the swarm elsewhere, so the replay goes on only as long as it meets positions that the journal knows, and the share is
that of those evaluations. The parts are those that the engine would ask, from the tokenizer alone.

    python benchmarks/lab/early_stop_replay.py runs/real/intent-0 runs/real/banking-0
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.interfaces import Part, Patch, Score
from pyswarmopt_llm.common.optimizers import optimizer
from pyswarmopt_llm.evaluation.run_directory import Run, about_run, position_key
from pyswarmopt_llm.evaluation.scorer import Objective, unpack
from pyswarmopt_llm.jobs.search.policy import rules_for
from pyswarmopt_llm.metrics import Accuracy, score_of
from pyswarmopt_llm.metrics.objectives import load_tasks
from pyswarmopt_llm.models import resolve_base
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.spaces.load import load_engine

RULES = {
    "exact": {},
    "bound on the worst": {"early_stop": "bound"},
    "exact, races at .05": {"racing": 0.05},
    "bound, races at .05": {"early_stop": "bound", "racing": 0.05},
}


class Unknown(Exception):
    """The journal does not have this position."""


class Recorded:
    """Space, engine and utility in one: what the journal says of a position."""

    lowest, highest = 0.0, 1.0
    loglikelihood_parts = generate_parts = NotImplemented  # an engine by parts, of which nothing is asked

    def __init__(self, values: dict[str, list[float]], n_experts: int, parts: list[tuple[int, ...]]) -> None:
        self.expert_names = tuple(map(str, range(n_experts)))
        self._values, self._parts = values, parts
        self.n = sum(map(len, parts))

    def coefficients(self, position: torch.Tensor) -> torch.Tensor:
        return position

    def realise(self, position: torch.Tensor) -> Patch:
        key = position_key(position)
        if key not in self._values:
            raise Unknown
        self._now = self._values[key]
        return Patch()

    def load(self, patch: Patch) -> None:
        pass

    def __call__(self, engine: object) -> Score:
        return score_of(self._now)

    def parts(self, engine: object) -> list[Part[float]]:
        return [Part(part, partial(self._ask, part)) for part in self._parts]

    def _ask(self, part: tuple[int, ...]) -> list[float]:
        return [self._now[i] for i in part]


def shares(run: Run, parts: list[tuple[int, ...]], more: dict[str, Any]) -> tuple[float, float, int]:
    """Share of items saved in all evaluations that could be replayed and in the last iteration; how many those were."""
    config = replace(run.config, **more)
    rows = [row for row in run.rows if row["phase"] == "search"]
    values = {row["key"]: unpack(next(iter(row["items"].values()))) for row in rows}
    n = len(rows[0]["coefficients"])
    recorded = Recorded(values, n, parts)
    swarm = optimizer(config, torch.eye(n, dtype=torch.float64))
    by_iteration: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        journal = Run.create(Path(folder) / "r", about_run(config, {}))
        objective = Objective(journal, recorded, recorded, {"t": recorded})  # type: ignore[arg-type]
        try:
            while not swarm.stop():
                before = objective.item_evaluations, objective.evaluations
                x = swarm.ask()
                rules = [rules_for(config, swarm, objective, i) for i in range(len(x))]
                told = objective.round(list(x), len(by_iteration), rules)
                swarm.tell(x, told)
                by_iteration.append((objective.item_evaluations - before[0], objective.evaluations - before[1]))
        except Unknown:
            pass
    asked, evaluations = map(sum, zip(*by_iteration, strict=True))
    last_asked, last_evaluations = by_iteration[-1]
    saved = 1 - asked / (evaluations * recorded.n), 1 - last_asked / (last_evaluations * recorded.n)
    return *saved, len(by_iteration)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--batch-tokens", nargs="+", type=int, default=[1024, 512, 256])
    args = parser.parse_args()
    engine: TransformersEngine | None = None
    print("| run | parts | rule | items saved | in the last iteration | iterations replayed |")
    print("|---|---|---|---|---|---|")
    for path in args.runs:
        run = Run.open(path)
        config = run.config
        if engine is None:
            engine = load_engine(resolve_base(config.base), config.dtype, "cpu", 1)
        tasks = load_tasks(config.tasks, config.dev, config.test, config.allow_overlap)
        (task,) = tasks.values()
        scoring = config.scoring if config.scoring != "auto" else "likelihood"
        asked = Accuracy(task.dev, scoring, engine.chat, task.prompt)  # type: ignore[arg-type]
        cuts: dict[str, list[tuple[int, ...]]] = {}
        for tokens in args.batch_tokens:
            engine.batch_tokens = tokens
            engine._plans.clear()
            parts = [part.indices for part in asked.parts(engine)]
            cuts[f"{len(parts)} ({tokens} tokens)"] = parts
        for label, parts in cuts.items():
            for rule, more in RULES.items():
                every, last, iterations = shares(run, parts, more)
                print(f"| {path.name} | {label} | {rule} | {every:.1%} | {last:.1%} | {iterations:.0f} |", flush=True)


if __name__ == "__main__":
    main()
