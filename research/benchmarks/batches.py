"""The price of `batch`: how good a search's mixture is if the surrogate proposes q candidates at once.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/batches.py runs/lab runs/batches --jobs items-8:t1:0 items-8:t4:0 \\
        --outcomes research/evidence/batches.jsonl

A job is METHOD-PROPOSALS:TASK:DRAW: a search of the laboratory's ten adapters, without training, at
each q, with the same starting points and the same number of proposals. A draw picks the 100 dev
examples and seeds the search; the 500 test examples are the same for all. A line for each job and q
holds 1 for a right answer of a test example, 0 for a wrong one, of what the search returns and of the best
adapter. Jobs with outcomes are
skipped, so a run can be continued. `python research/tools/tables.py` writes the table.

`CHOOSE` is for choosing the default and `CLAIM` for claims; both were named before the first job.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.run.directory import RunJournal
from pyswarmopt_llm.run.record import pack
from pyswarmopt_llm.searching.explore import Chosen, explore
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scorer import CandidateEvaluator, Scorer
from pyswarmopt_llm.searching.surrogate import Surrogate

sys.path.insert(0, str(Path(__file__).parent / "lab"))

CHOOSE = ("t1", "t2", "t3")
CLAIM = ("t4", "t5", "t6")
AT_ONCE = (1, 2, 4, 8)
DEV, TEST = 100, 500
FIRST_SEED = 700  # no other benchmark draws these examples


def task_file(folder: Path, task: str, draw: int) -> Path:
    """A task with dev examples of a draw."""
    from lab import TASKS
    from lab_skills import items

    kinds = TASKS[task]
    file = folder / f"{task}-{draw}.json"
    splits = {
        "dev": items(kinds, "dev", DEV, FIRST_SEED + draw),
        "test": items(kinds, "test", TEST, FIRST_SEED),
    }
    file.write_text(json.dumps(splits), encoding="utf-8")
    return file


def searched(job: Job, scored: CandidateEvaluator, journal: RunJournal, at_once: int) -> Chosen:
    """What a search finds; the starting points are scored once for all."""
    config = job.config
    proposer = Surrogate(
        config.method,
        job.starts,
        job.pool.space.expert_names,
        job.objectives.names,
        job.objectives.combine,
        config.proposals or 0,
        config.seed,
        at_once,
    )
    scorer = Scorer(journal, scored)
    scorer.score(list(job.starts), 0)
    explore(proposer, scorer, config)
    return proposer.best()


def prepared(options: argparse.Namespace, job: str) -> Job:
    """A job's search."""
    kind, task, number = job.split(":")
    method, proposals = kind.split("-")
    config = SearchConfig(
        base=str(options.lab / "base"),
        experts=tuple(sorted(map(str, (options.lab / "experts").iterdir()))),
        tasks=(str(task_file(options.folder, task, int(number))),),
        out="unused",
        method=method,
        proposals=int(proposals),
        seed=int(number),
        train="off",
        no_rivals=True,
        scoring="likelihood",
        dtype="float32",
        device="cpu",
        threads=1,
    )
    return prepare(config)


def run(options: argparse.Namespace) -> None:
    """Search for what is missing."""
    options.folder.mkdir(parents=True, exist_ok=True)
    done = {(row["kind"], row["task"], row["draw"], row["batch"]) for row in read(options.outcomes)}
    for name in options.jobs:
        kind, task, number = name.split(":")
        keys = [(kind, task, int(number), at_once) for at_once in AT_ONCE]
        missing = [key for key in keys if key not in done]
        if not missing:
            continue
        job = prepared(options, name)
        (utility,) = job.objectives.names
        dev, test = (job.evaluator(split, {utility: "likelihood"}) for split in ("dev", "test"))
        journal = RunJournal()
        single = max(job.pool.space.vertices(), key=lambda x: dev.answer(x).value)
        for key in missing:
            best = searched(job, dev, journal, key[-1])
            line = dict(zip(("kind", "task", "draw", "batch"), key, strict=True))
            for model, x in (("best", best.x), ("best_single", single)):
                line[model] = pack(test.answer(x).tasks[utility].per_item)
            line["dev"] = best.value
            with options.outcomes.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")
            print(*key, best.value, line["best"].count("1"), flush=True)


def read(path: Path) -> list[dict[str, Any]]:
    """The stored lines; none without the file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lab", type=Path, help="folder of the laboratory")
    parser.add_argument("folder", type=Path, help="folder for the tasks' files")
    parser.add_argument("--jobs", nargs="+", default=[])
    parser.add_argument("--outcomes", type=Path, required=True)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
