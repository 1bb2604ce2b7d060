#!/usr/bin/env python3
"""Systems of the papers that no other table has, in the laboratory: full fine-tunes as experts, two
tasks at once, perplexity, F1, BLEU and a metric of `evaluate` as objectives, mixtures of token
probabilities with and without contrast, distillation of a group, votes of members that write.

Each row is one call of the library on a task of the laboratory (two of them for `harmonic`). What is
in --out is not run again, so a stopped benchmark goes on where it was. A line of the outcomes is a
row, a task and a seed, with the score of each test item of what is compared.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/systems.py --lab runs/lab --out runs/lab-systems \\
        --outcomes research/evidence/systems-lab.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from pyswarmopt_groups.config import CouncilConfig, DistillConfig
from pyswarmopt_groups.distillation import distill
from pyswarmopt_groups.responses import is_right
from pyswarmopt_groups.run import VERDICTS, decide_task
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.report.run import resume, search
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.searching.scoring.record import pack, unpack
from pyswarmopt_llm.searching.use.model import evaluate_model

Row = Mapping[str, Any]
Outcome = Mapping[str, Mapping[str, Sequence[float]]]
"""Model -> task -> score of each test item."""


def config_of(
    lab: Path, out: Path, task: str, experts: str = "experts", **more: Any
) -> SearchConfig:
    """A search as the laboratory does it: 20 particles, patience 10."""
    plain = SearchConfig(
        base=str(lab / "base"),
        experts=tuple(map(str, sorted((lab / experts).iterdir()))),
        tasks=(str(lab / "tasks" / f"{task}.json"),),
        out=str(out),
        preset="none",
        space="delta",
        scoring="likelihood",
        dtype="float32",
        threads=1,
    )
    return replace(plain, **more)


def searched(config: SearchConfig) -> Row:
    """The result of a search, begun, resumed or read."""
    out = Path(config.out)
    finished = out / "result.json"
    if not finished.exists():
        resume(out) if (out / "run.json").exists() else search(config)
    outcome: Row = json.loads(finished.read_text(encoding="utf-8"))
    return outcome


def scores(result: Row) -> Outcome:
    """Scores of the test items of what was found and of the best single expert, by task."""
    return {
        name: {
            task: unpack(found["items"])
            for task, found in result["models"][name]["test"]["tasks"].items()
        }
        for name in ("best_single", "best")
    }


def full(lab: Path, out: Path, task: str) -> Outcome:
    """Three full fine-tunes as experts."""
    return scores(searched(config_of(lab, out, task, "full", space="full")))


def perplexity(lab: Path, out: Path, task: str) -> Outcome:
    """1 / perplexity per byte of the right answer."""
    how = {"metrics": ("perplexity",), "particles": 12, "max_iter": 10}
    return scores(searched(config_of(lab, out, task, **how)))


def token(lab: Path, out: Path, task: str) -> Outcome:
    """Next-token probabilities of the ten experts, mixed."""
    return scores(searched(config_of(lab, out, task, space="token")))


def contrast(lab: Path, out: Path, task: str) -> Outcome:
    """The same, with weights that may be negative."""
    return scores(searched(config_of(lab, out, task, space="token", contrast=True)))


def harmonic(lab: Path, out: Path, task: str) -> Outcome:
    """Two tasks, this one and t6, by the harmonic mean of their accuracies."""
    tasks = tuple(str(lab / "tasks" / f"{name}.json") for name in (task, "t6"))
    return scores(searched(config_of(lab, out, task, tasks=tasks, max_iter=12)))


def written_task(lab: Path, out: Path, task: str) -> Path:
    """The task without options."""
    splits = json.loads((lab / "tasks" / f"{task}.json").read_text())
    for item in (*splits["dev"], *splits["test"]):
        item["answer"] = item.pop("choices")[item["answer"]]
    out.parent.mkdir(parents=True, exist_ok=True)
    file = out.parent / f"{task}-written.json"
    file.write_text(json.dumps(splits))
    return file


def text_score(metric: str) -> Callable[[Path, Path, str], dict[str, float]]:
    """A search that maximises a metric of the four letters that experts write."""

    def searched_by_metric(lab: Path, out: Path, task: str) -> Outcome:
        file = str(written_task(lab, out, task))
        how = {
            "metrics": (metric,),
            "tasks": (file,),
            "scoring": "auto",
            "max_new_tokens": 6,
        }
        return scores(searched(config_of(lab, out, task, preset="auto", space="auto", **how)))

    return searched_by_metric


def writers(lab: Path, out: Path, task: str) -> Outcome:
    """Ten experts that write the four letters, without options: the best one, and votes, also of
    five samples each.
    """
    written = written_task(lab, out, task)
    plain = config_of(lab, out, task)
    strategies = ("majority", "weighted", "self-consistency")
    config = CouncilConfig(
        members=plain.experts,
        strategies=strategies,
        task=str(written),
        out=plain.out,
        base=plain.base,
        template=("Question: {question}",),
        scoring="generate",
        dtype="float32",
        threads=1,
    )
    decide_task(config)
    singles = {
        f"member {Path(member).name}": of_adapter(config, member) for member in config.members
    }
    return singles | {name: verdicts(config, name) for name in strategies}


def of_adapter(
    config: CouncilConfig | DistillConfig, adapter: str | None
) -> dict[str, list[float]]:
    """Right (1) and wrong answers of an adapter, or the base, to the test items of a group's task."""
    found = evaluate_model(
        config.base or "",
        adapter,
        config.task,
        scoring=config.scoring,
        dtype=config.dtype,
        threads=1,
    )
    return {Path(config.task).stem: list(found.score.per_item)}


def verdicts(config: CouncilConfig, strategy: str) -> dict[str, list[float]]:
    """The same of a strategy that has decided."""
    task = load_task(config.task)
    lines = (Path(config.out) / VERDICTS).read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["strategy"] == strategy]
    pairs = zip(task.test, rows, strict=True)
    return {Path(config.task).stem: [float(is_right(item, row["answer"])) for item, row in pairs]}


def student(lab: Path, out: Path, task: str) -> Outcome:
    """An adapter taught by a weighted vote of the ten experts, the vote, and the base."""
    plain = config_of(lab, out / "adapter", task)
    shared = {"members": plain.experts, "base": plain.base or "", "task": plain.tasks[0]}
    how = {"scoring": "likelihood", "dtype": "float32", "threads": 1}
    vote = CouncilConfig(**shared, **how, out=str(out / "vote"), strategies=("weighted",))
    decide_task(vote)
    taught = DistillConfig(**shared, **how, out=plain.out, lr=3e-3, epochs=10, seed=plain.seed)
    if not Path(plain.out).exists():
        distill(taught)
    return {
        "base": of_adapter(taught, None),
        "group": verdicts(vote, "weighted"),
        "student": of_adapter(taught, plain.out),
    }


ROWS: dict[str, Callable[[Path, Path, str], Outcome]] = {
    "token": token,
    "contrast": contrast,
    "full": full,
    "student": student,
    "perplexity": perplexity,
    "harmonic": harmonic,
    "writers": writers,
    "f1": text_score("f1"),
    "bleu": text_score("bleu"),
    "evaluate": text_score(f"evaluate:{Path(__file__).parent / 'letters_in_place'}"),
}


def lines(row: str, task: str, outcome: Outcome) -> Iterator[str]:
    """Lines of outcomes: a model of a row on a task."""
    for model, tasks in outcome.items():
        for name, values in tasks.items():
            line = {"row": row, "of": task, "method": model, "task": name, "seed": 0}
            yield json.dumps({**line, "test": pack(values)})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True, help="folder that lab.py made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--tasks", nargs="+", default=["t4", "t5"])
    args = parser.parse_args()
    with args.outcomes.open("a", encoding="utf-8") as file:
        for task, name in product(args.tasks, args.rows):
            found = ROWS[name](args.lab, args.out / f"{name}-{task}", task)
            for line in lines(name, task, found):
                file.write(f"{line}\n")
            means = {model: fmean(map(fmean, tasks.values())) for model, tasks in found.items()}
            print(name, task, *(f"{model} {mean:.3f}" for model, mean in means.items()), flush=True)


if __name__ == "__main__":
    main()
