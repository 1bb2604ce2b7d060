"""The demo with several seeds, beside the sum of its experts: outcomes for research/notes/demo.md.

    python research/benchmarks/demo_table.py runs/demo-table --seeds 0 1 2 \\
        --outcomes research/evidence/demo.jsonl

A line for each method and seed: the score on dev (cross-fitted of what was trained), and 1 for a
right answer of a test item, 0 for a wrong one. What the search leaves out is trained here. A
run that is there already is resumed, or read if it has finished. `python research/tools/tables.py`
writes the table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.cli.demo import demo_search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.training.trainer import fit

FOUND = {
    "best_single": "best-single",
    "uniform": "uniform",
    "mixture": "item-model",
    "trained": "item-model+dev",
}
TUNED = {"base": "base", "base_tuned": "finetune-once", "expert_tuned": "finetune-best-once"}


def outcomes(config: SearchConfig) -> Iterator[tuple[str, str, float]]:
    """Method, 1 or 0 for each test item, and score on dev, of a finished or new run."""
    run = Path(config.out)
    result = (resume(run) if (run / "run.json").exists() else search(config)).result
    models = result["models"]
    for name, method in {**FOUND, **TUNED}.items():
        test = models[name].get("test")
        items = (
            next(iter(test["tasks"].values()))["items"]
            if test
            else next(iter(trained(config, result, name).values()))
        )
        yield method, items, models[name]["dev"]["value"]
    yield "sum", *of_sum(config)


def trained(config: SearchConfig, result: Mapping[str, Any], name: str) -> dict[str, str]:
    """By task, 1 or 0 for each test item that a start answers after training on all labels, which
    the search left out since it was clearly behind.
    """
    job = prepare(replace(config, out=f"{config.out}-alone"))
    answer_formats: dict[str, Any] = dict.fromkeys(job.tasks, "likelihood")
    single = job.pool.space.expert_names.index(result["best_single"])
    start = job.pool.space.realise(job.pool.space.vertices()[single] * (name != "base_tuned"))
    choices = job.choices(answer_formats)
    lora = fit(job.engine, start, choices, job.pool.experts[0], config.seed)
    job.engine.load(start.with_low_rank(lora.low_rank))
    return {
        task: "".join(str(int(value)) for value in utility(job.engine).per_item)
        for task, utility in job.utilities("test", answer_formats).items()
    }


def of_sum(config: SearchConfig) -> tuple[str, float]:
    """1 or 0 for each test item that the sum of all experts answers, and its score on dev."""
    job = prepare(replace(config, out=f"{config.out}-alone"))
    answer_formats: dict[str, Any] = dict.fromkeys(job.tasks, "likelihood")
    job.engine.load(job.pool.space.realise(torch.ones(job.pool.space.size, dtype=torch.float64)))
    dev, test = (
        next(iter(job.utilities(split, answer_formats).values()))(job.engine)
        for split in ("dev", "test")
    )
    return "".join(str(int(value)) for value in test.per_item), dev.value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--outcomes", type=Path, required=True)
    options = parser.parse_args()
    lines = []
    for seed in options.seeds:
        config = demo_search(seed, options.folder / f"seed-{seed}", full=True)
        for method, values, dev in outcomes(config):
            line = {"method": method, "task": "five-desks", "seed": seed, "dev": round(dev, 4)}
            lines.append(json.dumps({**line, "test": values}))
            print(seed, method, f"{values.count('1') / len(values):.3f}", flush=True)
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
