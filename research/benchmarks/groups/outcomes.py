"""Writes the outcomes of finished groups, item by item, for research/evidence: a line per strategy, and
one for the member that is best on dev.

    python research/benchmarks/groups/outcomes.py runs/attention-* --outcomes research/evidence/votes.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyswarmopt_groups.responses import is_right
from pyswarmopt_llm.scores.tasks import Item, load_task


def outcomes_of(run: Path) -> Iterator[dict[str, Any]]:
    """A line per strategy of a run, the best member's first."""
    about, result = (json.loads((run / name).read_text()) for name in ("about.json", "result.json"))
    task = load_task(about["config"]["task"])
    items = {item.id: item for item in task.test}
    verdicts = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    best = list(result["members"]).index(result["best_single"])
    first = [row for row in verdicts if row["strategy"] == verdicts[0]["strategy"]]
    yield _line("best member on dev", task.name, first, items, best) | {
        "tokens": result["members"][result["best_single"]]["tokens"]
    }
    for name, row in result["strategies"].items():
        chosen = [verdict for verdict in verdicts if verdict["strategy"] == name]
        label = "`reward`" if name.startswith("reward:") else f"`{name}`"
        yield _line(label, task.name, chosen, items) | {"tokens": row["tokens"]}


def _line(
    method: str,
    task: str,
    verdicts: list[dict[str, Any]],
    items: dict[str, Item],
    member: int | None = None,
) -> dict[str, Any]:
    answers = {
        row["id"]: row["answer"] if member is None else row["ballots"][member] for row in verdicts
    }
    right = [is_right(item, answers[name]) for name, item in items.items()]
    return {
        "method": method,
        "task": task,
        "seed": 0,
        "test": "".join(map(str, map(int, right))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    args = parser.parse_args()
    lines = [json.dumps(line) for run in args.runs for line in outcomes_of(run)]
    args.outcomes.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
