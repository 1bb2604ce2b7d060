"""The tables of four adapters that vote, of rule-following members, of a log by Raft and Paxos, of
linear classifiers, and of inertia and exploration, from research/evidence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from outcomes import lines, markdown

from pyswarmopt_rivals.comparison.summary import interval_over_seeds

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "lab"))
import studies_table as studies_table

Rows = Sequence[dict[str, Any]]
KINDS = ("careful", "careless")
FULL = studies_table.FULL


def _grouped(rows: Rows, key: Callable[[dict[str, Any]], Any]) -> dict[Any, list[dict[str, Any]]]:
    """Rows by what a function says of them, in their order."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _accuracy(rows: Rows) -> float:
    return fmean(fmean(map(int, row["test"])) for row in rows)


def _with_interval(rows: Rows) -> str:
    """Accuracy and its 95% interval over seeds and items."""
    scores = np.array([[float(sign) for sign in row["test"]] for row in rows])
    low, high = interval_over_seeds(scores)
    return f"{scores.mean():.3f} [{low:.3f}, {high:.3f}]"


# Four adapters of SmolLM2-135M


def _is(row: dict[str, Any], name: str) -> bool:
    """Whether a line is of this strategy, or of the ``best`` member."""
    return bool(row.get("best")) if name == "best" else row["method"] == name


def _with_tokens(row: dict[str, Any]) -> str:
    """Accuracy with its interval, tokens an item, and the name of a member."""
    member = f" ({row['method']})" if "best" in row else ""
    return f"{_with_interval([row])}, {row['tokens']:,.0f}{member}"


def collective() -> str:
    """A row per strategy, below the best member by dev; accuracy with its interval, and tokens."""
    rows = lines("collective")
    tasks = list(_grouped(rows, lambda row: row["task"]))
    strategies = [row["method"] for row in rows if row["task"] == tasks[0] and "best" not in row]
    table = []
    for name in ("best", *strategies):
        cells = ["best single on dev" if name == "best" else f"`{name}`"]
        for task in tasks:
            row = next((row for row in rows if row["task"] == task and _is(row, name)), None)
            cells.append("not run" if row is None else _with_tokens(row))
        table.append(cells)
    return markdown(["strategy", *tasks], table)


# Rule-following members


def ruled() -> str:
    """A row per vote and negotiation of members that follow the rules."""
    rows = [row for row in lines("ruled") if row["task"] in KINDS]
    table = []
    for method, group in _grouped(rows, lambda row: row["method"]).items():
        cells = [method]
        for kind in KINDS:
            mine = [row for row in group if row["task"] == kind]
            rounds = [row["rounds"] for row in mine if "rounds" in row]
            cells += [
                _with_interval(mine),
                f"{fmean(row['tokens'] for row in mine):,.0f}",
                f"{fmean(rounds):.2f}" if rounds else "",
            ]
        table.append(cells)
    head = [f"{kind}: {name}" for kind in KINDS for name in ("accuracy", "tokens", "rounds")]
    return markdown(["1,500 questions each", *head], table)


def ranker() -> str:
    """How often the ranker of `fuse` prefers the right one of two answers."""
    table = []
    for kind in KINDS:
        mine = {
            method: rows
            for (task, method), rows in _grouped(
                lines("ruled"), lambda row: (row["task"], row["method"])
            ).items()
            if task == kind
        }
        area = fmean(row["auc"] for row in mine["`fuse`"])
        names = ("best member on dev", "`majority`", "`fuse`")
        table.append([kind, f"{area:.3f}", *(f"{_accuracy(mine[name]):.3f}" for name in names)])
    return markdown(["members", "AUC of the ranker", "best member", "`majority`", "`fuse`"], table)


def saved() -> str:
    """Accuracy and tokens of the societies by the number of debates among three rounds, of models
    and of rule-following members, all easy-going.
    """
    sources = {
        "models": ("talking", "societies"),
        **{kind: ("ruled", f"societies, {kind}") for kind in KINDS},
    }
    table = []
    for debates in (3, 2, 1, 0):
        cells = [str(debates)]
        for name, task in sources.values():
            group = [
                row
                for row in lines(name)
                if row["task"] == task
                and row["method"].split(":")[1] == "eee"
                and row["method"].split(":")[2].count("d") == debates
            ]
            cells += [f"{_accuracy(group):.3f}", f"{fmean(row['tokens'] for row in group):,.0f}"]
        table.append(cells)
    head = [f"{name}: {what}" for name in sources for what in ("accuracy", "tokens")]
    return markdown(["debates of three rounds", *head], table)


def confidence() -> str:
    """Societies of rule-following members by how many are confident; three debates."""
    table = []
    for confident in (3, 2, 1, 0):
        cells = [str(confident)]
        for kind in KINDS:
            (group,) = [
                rows
                for (task, method), rows in _grouped(
                    lines("ruled"), lambda row: (row["task"], row["method"])
                ).items()
                if task == f"societies, {kind}"
                and method == f"society:{'c' * confident}{'e' * (3 - confident)}:ddd"
            ]
            conformity = fmean(row["conformity"] or 0.0 for row in group)
            last = fmean(row["consensus"][-1] for row in group)
            cells += [_with_interval(group), f"{conformity:.2f}", f"{last:.2f}"]
        table.append(cells)
    names = ("accuracy", "conformity", "different answers at the end")
    head = [f"{kind}: {name}" for kind in KINDS for name in names]
    return markdown(["confident of three", *head], table)


def attacks() -> str:
    """Votes and rounds of careful members of whom some lie, and without those whom dev shows."""
    groups = _grouped(
        [row for row in lines("ruled") if " lie" in row["task"]],
        lambda row: (row["task"], row["method"].removesuffix(", defended")),
    )
    methods = list(dict.fromkeys(method for _, method in groups))
    table = []
    for task in dict.fromkeys(task for task, _ in groups):
        cells = [task]
        for method in methods:
            for defended in (False, True):
                mine = [
                    row
                    for row in groups[task, method]
                    if row["method"].endswith(", defended") == defended
                ]
                cells.append(f"{_accuracy(mine):.3f}")
        table.append(cells)
    head = [name for method in methods for name in (method, "defended")]
    return markdown(["1,500 questions, of four members", *head], table)


# A log of decisions


def log_of_decisions() -> str:
    """Messages of Raft and Paxos for the same decisions, by what goes wrong."""
    table = []
    for fault, group in _grouped(lines("raft"), lambda row: row["task"]).items():
        cells = [fault]
        for rows in _grouped(group, lambda row: row["method"]).values():
            decided = sum(len(row["test"]) for row in rows)
            sent = sum(row["messages"] for row in rows)
            right = sum(row["test"].count("1") for row in rows) / decided if decided else None
            cells += [
                f"{decided:,}",
                "" if right is None else f"{right:.3f}",
                f"{sent / decided:.1f}" if decided else "",
                f"{fmean(row['rounds'] for row in rows):,.0f}",
            ]
        table.append(cells)
    names = ("decided of 1,500", "right", "messages each", "terms or rounds of 500")
    head = [f"{method}: {name}" for method in ("Raft", "Paxos") for name in names]
    return markdown(["what goes wrong", *head], table)


def classifier_game() -> str:
    """Rankings by each player and by both, and how well the evaluator orders pairs."""
    table = []
    for method, group in _grouped(lines("classifier-game"), lambda row: row["method"]).items():
        areas = [row["auc"] for row in group if "auc" in row]
        table.append([method, _with_interval(group), f"{fmean(areas):.3f}" if areas else ""])
    return markdown(["1,500 digits", "accuracy, 95% interval", "AUC of the evaluator"], table)


# Linear classifiers


def _changes(names: Sequence[str], whole: str) -> str:
    return studies_table.changes(studies_table.by_variant(lines("classifiers")), names, whole)


def _names() -> list[str]:
    return list(dict.fromkeys(row["variant"] for row in lines("classifiers")))


def classifier_parts() -> str:
    """Parts left out and other starts, each minus the whole algorithm."""
    return _changes([name for name in _names() if "moves" not in name and not _setting(name)], FULL)


def _setting(name: str) -> bool:
    return name.split()[0] in ("inertia", "cognitive", "social", "repel", "step")


def classifier_settings() -> str:
    """One coefficient at another value, minus the published ones."""
    return _changes([FULL, *(name for name in _names() if _setting(name))], FULL)


def restarts() -> str:
    """All 50 moves, with restarts after so many iterations without a new personal best."""
    groups = _grouped(lines("classifiers"), lambda row: row["variant"])
    names = [name for name in groups if "moves" in name]
    never = {(row["task"], row["seed"]): row for row in groups["never, 50 moves"]}
    table = []
    for name in names:
        rows = groups[name]
        cells = [name, f"{fmean(row['restarts'] for row in rows):,.0f}"]
        for split in ("dev", "test"):
            gains = [row[split] - never[row["task"], row["seed"]][split] for row in rows]
            cells += [f"{fmean(row[split] for row in rows):.3f}"]
            cells += ["" if rows is groups["never, 50 moves"] else studies_table.paired(gains)]
        table.append(cells)
    head = ["restarts", "dev", "minus never", "test", "minus never"]
    return markdown([f"{len(never)} searches each", *head], table)


def classifier_means() -> str:
    """Best expert, uniform average of the weights, and the swarm."""
    rows = [row for row in lines("classifiers") if row["variant"] == FULL]
    table = [
        [name, *(f"{fmean(row[key] for row in group):.3f}" for group in by_pool), _mean(rows, key)]
        for by_pool in [list(_grouped(rows, lambda row: row["task"]).values())]
        for name, key in (
            ("best expert on dev", "best_expert_test"),
            ("Model Swarms", "test"),
            ("uniform average", "uniform_test"),
        )
    ]
    pools = list(dict.fromkeys(row["task"] for row in rows))
    return markdown(["1,000 test items each", *pools, "mean"], table)


def _mean(rows: Rows, key: str) -> str:
    return f"{fmean(row[key] for row in rows):.3f}"


# Inertia


def inertia() -> str:
    """Diversity over the first 20 moves by phi_v, minus that of the published 0.2."""
    rows = lines("inertia")
    spread = {
        (row["variant"], row["inertia"], row["function"], row["seed"]): fmean(row["diversity"][1:])
        for row in rows
    }
    pairs = sorted({(row["function"], row["seed"]) for row in rows})
    weights = sorted({row["inertia"] for row in rows})
    table = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        cells = [variant]
        for weight in weights:
            mine = [spread[variant, weight, *pair] for pair in pairs]
            base = [spread[variant, 0.2, *pair] for pair in pairs]
            cell = f"{fmean(mine):.3f}"
            if weight != 0.2:
                cell += f" ({studies_table.paired(np.subtract(mine, base).tolist())})"
            cells.append(cell)
        table.append(cells)
    return markdown([f"{len(pairs)} swarms each", *(f"{weight:g}" for weight in weights)], table)
