"""Growth of a search to 10,000 adapters and 100 GPUs: measured constants of the driver, and what follows.

    python research/benchmarks/growth.py --outcomes research/evidence/growth.jsonl

Measured: a proposal by candidates and coefficients; a row written to journal and history by adapters; the
unit vectors of all adapters in memory; `ask` and `tell` of a `pyswarmopt.Study` by pending trials. From
these `research/tools/cluster_tables.py` computes when the driver is busy all the time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

import pyswarmopt as pso
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.directory import RunJournal
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.searching.surrogate import Candidate, MarginProcess, proposed

ITEMS, OPTIONS = 200, 4
CANDIDATES = (50, 100, 200)
COEFFICIENTS = (12, 32, 64)
ADAPTERS = (100, 1000, 10000)
PENDING = (100, 1000, 4000)
ROWS = 50


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def proposal(candidates: int, coefficients: int) -> float:
    """Seconds of a proposal of the model of the margins."""
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(coefficients, ITEMS, OPTIONS - 1))
    seen = []
    for x in rng.dirichlet(np.ones(coefficients), candidates):
        margins = np.tensordot(x, slopes, 1) + 0.1 * rng.normal(size=(ITEMS, OPTIONS - 1))
        seen.append(Candidate(x, 0.5, margins=list(map(tuple, margins.tolist()))))
    model = None

    def work() -> None:
        nonlocal model
        model = MarginProcess(seen)
        proposed(model, model.positions, 0)

    return seconds(work)


def rows(adapters: int, parts: bool) -> tuple[float, float]:
    """Seconds and bytes of a row in journal and history, of a candidate or of screening."""
    score = score_of([1.0, 0.0] * (ITEMS // 2))
    score = replace(score, margins=((0.123456,) * (OPTIONS - 1),) * ITEMS)
    coefficients = [] if parts else [0.0] * adapters
    row = replace(Row.of({"t": score}, score), phase="search", coefficients=coefficients)
    with tempfile.TemporaryDirectory() as folder:
        journal = RunJournal(Path(folder))

        def work() -> None:
            for number in range(ROWS):
                journal.store.add("search", str(number), asdict(row))
                journal.append(row)

        taken = seconds(work)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    return taken / ROWS, size / ROWS


def study(pending: int) -> tuple[float, float]:
    """Seconds of an ask and of a tell with so many trials pending."""
    search = pso.Study([(-5, 5)] * 5, seed=1)
    trials: list[pso.Trial] = []

    def ask() -> None:
        while len(trials) < pending:
            trial = search.ask()
            if trial is None:
                raise RuntimeError("a study waits for values")
            trials.append(trial)

    def tell() -> None:
        for trial in trials:
            search.tell(trial, float(np.sum(np.square(trial.x))))

    return seconds(ask) / pending, seconds(tell) / pending


def measured() -> list[dict[str, object]]:
    """All constants."""
    found: list[dict[str, object]] = []
    for candidates in CANDIDATES:
        for coefficients in COEFFICIENTS:
            taken = round(proposal(candidates, coefficients), 3)
            key = {"candidates": candidates, "coefficients": coefficients}
            found.append({"what": "proposal", **key, "seconds": taken})
    for adapters in ADAPTERS:
        vertices = torch.eye(adapters, dtype=torch.float64)
        bytes_ = vertices.element_size() * vertices.nelement()
        found.append({"what": "vertices", "adapters": adapters, "bytes": bytes_})
        for parts in (False, True):
            taken, size = rows(adapters, parts)
            key = {"adapters": adapters, "screening": parts}
            found.append({"what": "row", **key, "seconds": round(taken, 5), "bytes": round(size)})
    for pending in PENDING:
        asked, told = study(pending)
        key = {"pending": pending, "ask": round(asked, 6), "tell": round(told, 6)}
        found.append({"what": "study", **key})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True)
    options = parser.parse_args()
    lines = [json.dumps(line) for line in measured()]
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
