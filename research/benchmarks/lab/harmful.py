#!/usr/bin/env python3
"""What does one expert that harms cost a search? The laboratory's ten experts, and the same with one
that was trained on answers that have slipped by a row.

Searches by labels and by exact matches of written answers, without training what they find, in
pools without the harmful expert, with it (`now`), and with it where nobody is ever clearly worse
than the base (`before`). A line of the outcomes is a kind of search, a pool, a task and a seed; the
lines of `several.py`, whose expert it is, are others. What has finished is not run again.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/harmful.py --lab runs/lab --several runs/several-lab --out runs/harmful \\
        --outcomes research/evidence/harmful.jsonl
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from several import make

from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.searching import surrogate as harmful
from pyswarmopt_llm.searching.scoring.record import unpack

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scores"))
from runs import adapters, finished, lab_search, line, write_lines, written_tasks
from several_tasks import HARMFUL

POOLS: Mapping[str, tuple[bool, float]] = {  # with the harmful expert; from which errors on
    "without it": (False, harmful.ERRORS),
    "before": (True, math.inf),
    "now": (True, harmful.ERRORS),
}


def config_of(kind: str, lab: Path, task: str, out: Path, seed: int) -> SearchConfig:
    """A search of the laboratory's experts, without training."""
    if kind == "scores":
        file, _ = written_tasks(lab, task, out.parent)
        return lab_search(lab, file, out, train="off", seed=seed)
    return SearchConfig(
        base=str(lab / "base"),
        experts=adapters(lab / "experts"),
        tasks=(str(lab / "tasks" / f"{task}.json"),),
        out=str(out),
        scoring="likelihood",
        threads=1,
        dtype="float32",
        no_rivals=True,
        train="off",
        seed=seed,
    )


def searched(config: SearchConfig, errors: float) -> Mapping[str, Any]:
    """The models of a search in which so many standard errors are clear."""
    with mock.patch.object(harmful, "ERRORS", errors):
        models: Mapping[str, Any] = finished(config)["models"]
    return models


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--several", type=Path, required=True, help="see several.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["t1", "t2", "t3", "t4", "t5", "t6"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    make(args.lab, args.several)
    lines = []
    for kind in ("labels", "scores"):
        for task in args.tasks:
            for seed in args.seeds:
                for pool, (spoilt, errors) in POOLS.items():
                    out = args.out / f"{kind}-{pool.replace(' ', '-')}-{task}-{seed}"
                    config = config_of(kind, args.lab, task, out, seed)
                    if spoilt:
                        expert = str(args.several / "experts" / HARMFUL)
                        config = replace(config, experts=(*config.experts, expert))
                    outcomes = searched(config, errors)
                    methods = {"best": f"{kind}: {pool}"}
                    if pool == "now":
                        methods["best_single"] = f"{kind}: best single expert"
                    for model, method in methods.items():
                        (found,) = outcomes[model]["test"]["tasks"].values()
                        lines.append(line((method, unpack(found["items"])), task, seed))
    write_lines(args.outcomes, lines)


if __name__ == "__main__":
    main()
