#!/usr/bin/env python3
"""The swarm's trial in the laboratory: space, start and moves told apart.

`research/notes/trial.md` names tasks, rows, seeds and the rule of decision; it was written before
this ran. The unit is a build of the laboratory: its base, its experts and all that trained them.
Rows of one build share experts.

- **swarm**: Model Swarms, 20 particles, at most 50 iterations, patience 10. `factor` averages A and B
  apart, as the released code does to adapters; `delta` averages weights, as the paper's text says.
  `segments` starts between two experts, so that coefficients sum to 1 for ever; `sums` does not.
  With `ten-draws` it is the best on dev of ten draws from the paper's grid of coefficients.
- **cma-es, random, covariant, surrogate**: other moves in the same space, from the same start, with
  as many evaluations as the swarm had there. They are free to scale; with `sum-1` coefficients sum
  to 1, as the swarm's do from segments, so that only the moves differ.
- **scale**: the best expert and the average, each times one number that is chosen on dev.
- **data-merge**: one adapter trained on all experts' data, as each expert was on its own.
- **greedy-soup, lorahub, natural-niches**: those of `compare`, with 400 evaluations.
- **default**: `swarm-llm search` as it is, its mixture before training, and a search that trains nothing.
- **item model**: its proposals, with as many evaluations as the swarm.
- **score model**: the surrogate of scores that have no margins, with at most 40 evaluations.

A line of --out is a row of a build, form, task and seed, item by item on test. What is there is not
run again, so that a run may be stopped at any time.

    python research/benchmarks/lab/lab.py make --out runs/lab-0 --build 0
    python research/benchmarks/lab/trial.py runs/lab-0 --build 0 --work runs/trial-0 \\
        --out research/evidence/trial.jsonl
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lab import TASKS, make_expert
from lab_skills import items

from pyswarmopt_llm import SearchConfig, resume, search
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.run.record import pack, unpack
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.metrics.objectives import ACCURACY
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_rivals.bench import Bench, BudgetedBench, as_patch, load_pool
from pyswarmopt_rivals.methods import load_method

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scores"))
from runs import NEW_TOKENS, written

DEV, TEST = 200, 1000
FORMS: Mapping[str, Mapping[str, Any]] = {
    "choices": {"scoring": "likelihood"},
    "written": {"metrics": ("exact-match",), "max_new_tokens": NEW_TOKENS},
    "perplexity": {"metrics": ("perplexity",)},  # of the written answers
    "abstain": {"metrics": ("abstain",), "scoring": "likelihood"},  # from the options
}
WRITTEN = ("written", "perplexity")  # forms whose items have an answer and no options
STARTS = ("segments", "sums")
SWARM: Mapping[str, Any] = {
    "paper": True,
    "draws": 1,
    "optimizer": "model-swarms",
    "particles": 20,
    "max_iter": 50,
    "patience": 10,
    "train": "off",
}
TEN_DRAWS: Mapping[str, Any] = {"draws": 10}
OTHER_MOVES = {
    "cma-es": "nevergrad:CMA",
    "random": "nevergrad:RandomSearch",
    "covariant": "covariant",
    "surrogate": "surrogate",
}
SUMS = 13  # experts, base, average and sum, which the item model starts from
HULL = (
    Path(__file__).parents[1] / "scores/hull.py"
)  # where coefficients sum to 1, as the swarm's do
POPULATION = 10  # of the other moves; as many as experts, who are scored first
SCALE = "scale"
DATA_MERGE = "data-merge"
SEARCHING = ("greedy-soup", "lorahub", "natural-niches")
BASELINES = (SCALE, DATA_MERGE, *SEARCHING)
EVALUATIONS = 400  # of a baseline that searches; the swarms take as many on average
SCALES_OF_BEST = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
SCALES_OF_AVERAGE = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)


def rows() -> Iterator[str]:
    """Names of the rows, the most telling first."""
    yield "swarm delta segments"
    yield "swarm factor segments"
    yield SCALE
    yield "swarm delta sums"
    yield "cma-es delta segments"
    yield "cma-es delta segments sum-1"
    yield "cma-es delta sums"
    yield "default"
    yield "default without training"
    yield "item model"
    yield "score model"
    yield DATA_MERGE
    yield from SEARCHING
    yield "random delta segments"
    yield "random delta segments sum-1"
    yield "random delta sums"
    yield "swarm factor sums"
    yield "cma-es factor segments"
    yield "cma-es factor sums"
    for moves in ("covariant", "surrogate"):
        for start in STARTS:
            yield f"{moves} delta {start}"
    yield "swarm delta segments ten-draws"


@dataclass(frozen=True)
class Pool:
    """The base and the experts of a trial, and where they run."""

    base: str
    experts: tuple[str, ...]
    device: str = "cpu"
    dtype: str = "float32"


def built(lab: Path) -> Pool:
    """The pool of a build of the laboratory."""
    return Pool(str(lab / "base"), folders(lab / "experts"))


def folders(folder: Path) -> tuple[str, ...]:
    """The directories of the experts in a folder."""
    return tuple(sorted(map(str, folder.iterdir())))


def task_file(work: Path, form: str, task: str) -> Path:
    """The task with `DEV` and `TEST` items, as options or as answers that are written."""
    splits = {"dev": items(TASKS[task], "dev", DEV, 7), "test": items(TASKS[task], "test", TEST, 7)}
    options = work / "tasks" / f"{task}.json"
    options.parent.mkdir(parents=True, exist_ok=True)
    options.write_text(json.dumps(splits), encoding="utf-8")
    if form not in WRITTEN:
        return options
    return written(options, work / "tasks" / f"{task}-written.json")


def settings_of(row: str, evaluations: Mapping[str, int]) -> Mapping[str, Any]:
    """The settings of a row that is a search.

    Args:
        row: its name.
        evaluations: of the rows that are done; other moves have as many as the swarm.
    """
    if row == "default":
        return {}
    if row == "default without training":
        return {"train": "off"}
    if row == "score model":
        return {"method": "scores", "train": "off"}
    if row == "item model":
        return {"train": "off", "proposals": evaluations["swarm delta segments"] - SUMS}
    moves, space, start, *more = row.split()
    if moves == "swarm":
        drawn = TEN_DRAWS if more else {}
        return {**SWARM, **drawn, "space": space, "start": start}
    allowed = evaluations[f"swarm {space} {start}"]
    iterations = max(1, round(allowed / POPULATION) - 1)
    return {
        **SWARM,
        "optimizer": OTHER_MOVES[moves],
        "particles": POPULATION,
        "max_iter": iterations,
        "patience": iterations,
        "space": f"{HULL}:affine" if more else space,
        "start": start,
    }


def found(name: str, model: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The line of a model of a result."""
    (dev,) = model["dev"]["tasks"].values() if model.get("dev") else ({"value": None},)
    (test,) = model["test"]["tasks"].values()
    return {"row": name, "dev": dev["value"], "test": test["items"], **more}


def searched(
    pool: Pool, file: Path, form: str, row: str, seed: int, run: Path, settings: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The lines of a row that is a search: of the swarm's first one also the models beside it. A
    search that was stopped goes on.
    """
    start = time.process_time()
    config = SearchConfig(
        base=pool.base,
        experts=pool.experts,
        tasks=(str(file),),
        out=str(run),
        threads=1,
        dtype=pool.dtype,
        device=pool.device,
        seed=seed,
        no_rivals=True,
        **FORMS[form],
        **settings,
    )
    result = (resume(run) if run.exists() else search(config)).result
    spent = {
        "evaluations": result["evaluations"],
        "seconds": round(time.process_time() - start, 1),
        "coefficients": [round(value, 4) for value in result["coefficients"].values()],
    }
    models = result["models"]
    yield found(row, models["best"], **spent)
    if row == "default" and "mixture" in models:
        yield found("default, untrained", models["mixture"])
    if row in ("swarm delta segments", "default without training", "score model"):
        yield found("best expert", models["best_single"])
        yield found("uniform", models["uniform"])
    shutil.rmtree(run)


def bench_of(pool: Pool, file: Path, form: str) -> Bench:
    """The task as the baselines see it."""
    base, experts = load_pool(pool.base, pool.experts, "delta")
    choices = form == "choices"
    return Bench(
        base,
        load_engine(base, pool.dtype, pool.device, 1),
        experts,
        load_task(str(file)),
        "likelihood" if choices else "generate",
        metric=ACCURACY if choices else find_metric("exact-match", new_tokens=NEW_TOKENS),
    )


def line_of(bench: Bench, row: str, patch: Patch, **more: Any) -> dict[str, Any]:
    """The line of a baseline's model."""
    test = pack(bench.score(patch, "test").per_item)
    return {"row": row, "dev": bench.score(patch, "dev").value, "test": test, **more}


def scaled(bench: Bench) -> Iterator[dict[str, Any]]:
    """The best expert and the average, each times the number that is best on dev."""
    space = DeltaSpace(bench.experts)
    units = torch.eye(len(bench.experts), dtype=torch.float64)
    alone = [bench.score(space.realise(unit), "dev").value for unit in units]
    best = units[alone.index(max(alone))]
    average = units.mean(dim=0)
    directions = {"best expert": (best, SCALES_OF_BEST), "average": (average, SCALES_OF_AVERAGE)}
    chosen = []
    for name, (direction, scales) in directions.items():
        dev = {s: bench.score(space.realise(s * direction), "dev").value for s in scales}
        scale = max(dev, key=lambda s: dev[s])
        patch = space.realise(scale * direction)
        evaluations = len(units) + len(scales)
        row = f"scale of the {name}"
        chosen.append(line_of(bench, row, patch, scale=scale, evaluations=evaluations))
    yield from chosen
    better = max(chosen, key=lambda row: row["dev"])
    tried = len(units) + len(SCALES_OF_BEST) + len(SCALES_OF_AVERAGE)
    yield {**better, "row": "scale", "evaluations": tried}


def baseline(bench: Bench, method: str, seed: int) -> dict[str, Any]:
    """A baseline of `compare` that searches."""
    trial = BudgetedBench(bench, EVALUATIONS * bench.dev_items)
    rule = load_method(method)
    drawn = {} if method == "greedy-soup" else {"seed": seed}
    settings = rule.settings(len(bench.experts), None, **drawn)
    patch = rule.execute(bench.experts, replace(settings, trial=trial)).patch
    return line_of(bench, method, patch, evaluations=trial.spent // bench.dev_items)


def data_merge(lab: Path, bench: Bench) -> dict[str, Any]:
    """One adapter that is trained on all experts' data, as each expert was on its own."""
    union = lab / "union"
    if not union.exists():
        files = sorted((lab / "data").glob("*.jsonl"))
        texts = [text for file in files for text in file.read_text("utf-8").splitlines()]
        make_expert(lab / "base", union, [json.loads(text) for text in texts])
    adapter = load_adapter(read_adapter(union))
    return line_of(bench, DATA_MERGE, as_patch(adapter))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lab", type=Path)
    parser.add_argument("--build", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--forms", nargs="+", default=["choices", "written"], choices=FORMS)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--rows", nargs="+", default=list(rows()))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for row in options.rows:
        for form in options.forms:
            for task in options.tasks:
                run_row(options, form, task, row)


def run_row(options: argparse.Namespace, form: str, task: str, row: str) -> None:
    """Run a row of a task, unless its lines are there."""
    job = {"build": options.build, "form": form, "task": task, "seed": options.seed}
    known = [line for line in lines_of(options.out) if job.items() <= line.items()]
    if row in {line["row"] for line in known}:
        return
    file = task_file(options.work, form, task)
    if row in BASELINES:
        made = of_baseline(options.lab, file, form, row, options.seed)
    else:
        evaluations = {line["row"]: line.get("evaluations", 0) for line in known}
        settings = settings_of(row, evaluations)
        run = options.work / f"{task}-{form}-{row.replace(' ', '-')}-{options.seed}"
        made = searched(built(options.lab), file, form, row, options.seed, run, settings)
    append(options.out, job, made)


def append(file: Path, job: Mapping[str, Any], made: Iterable[Mapping[str, Any]]) -> None:
    """Append the lines of a row to a file, and print what they found."""
    lines = [{**job, **line} for line in made]
    with file.open("a", encoding="utf-8") as out:
        out.write("".join(json.dumps(line) + "\n" for line in lines))
    for line in lines:
        share = shares(line["test"])
        print(*job.values(), line["row"], f"dev {line['dev']:.3f} test {share:.3f}", flush=True)


def of_baseline(lab: Path, file: Path, form: str, row: str, seed: int) -> Iterable[dict[str, Any]]:
    """The lines of a baseline."""
    bench = bench_of(built(lab), file, form)
    if row == SCALE:
        return scaled(bench)
    if row == DATA_MERGE:
        return [data_merge(lab, bench)]
    return [baseline(bench, row, seed)]


def lines_of(file: Path) -> list[dict[str, Any]]:
    """The lines that are there."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def shares(packed: str) -> float:
    """The mean of a line's items."""
    values = unpack(packed)
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
