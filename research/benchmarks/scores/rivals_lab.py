r"""Rivals of a search where an item has a score and no margin: the laboratory's written answers.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/scores/rivals_lab.py runs/lab --out runs/rivals \
        --outcomes research/evidence/written-rivals.jsonl

The tasks, items and metric are those of `written_lab.py`, and so is the budget: as many replies to
dev items as 40 evaluations of all of them take. Finding the best single expert counts. A line of
the outcomes is a method, a task and a seed, with 1 for each right answer of a test item and 0 for a
wrong one, and the replies to dev items that it took. What has its line is not run again; a method
that draws nothing has one seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from iteration import EVALUATIONS
from runs import NEW_TOKENS, TASKS, parser, written

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.generation import Draw
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import load_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.run.record import Store
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.metrics.text import exact_match
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.scores.words import words as words_of
from pyswarmopt_rivals.bench import Bench, BudgetedBench, as_patch
from pyswarmopt_rivals.methods import load_method

VOTES = 8  # replies to a test item that vote
Run = Callable[[BudgetedBench, int], Sequence[float]]
"""The dev items under a budget, and a seed -> the score of each test item."""

Start = Callable[[BudgetedBench], Patch]
"""The model that a method starts from."""


@dataclass(frozen=True)
class Rival:
    """A method, and whether another seed can change it."""

    run: Run
    chance: bool = True


def the_base(trial: BudgetedBench) -> Patch:
    """The base as it is."""
    return Patch()


def the_best(trial: BudgetedBench) -> Patch:
    """The expert that is best on dev, the first on a tie; it takes an evaluation of each."""
    experts = [as_patch(expert) for expert in trial.bench.experts]
    return max(experts, key=lambda expert: trial.score(expert).value)


def the_sum(trial: BudgetedBench) -> Patch:
    """All experts with weight 1."""
    space = DeltaSpace(trial.bench.experts)
    return space.realise(torch.ones(len(trial.bench.experts), dtype=torch.float64))


def scored(trial: BudgetedBench, patch: Patch) -> Sequence[float]:
    """A model on the test items."""
    return trial.bench.score(patch, "test").per_item


def as_it_is(start: Start, trial: BudgetedBench, seed: int) -> Sequence[float]:
    """A model that is only looked up."""
    return scored(trial, start(trial))


def merged(method: str, trial: BudgetedBench, seed: int) -> Sequence[float]:
    """A searching method of `compare`, with its own defaults."""
    experts, rule = trial.bench.experts, load_method(method)
    settings = rule.settings(len(experts), None, seed=seed)
    return scored(trial, rule.execute(experts, replace(settings, trial=trial)).patch)


def majority(start: Start, trial: BudgetedBench, seed: int) -> Sequence[float]:
    """The most frequent of several sampled replies (self-consistency, Wang et al. 2023)."""
    bench = trial.bench
    bench.engine.load(start(trial))
    turns = [turn for turn in bench.questions["test"].turns for _ in range(VOTES)]
    prompts = [bench.engine.chat(turn) for turn in turns]
    seeds = tuple(range(seed * len(prompts), (seed + 1) * len(prompts)))
    replies = bench.engine.generate(prompts, NEW_TOKENS, Draw(1.0, seeds))
    chosen = []
    for row in range(0, len(replies), VOTES):
        chosen.append(most_frequent(replies[row : row + VOTES]))
    return exact_match(bench.task.test, chosen)


def most_frequent(replies: Sequence[str]) -> str:
    """The first of the replies that most are one with to the metric; "" if all are blank."""
    said = [reply.strip() for reply in replies if reply.strip()]
    words = [words_of(reply) for reply in said]
    return said[max(range(len(said)), key=lambda i: words.count(words[i]))] if said else ""


def rivals() -> dict[str, Rival]:
    """Name -> method."""
    return {
        "base": Rival(partial(as_it_is, the_base), chance=False),
        "sum": Rival(partial(as_it_is, the_sum), chance=False),
        "lorahub": Rival(partial(merged, "lorahub")),
        "natural-niches": Rival(partial(merged, "natural-niches")),
        f"base-majority-{VOTES}": Rival(partial(majority, the_base)),
        f"best-majority-{VOTES}": Rival(partial(majority, the_best)),
    }


def benches(lab: Path, out: Path, tasks: Sequence[str]) -> dict[str, Bench]:
    """The tasks with written answers, over one resident base."""
    base = resolve_base(str(lab / "base"))
    report = inspect_experts(sorted(map(str, (lab / "experts").iterdir())), base)
    experts = [load_adapter(info) for info in report.experts]
    engine = load_engine(base, "float32", "cpu", 1)
    metric = find_metric("exact-match", new_tokens=NEW_TOKENS)
    result = {}
    for name in tasks:
        file = written(lab / "tasks" / f"{name}.json", out / "tasks" / f"{name}.json")
        task = load_task(str(file))
        result[name] = Bench(base, engine, experts, task, "generate", Store(None), metric=metric)
    return result


def main() -> None:
    """Run what has no line yet."""
    methods = rivals()
    arguments = parser((__doc__ or "").splitlines()[0])
    arguments.add_argument("lab", type=Path)
    arguments.add_argument("--tasks", nargs="+", default=list(TASKS))
    arguments.add_argument("--methods", nargs="+", default=list(methods), choices=list(methods))
    options = arguments.parse_args()
    done = finished(options.outcomes)
    for task, bench in benches(options.lab, options.out, options.tasks).items():
        for name in options.methods:
            for seed in options.seeds if methods[name].chance else [0]:
                if (name, task, seed) in done:
                    continue
                trial = BudgetedBench(bench, EVALUATIONS * bench.dev_items)
                values = methods[name].run(trial, seed)
                test = "".join(str(int(value)) for value in values)
                row = {"method": name, "task": task, "seed": seed, "test": test}
                row["items"] = trial.spent
                with options.outcomes.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(task, seed, name, f"{test.count('1') / len(test):.3f}", flush=True)


def finished(file: Path) -> set[tuple[str, str, int]]:
    """Method, task and seed of each line of a file; nothing if it is not there."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    rows = [json.loads(line) for line in lines]
    return {(row["method"], row["task"], row["seed"]) for row in rows}


if __name__ == "__main__":
    main()
