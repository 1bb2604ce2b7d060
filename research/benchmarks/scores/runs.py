"""What the benchmarks of scores share: the laboratory's written tasks, options, runs and lines of
outcomes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from iteration import FROM_BASE, FROM_BEST, best_of, iterated, on_dev

from pyswarmopt_llm import SearchConfig, resume, search
from pyswarmopt_llm.run.record import unpack
from pyswarmopt_llm.searching.prepare import prepare

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab import DEV
from lab import TASKS as KINDS
from lab_skills import items

SPARE = 4 * DEV
TASKS = ("t1", "t2", "t3", "t4", "t5", "t6")
NEW_TOKENS = 6  # of an answer of the laboratory
SWARM: Mapping[str, Any] = {
    "paper": True,
    "draws": 1,
    "start": "sums",
    "particles": 10,
    "max_iter": 3,
    "patience": 10,
}
MODEL_SWARMS: Mapping[str, Any] = {**SWARM, "space": "factor", "start": "segments"}
# Beside each other in what has a model that people use; of the default also what stands beside it.
METHODS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "model-swarms": {**MODEL_SWARMS, "no_rivals": True},
}
ITERATED = (FROM_BASE, FROM_BEST)  # expert iteration without a search, with as many replies
OF_DEFAULT = {
    "best_single": "best-single",
    "uniform": "uniform",
    "mixture": "default",
    "trained": "trained",
    # what the result is compared with
    "base": "base",
    "base_tuned": "base_tuned",
    "expert_tuned": "expert_tuned",
}
Outcome = tuple[str, list[float]]
"""A method, and its value of each test item."""


def written(task: Path, out: Path, spare: Sequence[Mapping[str, Any]] = ()) -> Path:
    """A task of the laboratory without options: the right one's text is the answer.

    Args:
        task: its file.
        out: the new file.
        spare: items that are added to its dev items, but for those that are among these.
    """
    splits = json.loads(task.read_text(encoding="utf-8"))
    asked = {item["question"] for item in splits["dev"]}
    splits["dev"] += [dict(item) for item in spare if item["question"] not in asked]
    for number, item in enumerate(splits["dev"]):
        item["id"] = f"dev-{number}"
    for item in [*splits["dev"], *splits["test"]]:
        item["answer"] = item.pop("choices")[item["answer"]]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(splits), encoding="utf-8")
    return out


def written_tasks(lab: Path, task: str, out: Path) -> tuple[Path, Path]:
    """A task of the laboratory as written answers, and the same with `SPARE` further dev items."""
    file = lab / "tasks" / f"{task}.json"
    # more than enough, since those that dev has do not count
    further = items(KINDS[task], "dev", SPARE + 2 * DEV, 11)
    plain = written(file, out / "tasks" / f"{task}.json")
    return plain, written(file, out / "tasks" / f"{task}-more.json", further)


def lab_search(lab: Path, task: Path, out: Path, **more: Any) -> SearchConfig:
    """A search of the laboratory's experts for exact answers to a written task."""
    return SearchConfig(
        base=str(lab / "base"),
        experts=adapters(lab / "experts"),
        tasks=(str(task),),
        out=str(out),
        metrics=("exact-match",),
        max_new_tokens=NEW_TOKENS,
        threads=1,
        dtype="float32",
        no_rivals=True,
        **more,
    )


def adapters(folder: Path) -> tuple[str, ...]:
    """The folders in a folder, by name."""
    return tuple(sorted(map(str, folder.iterdir())))


def finished(config: SearchConfig) -> Mapping[str, Any]:
    """The result of a run: a finished one is read, one that was stopped is continued."""
    out = Path(config.out)
    if (out / "run.json").exists():
        files = [metric for metric in config.metrics if ":" in metric]  # the others are built in
        return resume(out, allowed=files).result
    return search(config).result


def outcomes(result: Mapping[str, Any], models: Mapping[str, str]) -> Iterator[Outcome]:
    """The test values of a result's models.

    Args:
        result: of a search for one task.
        models: as the result calls them -> as the lines do.
    """
    for model, name in models.items():
        (found,) = result["models"][model]["test"]["tasks"].values()
        yield name, unpack(found["items"])


def parser(text: str | None) -> argparse.ArgumentParser:
    """Options that all of them have; `text` describes the benchmark."""
    options = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--outcomes", type=Path, required=True)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return options


def methods_parser(text: str | None) -> argparse.ArgumentParser:
    """As `parser`, with the methods and threads, and one seed."""
    options = parser(text)
    options.set_defaults(seeds=[0])
    options.add_argument(
        "--methods", nargs="+", default=list(METHODS), choices=[*METHODS, *ITERATED]
    )
    options.add_argument("--threads", type=int, default=2)
    return options


def compared(
    options: argparse.Namespace, task: str, default: Mapping[str, Any], **fields: Any
) -> Iterator[str]:
    """Lines of the methods that were asked for.

    Args:
        options: of a `methods_parser`.
        task: its name in the lines.
        default: settings of the default alone.
        **fields: of each `SearchConfig`.
    """
    for seed in options.seeds:
        for method in options.methods:
            more = METHODS.get(method, {})
            if method == "default":
                more = default
            out = options.out / f"{method}-{seed}"
            config = SearchConfig(
                out=str(out), seed=seed, threads=options.threads, **fields, **more
            )
            run = without_search if method in ITERATED else searched
            for outcome in run(config, method):
                yield line(outcome, task, seed)


def on_file(text: str | None, task: str = "", **fields: Any) -> None:
    """A benchmark of a file and a folder of adapters of SmolLM2-135M, from the command line on.

    Args:
        text: describes the benchmark.
        task: its name in the lines; "" for the file's.
        **fields: of each `SearchConfig`.
    """
    arguments = methods_parser(text)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("experts", type=Path)
    arguments.add_argument("--dev", type=int, default=100)
    arguments.add_argument("--test", type=int, default=300)
    options = arguments.parse_args()
    lines = compared(
        options,
        task or options.file.stem,
        {},
        base="embedded:smollm2-135m",
        experts=adapters(options.experts),
        tasks=(str(options.file),),
        dev=options.dev,
        test=options.test,
        **fields,
    )
    write_lines(options.outcomes, lines)


def searched(config: SearchConfig, method: str) -> Iterator[Outcome]:
    """A search, and of the default what stands beside it."""
    result = finished(config)
    models = {"best": method}
    if method == "default":
        beside = {name: label for name, label in OF_DEFAULT.items() if name in result["models"]}
        models = beside if "mixture" in beside else {**beside, "best": method}
    yield from outcomes(result, models)


def without_search(config: SearchConfig, method: str) -> Iterator[Outcome]:
    """Expert iteration from the base or from the best expert; `test.json` holds its outcome."""
    folder = Path(config.out)
    file = folder / "test.json"
    if not file.exists():
        job = prepare(config)
        experts = job.pool.space.vertices()
        if method == FROM_BASE:
            position, spent = torch.zeros_like(experts[0]), 0
        else:
            position, spent = experts[best_of(on_dev(job))], len(experts)
        values = iterated(job, position, spent, folder, config.seed)
        file.write_text(json.dumps(values), encoding="utf-8")
    yield method, json.loads(file.read_text(encoding="utf-8"))


def line(outcome: Outcome, task: str, seed: int) -> str:
    """A line of outcomes, which is shown, too; right and wrong answers are 1 and 0 in a text."""
    method, values = outcome
    print(task, seed, method, f"{sum(values) / len(values):.3f}", flush=True)
    test: str | list[float] = values
    if {*values} <= {0.0, 1.0}:
        test = "".join(str(int(value)) for value in values)
    return json.dumps({"method": method, "task": task, "seed": seed, "test": test})


def write_lines(file: Path, lines: Iterable[str]) -> None:
    """Write the lines of a benchmark to its file of outcomes."""
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
