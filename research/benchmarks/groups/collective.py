"""Every strategy of a group on shared tasks: accuracy with intervals and cost, as rows for
research/notes/groups-methods.md.

    python research/benchmarks/groups/collective.py --experts DIR... --task intent.json \\
        --task banking.json --out results
    python research/benchmarks/groups/collective.py --experts DIR... --task intent.json --dev 40 --test 40 \\
        --written --out small

With `--outcomes FILE` a line for each strategy and member: 1 or 0 for each test item.

Without `--written` only strategies that live on option scores run: all of them from one asking of
the members. With it also those whose members write. A call that is stopped goes on with the same
command.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.registry import NEGOTIATIONS, VOTES, society_names
from pyswarmopt_groups.responses import is_right
from pyswarmopt_groups.run import VERDICTS, decide_task

# On items that are scored by their options these never let a member write.
SCORED = (
    *("majority", "weighted", "confidence", "borda", "condorcet"),
    *(
        "nearest",
        "cascade",
        "route-neighbours",
        "route-likelihood",
        "consensus",
        "game",
        "stackelberg",
    ),
)


def strategies(written: bool, rounds: int, agents: int) -> tuple[str, ...]:
    """What is measured."""
    if not written:
        return SCORED
    everything = [
        name for name in (*VOTES, *NEGOTIATIONS) if name not in ("reward", "refine", "societies")
    ]
    return (*everything, f"refine:{rounds}", *society_names(agents, rounds))


def cell(row: dict[str, Any]) -> str:
    """Test accuracy with its interval, and tokens an item."""
    low, high = row["test_interval"]
    return f"{row['test']:.3f} [{low:.3f}, {high:.3f}], {row['tokens']:,.0f}"


def finished(done: int, total: int, name: str, row: Mapping[str, Any] | None) -> None:
    """A line for each strategy that is done."""
    if row is not None:
        print(f"{done}/{total} {name} {row['seconds']:.0f} s", flush=True)


def outcomes(config: CouncilConfig, result: Mapping[str, Any]) -> Iterator[str]:
    """Lines of outcomes of a finished call: of each strategy, and of each member by its ballots."""
    verdicts = map(json.loads, (Path(str(config.out)) / VERDICTS).read_text("utf-8").splitlines())
    answers: dict[str, list[str | None]] = {}
    for verdict in verdicts:
        answers.setdefault(verdict["strategy"], []).append(verdict["answer"])
        if verdict["strategy"] == "majority":
            for name, ballot in zip(result["members"], verdict["ballots"], strict=True):
                answers.setdefault(name, []).append(ballot)
    test = config.load().test
    for name, given in answers.items():
        right = [str(int(is_right(item, a))) for item, a in zip(test, given, strict=True)]
        row = result["strategies"].get(name) or result["members"][name]
        line = {"method": name, "task": result["task"], "seed": 0, "test": "".join(right)}
        more = {"best": name == result["best_single"]} if name in result["members"] else {}
        yield json.dumps({**line, "tokens": round(row["tokens"], 1), **more})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experts", nargs="+", required=True)
    parser.add_argument("--task", action="append", required=True)
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--out", required=True)
    parser.add_argument("--dev", type=int)
    parser.add_argument("--test", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--agents", type=int, default=3)
    parser.add_argument("--written", action="store_true")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--outcomes", type=Path, help="file of outcomes, item by item")
    args = parser.parse_args()
    results, kept = {}, list[str]()
    for task in args.task:
        config = CouncilConfig(
            members=tuple(args.experts),
            strategies=strategies(args.written, args.rounds, args.agents),
            task=task,
            out=str(Path(args.out) / Path(task).stem),
            base=args.base,
            dev=args.dev,
            test=args.test,
            threads=args.threads,
        )
        results[task] = decide_task(config, finished)
        kept += outcomes(config, results[task])
    if args.outcomes is not None:
        args.outcomes.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    print("| strategy |" + "".join(f" {result['task']} |" for result in results.values()))
    print("|---|" + "---:|" * len(results))
    singles = [
        result["members"][result["best_single"]] | {"name": result["best_single"]}
        for result in results.values()
    ]
    print("| best single on dev |" + "".join(f" {cell(row)} ({row['name']}) |" for row in singles))
    for name in next(iter(results.values()))["strategies"]:
        print(
            f"| `{name}` |"
            + "".join(f" {cell(result['strategies'][name])} |" for result in results.values())
        )


if __name__ == "__main__":
    main()
