"""Fronts of bbob-biobj: `minimize_multi` beside the runs of MOTPE in COCO's data archive.

    python research/benchmarks/functions/biobj.py --out research/evidence/biobj.jsonl --logs exdata
    python research/benchmarks/functions/biobj.py --out research/evidence/biobj.jsonl --motpe MOTPE_Tanabe.tgz
    python research/benchmarks/functions/biobj.py --out research/evidence/biobj.jsonl --table

The suite has 55 pairs of functions (Brockhoff, Auger, Hansen & Tusar 2022, Evol. Comput. 30(2)). Each
instance has 20 D calls. The outcome is COCO's indicator by its own observer: the hypervolume between
the ideal and the nadir point that is missing to the best known one, or the distance to that box. MOTPE
(Ozaki et al. 2020) was run by Tanabe for the archive numbbo/data-archive, bbob-biobj/2022. Its first
points lie in [-5, 5]^D, so that is the box here, too. Nothing was chosen on instances 1 to 5; instances
6 to 10 may be. The rows of a dimension and an instance are written together; what is in the file is not
run again. The logs can be packed and sent to the archive. Needs: pip install coco-experiment.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import itertools
import json
import re
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from resumed import arguments

import pyswarmopt as pso

CALLS = 20  # times the dimension
DIMENSIONS = (2, 3, 5)
CLAIMED = (1, 2, 3, 4, 5)
HEAD = re.compile(r"^% instance = (\d+), reference value = (\S+)")
LOG = re.compile(r"_f(\d+)_d(\d+)_hyp\.tdat$")


def run(dimension: int, instance: int, logs: Path) -> list[dict[str, Any]]:
    """Search all pairs; the rows of the logs."""
    import cocoex

    folder = f"pyswarmopt_d{dimension:02}_i{instance:02}"
    name = cocoex.Observer(
        "bbob-biobj", f"outer_folder: {logs} result_folder: {folder} algorithm_name: pyswarmopt"
    )
    suite = cocoex.Suite("bbob-biobj", "", f"dimensions: {dimension} instance_indices: {instance}")
    for problem in suite:
        problem.observe_with(name)
        pso.minimize_multi(
            lambda x, problem=problem: list(problem(x)),
            [(-5.0, 5.0)] * dimension,
            max_evals=CALLS * dimension,
            seed=instance,
        )
        problem.free()
    read = []
    for path in sorted(Path(name.result_folder).rglob("*.tdat")):
        read += list(rows(str(path), path.read_text(), "pyswarmopt"))
    return read


def rows(path: str, text: str, solver: str) -> Iterator[dict[str, Any]]:
    """The last indicator of each instance in a log, up to `CALLS` times the dimension."""
    found = LOG.search(path)
    if found is None:
        return
    function, dimension = map(int, found.groups())
    row: dict[str, Any] = {}
    for line in text.splitlines():
        head = HEAD.match(line)
        if head:
            yield from [row] if row else []
            row = {"solver": solver, "dimension": dimension, "function": function}
            row |= {"instance": int(head[1]), "reference": float(head[2])}
        elif not line.startswith("%"):
            calls, indicator = line.split()
            if int(calls) <= CALLS * dimension:
                row |= {"calls": int(calls), "indicator": float(indicator)}
    yield from [row] if row else []


def archived(archive: Path) -> Iterator[dict[str, Any]]:
    """MOTPE's rows."""
    with tarfile.open(archive) as files:
        for member in files:
            if LOG.search(member.name):
                text = files.extractfile(member).read().decode()  # type: ignore[union-attr]
                yield from rows(member.name, text, "MOTPE")


def table(rows: list[dict[str, Any]], instances: tuple[int, ...]) -> str:
    """By dimension: functions on which the mean hypervolume is larger, and instances."""
    frame = pd.DataFrame(rows)
    frame = frame[frame["instance"].isin(instances)]
    frame["volume"] = frame["reference"] - frame["indicator"]
    wide = frame.pivot(
        index=["dimension", "function", "instance"], columns="solver", values="volume"
    ).dropna()
    wide["ahead"] = np.sign(wide["pyswarmopt"] - wide["MOTPE"])
    better = wide["ahead"] > 0
    by_function = wide.groupby(level=["dimension", "function"])["ahead"].sum() > 0
    lines = [f"{len(wide)} searches"]
    for dimension, part in by_function.groupby(level="dimension"):
        single = better.xs(dimension, level="dimension")
        lines.append(
            f"{dimension}-D: on {part.sum()} of {len(part)} functions, in {single.sum()} of "
            f"{len(single)} searches"
        )
    lines.append(f"lost: {[key for key, won in by_function.items() if not won]}")
    return "\n".join(lines)


def main() -> None:
    parser = arguments(__doc__, seeds=1)
    parser.add_argument("--dimensions", nargs="+", type=int, default=DIMENSIONS)
    parser.add_argument("--instances", nargs="+", type=int, default=CLAIMED)
    parser.add_argument("--logs", type=Path, default=Path("exdata"))
    parser.add_argument("--motpe", type=Path, help="the archive's file")
    args = parser.parse_args()
    known = args.out.read_text(encoding="utf-8").splitlines() if args.out.exists() else []
    rows = [json.loads(line) for line in known]
    done = {(row["solver"], row["dimension"], row["instance"]) for row in rows}
    wanted = list(itertools.product(args.dimensions, args.instances))
    with args.out.open("a", encoding="utf-8") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")

        def keep(new: list[dict[str, Any]]) -> None:
            rows.extend(new)
            file.write("".join(json.dumps(row) + "\n" for row in new))
            file.flush()

        if args.motpe:
            keep([
                row
                for row in archived(args.motpe)
                if (row["dimension"], row["instance"]) in wanted
                and ("MOTPE", row["dimension"], row["instance"]) not in done
            ])  # fmt: skip
        for pair in [] if args.table or args.motpe else wanted:
            if ("pyswarmopt", *pair) not in done:
                keep(run(*pair, args.logs))
    if not args.motpe:
        print(table(rows, tuple(args.instances)))


if __name__ == "__main__":
    main()
