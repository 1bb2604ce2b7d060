"""Numbers, tables and plots out of the runs of `bbob.py`."""

from __future__ import annotations

import gzip
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from bbob_problems import CONTROL, GROUPS, SUITES

TARGETS = 10.0 ** np.linspace(2, -8, 51)
BEGIN, END = "<!-- bbob.py: begin -->", "<!-- bbob.py: end -->"
PACKAGES = ("pyswarmopt", "cma", "nevergrad", "pygmo", "scipy", "coco-experiment", "numpy")
COMPETITIONS = ("cec2022", "cec2017")
Record = dict[str, Any]
Runs = dict[str, list[Record]]  # solver -> its runs


def area(records: Sequence[Record]) -> float:
    """Area under the runtime distribution over log10(evaluations / D) from 0 to log10(budget / D),
    from 0 to 1.
    """
    total = 0.0
    for r in records:
        top = math.log10(r["budget"] / r["D"])
        total += sum(top - max(0.0, math.log10(h / r["D"])) for h in r["hits"]) / top
    return total / (len(TARGETS) * len(records))


def solved(records: Sequence[Record]) -> float:
    """Share of all targets that were hit."""
    return sum(len(r["hits"]) for r in records) / (len(TARGETS) * len(records))


def file_of(solver: str, suite: str, dim: int) -> str:
    """The name of the file with the runs of a solver."""
    return f"{solver.replace(':', '_')}-{'' if suite == 'bbob' else suite + '-'}d{dim:02d}.jsonl"


def read(path: Path) -> list[Record]:
    """The runs of a file, compressed or not."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


def keep(folder: Path, kept: Path) -> None:
    """Compress the files of a folder into another one, which may take its place."""
    kept.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.jsonl")):
        (kept / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def load(folder: Path, suite: str) -> dict[int, Runs]:
    """Dimension -> solver -> runs, the better area first."""
    by_dim: dict[int, Runs] = defaultdict(dict)
    for path in sorted(folder.glob("*.jsonl*")):
        name, _, dim = path.name.partition(".jsonl")[0].rpartition("-d")
        suites = [other for other in list(SUITES)[1:] if name.endswith(f"-{other}")] or ["bbob"]
        if suites == [suite]:
            records = read(path)
            solver = name.removesuffix(f"-{suite}").replace("pyswarmopt_", "pyswarmopt:")
            by_dim[int(dim)][solver] = records
    return {
        dim: dict(sorted(runs.items(), key=lambda item: -area(item[1])))
        for dim, runs in sorted(by_dim.items())
    }


def report(folder: Path, page: Path) -> None:
    """Write the tables between the marks of a Markdown page, and the plots beside it, into a folder
    of its name.
    """
    pictures = page.with_suffix("")
    pictures.mkdir(exist_ok=True)
    lines = [f"Versions: {', '.join(_versions())}.", ""]
    for dim, runs in load(folder, "bbob").items():
        _plot(dim, runs, pictures / f"bbob-d{dim:02d}.png")
        lines += [
            f"### {dim}-D",
            "",
            *_table(runs),
            "",
            f"![{dim}-D]({pictures.name}/bbob-d{dim:02d}.png)",
            "",
        ]
    for dim, runs in load(folder, "control").items():
        lines += [f"### Optimum at the centre -> at a random point, rotated functions, {dim}-D", ""]
        lines += [*_control_table(runs), ""]
    before, rest = page.read_text().split(BEGIN)
    page.write_text(before + BEGIN + "\n" + "\n".join(lines) + END + rest.split(END)[1])


def outcomes(folder: Path, path: Path) -> None:
    """Write area and share of targets hit of each run, on the suites of other functions, as lines
    of JSON; lines of solvers that the folder does not have stay.
    """
    rows = {}
    if path.exists():
        for line in path.read_text().splitlines():
            row = json.loads(line)
            rows[row["suite"], row["D"], row["solver"]] = line
    for suite in ("ma-bbob", "cec2022"):
        for dim, runs in load(folder, suite).items():
            for solver, records in runs.items():
                each = [
                    [r["i"] if suite == "ma-bbob" else int(r["f"]), area([r]), solved([r])]
                    for r in records
                ]
                rounded = [[problem, round(a, 4), round(hit, 4)] for problem, a, hit in each]
                row = {"suite": suite, "D": dim, "solver": solver, "runs": rounded}
                rows[suite, dim, solver] = json.dumps(row)
    path.write_text("\n".join(rows.values()) + "\n")


def errors(folder: Path, path: Path) -> None:
    """Write the error at the end of each run on the CEC's functions, as lines of JSON."""
    rows = []
    for suite in COMPETITIONS:
        for dim, runs in load(folder, suite).items():
            for solver, records in runs.items():
                each = [[int(r["f"]), r["i"], float(f"{r['error']:.4g}")] for r in records]
                row = {"suite": suite, "D": dim, "budget": records[0]["budget"], "solver": solver}
                rows.append(json.dumps({**row, "errors": each}))
    path.write_text("\n".join(rows) + "\n")


def _versions() -> Iterable[str]:
    for package in PACKAGES:
        try:
            yield f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue


def _table(runs: Runs) -> list[str]:
    lines = [
        f"| solver | area | per instance | hit | {' | '.join(GROUPS)} |",
        "|---" * (4 + len(GROUPS)) + "|",
    ]
    for name, records in runs.items():
        instances = sorted({r["i"] for r in records})
        each = [area([r for r in records if r["i"] == i]) for i in instances]
        groups = [_of(records, numbers) for numbers in GROUPS.values()]
        cells = [name, f"{area(records):.3f}", f"{min(each):.3f} to {max(each):.3f} ({len(each)})"]
        cells += [f"{solved(records):.3f}", *(f"{area(g):.3f}" if g else "" for g in groups)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _of(records: Sequence[Record], numbers: Iterable[int]) -> list[Record]:
    names = {str(n) for n in numbers}
    return [r for r in records if r["f"] in names]


def _control_table(runs: Runs) -> list[str]:
    lines = [f"| solver | {' | '.join(CONTROL)} | mean loss |", "|---" * (2 + len(CONTROL)) + "|"]
    for name, records in runs.items():
        pairs = [
            [
                area([r for r in records if r["f"] == f"{f}/{where}"])
                for where in ("centre", "shifted")
            ]
            for f in CONTROL
        ]
        loss = float(np.mean([centre - shifted for centre, shifted in pairs]))
        cells = [f"{centre:.3f} -> {shifted:.3f}" for centre, shifted in pairs]
        lines.append(f"| {name} | {' | '.join(cells)} | {loss:+.3f} |")
    return lines


def _plot(dim: int, runs: Runs, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = {"all functions": range(1, 25), **GROUPS}
    figure, axes = plt.subplots(
        2, 3, figsize=(12, 7), sharex=True, sharey=True, layout="constrained"
    )
    for ax, (title, numbers) in zip(axes.flat, panels.items(), strict=True):
        for name, records in runs.items():
            chosen = _of(records, numbers)
            if chosen:
                hits = np.sort([h / dim for r in chosen for h in r["hits"]])
                share = np.arange(1, len(hits) + 1) / (len(TARGETS) * len(chosen))
                width = 2.2 if name.startswith("pyswarmopt") else 1.1
                ax.step(np.append(hits, chosen[0]["budget"] / dim), np.append(share, share[-1]),
                        where="post", label=name, linewidth=width)  # fmt: skip
        ax.set(xscale="log", title=title, ylim=(0, 1), xlim=(1, None))
        ax.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=7)
    figure.supxlabel("evaluations / D")
    figure.supylabel("share of targets hit")
    figure.suptitle(f"bbob, {dim}-D: 51 targets from 10^2 to 10^-8")
    figure.savefig(path, dpi=80)
    plt.close(figure)


__all__ = ["TARGETS", "area", "load", "report", "solved"]
