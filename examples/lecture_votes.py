"""The lecture's two programs for a group of models: equal strings win, and all outputs appended.

    python examples/lecture_votes.py RUN questions.json

RUN was written by `swarm-llm ensemble --strategy majority`. To the first program "Paris" and "Paris."
are two answers; the output of the second is scored by its first line.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pyswarmopt_llm as sl


def equal_strings(outputs: Sequence[str]) -> str:
    """The most frequent output; of equally frequent ones, the first."""
    return Counter(outputs).most_common(1)[0][0]


def appended(outputs: Sequence[str]) -> str:
    """All outputs, one a line."""
    return "\n".join(outputs)


def main(run: str, file: str) -> None:
    right = {item.id: item.answer for item in sl.load_task(file).test}
    votes = list(map(json.loads, Path(run, "verdicts.jsonl").read_text().splitlines()))
    for name, program in (("equal strings", equal_strings), ("appended", appended)):
        found = {vote["id"]: program([str(said) for said in vote["ballots"]]) for vote in votes}
        share = fmean(said.split("\n")[0] == right[id_] for id_, said in found.items())
        print(f"{name}: {share:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
