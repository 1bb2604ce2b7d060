"""The demo with several seeds, beside the sum of its experts: outcomes for research/notes/demo.md.

    python research/benchmarks/demo_table.py runs/demo-table --seeds 0 1 2 \\
        --outcomes research/evidence/demo.jsonl

A line for each method and seed, with 1 for a right answer of a test item and 0 for a wrong one. A
run that is there already is resumed, or read if it has finished. `python research/tools/tables.py`
writes the table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import torch

from pyswarmopt_llm.cli.runs.demo import demo_search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.jobs.search.grid import resume, search
from pyswarmopt_llm.jobs.search.prepare import prepare

FOUND = {
    "best_single": "best-single",
    "uniform": "uniform",
    "mixture": "item-model",
    "trained": "item-model+dev",
}
TUNED = {"base": "base", "base_tuned": "finetune-once", "expert_tuned": "finetune-best-once"}


def outcomes(config: SearchConfig) -> Iterator[tuple[str, str]]:
    """(method, 1 or 0 for each test item) of a finished or new run."""
    run = Path(config.out)
    result = (resume(run) if (run / "run.json").exists() else search(config)).result
    for name, method in {**FOUND, **TUNED}.items():
        (found,) = result["models"][name]["test"]["tasks"].values()
        yield method, found["items"]
    yield "sum", of_sum(config)


def of_sum(config: SearchConfig) -> str:
    """1 or 0 for each test item that the sum of all experts answers."""
    job = prepare(config)
    (utility,) = job.utilities("test", {name: "likelihood" for name in job.tasks}).values()
    job.engine.load(job.space.realise(torch.ones(job.space.size, dtype=torch.float64)))
    return "".join(str(int(value)) for value in utility(job.engine).per_item)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--outcomes", type=Path, required=True)
    options = parser.parse_args()
    lines = []
    for seed in options.seeds:
        config = demo_search(seed, options.folder / f"seed-{seed}")
        for method, values in outcomes(config):
            lines.append(
                json.dumps({"method": method, "task": "five-desks", "seed": seed, "test": values})
            )
            print(seed, method, f"{values.count('1') / len(values):.3f}", flush=True)
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
