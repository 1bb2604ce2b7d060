#!/usr/bin/env python3
"""Systems of the papers that no other table has, in the laboratory: full fine-tunes as experts, two
tasks at once, perplexity, F1, BLEU and a metric of `evaluate` as objectives, mixtures of token
probabilities with and without contrast, distillation of a group, votes of members that write.

Each row is one call of the library on a task of the laboratory (two of them for `harmonic`), seed
0. What is in --out is not run again, so a stopped benchmark goes on where it was.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/systems.py --lab runs/lab --out runs/lab-systems
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from pyswarmopt_groups.config import CouncilConfig, DistillConfig
from pyswarmopt_groups.distillation import distill
from pyswarmopt_groups.run import decide_task
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.report.run import resume, search

Row = Mapping[str, Any]


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


def scores(result: Row) -> dict[str, float]:
    """Test and dev of what was found and of the best single expert."""
    return {
        name: result[name]
        for name in ("best_single_dev", "best_single_test", "best_dev", "best_test")
    }


def full(lab: Path, out: Path, task: str) -> dict[str, float]:
    """Three full fine-tunes as experts."""
    return scores(searched(config_of(lab, out, task, "full", space="full")))


def perplexity(lab: Path, out: Path, task: str) -> dict[str, float]:
    """1 / perplexity per byte of the right answer."""
    how = {"metrics": ("perplexity",), "particles": 12, "max_iter": 10}
    return scores(searched(config_of(lab, out, task, **how)))


def token(lab: Path, out: Path, task: str) -> dict[str, float]:
    """Next-token probabilities of the ten experts, mixed."""
    return scores(searched(config_of(lab, out, task, space="token")))


def contrast(lab: Path, out: Path, task: str) -> dict[str, float]:
    """The same, with weights that may be negative."""
    return scores(searched(config_of(lab, out, task, space="token", contrast=True)))


def harmonic(lab: Path, out: Path, task: str) -> dict[str, float]:
    """Two tasks, this one and t6, by the harmonic mean of their accuracies; and how many points are
    on the front.
    """
    tasks = tuple(str(lab / "tasks" / f"{name}.json") for name in (task, "t6"))
    outcome = searched(config_of(lab, out, task, tasks=tasks, max_iter=12))
    return {**scores(outcome), "points on the front": len(outcome["front"]["points"])}


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

    def searched_by_metric(lab: Path, out: Path, task: str) -> dict[str, float]:
        file = str(written_task(lab, out, task))
        how = {
            "metrics": (metric,),
            "tasks": (file,),
            "scoring": "auto",
            "max_new_tokens": 6,
        }
        return scores(searched(config_of(lab, out, task, preset="auto", space="auto", **how)))

    return searched_by_metric


def writers(lab: Path, out: Path, task: str) -> dict[str, float]:
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
    outcome = decide_task(config)
    return {"best single": outcome["members"][outcome["best_single"]]["test"]} | {
        name: outcome["strategies"][name]["test"] for name in strategies
    }


def student(lab: Path, out: Path, task: str) -> dict[str, float]:
    """An adapter taught by a weighted vote of the ten experts."""
    kept_scores = out / "scores.json"
    if not kept_scores.exists():
        plain = config_of(lab, out / "adapter", task)
        config = DistillConfig(
            members=plain.experts,
            base=plain.base or "",
            task=plain.tasks[0],
            out=plain.out,
            scoring="likelihood",
            dtype="float32",
            threads=1,
            lr=3e-3,
            epochs=10,
        )
        out.mkdir(parents=True)
        outcome = distill(config)
        kept_scores.write_text(
            json.dumps({name: outcome[name]["test"] for name in ("base", "group", "student")})
        )
    kept: dict[str, float] = json.loads(kept_scores.read_text())
    return kept


ROWS: dict[str, Callable[[Path, Path, str], dict[str, float]]] = {
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True, help="folder that lab.py made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--tasks", nargs="+", default=["t4", "t5"])
    args = parser.parse_args()
    table = defaultdict(list)
    for task in args.tasks:
        for name in args.rows:
            table[name].append(ROWS[name](args.lab, args.out / f"{name}-{task}", task))
            print(name, task, table[name][-1], flush=True)
    for name, rows in table.items():
        print(name, "mean", {key: round(fmean(row[key] for row in rows), 3) for key in rows[0]})


if __name__ == "__main__":
    main()
