"""Which members a majority vote depends on: count a group's stored votes again without each of them.

    swarm-llm ensemble --members adapters/* --base my/base --strategy majority \
        --task questions.json --out runs/votes
    python examples/leave_one_out.py runs/votes questions.json

The member without which the group gains most comes first.
"""

import json
import sys
from pathlib import Path
from statistics import fmean

import pyswarmopt_llm as sl
from pyswarmopt_groups import voting


def main(run: str, file: str) -> None:
    right = {item.id: item.answer for item in sl.load_task(file).test}
    members = list(json.loads((Path(run) / "result.json").read_text(encoding="utf-8"))["members"])
    lines = (Path(run) / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    votes = [vote for vote in map(json.loads, lines) if vote["strategy"] == "majority"]

    def accuracy(without: int | None) -> float:
        won = []
        for vote in votes:
            ballots = [each for k, each in enumerate(vote["ballots"]) if k != without]
            won.append(voting.majority(ballots).answer == right[vote["id"]])
        return fmean(won)

    print(f"all members: {accuracy(None):.3f}")
    found = {name: accuracy(k) for k, name in enumerate(members)}
    for name in sorted(found, key=found.__getitem__, reverse=True):
        print(f"without {name}: {found[name]:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
