"""Vote of the ten best personal bests of a search with `--paper`, as in the authors' released code.

python examples/personal_bests.py RUN
"""

import json
import sys
import tempfile
from pathlib import Path
from statistics import fmean

import pyswarmopt_llm as sl


def personal_bests(rows: list[dict], count: int = 10) -> list[dict]:
    """The best row of each particle, the best first; of equally good ones, the first."""
    best = {}
    for row in sorted(rows, key=lambda row: -row["value"]):
        best.setdefault(row["particle"], row)
    return list(best.values())[:count]


def main(run: str) -> None:
    config = json.loads(Path(run, "run.json").read_text())["config"]
    how = {name: config[name] for name in ("columns", "template", "dev", "test")}
    base, task = config["base"], config["tasks"][0]
    rows = list(map(json.loads, Path(run, "history.jsonl").read_text().splitlines()))
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for row in personal_bests([row for row in rows if row["phase"] == "search"]):
            out, weights = f"{folder}/{len(scores)}", ",".join(map(repr, row["coefficients"]))
            sl.merge(base, config["experts"], "uniform-soup", config["space"], out, weights=weights)
            scores.append(sl.evaluate(base, out, task, scoring=config["scoring"], **how).score)
    rows = zip(sl.load_task(task, **how).test, *(score.answers for score in scores), strict=True)
    voted = fmean(sl.vote(votes).answer == item.answer for item, *votes in rows)
    print(f"vote of {len(scores)}: {voted:.3f}; the best alone: {scores[0].value:.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
