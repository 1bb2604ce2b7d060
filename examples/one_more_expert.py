"""Add an adapter to a finished search: search between its result and the newcomer.

    python examples/one_more_expert.py runs/first adapters/new runs/second

The result counts as one expert, so a few evaluations are enough. Dev scores are optimistic, because both
searches choose by the same examples. To remove an adapter, search anew without it.
"""

import json
import sys
from pathlib import Path

import pyswarmopt_llm as sl

SAME = ("base", "tasks", "metrics", "columns", "template", "dev", "test", "seed", "threads")


def main(run: str, newcomer: str, out: str) -> None:
    config = json.loads(Path(run, "run.json").read_text())["config"]
    before = json.loads(Path(run, "result.json").read_text())["best_test"]
    same = {name: config[name] for name in SAME}
    same |= {name: tuple(value) for name, value in same.items() if isinstance(value, list)}
    experts = (f"{run}/best", newcomer)
    found = sl.search(sl.SearchConfig(**same, experts=experts, out=out, train="off"))
    after = found.result["best_test"]
    print(f"{found.verdict}\ntest: {after:.3f}, before: {before:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
