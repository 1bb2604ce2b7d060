"""The tables of groups at further tasks, from research/evidence: translation and summaries, sums and
chess, tools, attacks, designs, mending, bias and objectives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from outcomes import lines, markdown, outcomes, points_over_seeds

from pyswarmopt_rivals.comparison.summary import interval_over_seeds

Rows = Sequence[dict[str, Any]]
KINDS = ("translation", "summaries")
# of `research/benchmarks/groups/design.py`: tokens, members of a design, members that are careless
BUDGETS, LARGEST, CARELESS = (30, 100, 300, 700, math.inf), 3, 4


def _grouped(rows: Rows, key: Callable[[dict[str, Any]], Any]) -> dict[Any, list[dict[str, Any]]]:
    """Rows by what a function says of them, in their order."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _interval(scores: Sequence[Sequence[float]]) -> str:
    """A mean and its 95% interval over seeds and items."""
    values = np.array(scores, dtype=float)
    low, high = interval_over_seeds(values)
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def _accuracy(rows: Rows) -> str:
    """Accuracy with its interval."""
    return _interval([[float(sign) for sign in row["test"]] for row in rows])


def _mean(rows: Rows, field: str = "test") -> float:
    """The mean over rows of a number, or of the ones in a text."""
    if field == "test":
        return fmean(fmean(map(int, row["test"])) for row in rows)
    return fmean(row[field] for row in rows)


def _scored(rows: Rows, methods: Sequence[str], members: str) -> list[list[str]]:
    """A row per method: the score of either kind with its interval, tokens, rounds."""
    table = []
    for method in methods:
        cells = [method]
        for kind in KINDS:
            key = (members, kind, method)
            mine = [r for r in rows if (r["members"], r["task"], r["method"]) == key]
            rounds = [row["rounds"] for row in mine if "rounds" in row]
            cells += [
                _interval(
                    [[score / 100 for score in bytes.fromhex(row["scores"])] for row in mine]
                ),
                f"{_mean(mine, 'tokens'):,.0f}",
                f"{fmean(rounds):.2f}" if rounds else "",
            ]
        table.append(cells)
    return table


def _head(first: str) -> list[str]:
    names = ("BLEU", "tokens", "rounds", "ROUGE-L", "tokens", "rounds")
    kinds = [kind for kind in KINDS for _ in range(3)]
    return [first, *(f"{kind}: {name}" for kind, name in zip(kinds, names, strict=True))]


def translation() -> str:
    """Votes and negotiations of careful and careless members."""
    rows = lines("translation")
    table = []
    for members in ("careful", "careless"):
        methods = [
            method
            for method in _grouped([r for r in rows if r["members"] == members], _method)
            if "fus" not in method and "specialist" not in method and "weaker" not in method
        ]
        table += [[f"{members}: {row[0]}", *row[1:]] for row in _scored(rows, methods, members)]
    return markdown(_head("1,500 texts each"), table)


def fusions() -> str:
    """Fusions of two to four members, and a specialist fused with a weaker model."""
    rows = lines("translation")
    methods = [
        method
        for method in _grouped(rows, _method)
        if "fus" in method or method in ("specialist", "weaker model", "best member on dev")
    ]
    table = [[row[0], row[1], row[4]] for row in _scored(rows, methods, "careful")]
    return markdown(["1,500 texts each", "translation: BLEU", "summaries: ROUGE-L"], table)


def _method(row: dict[str, Any]) -> str:
    return str(row["method"])


def by_task(name: str) -> str:
    """A row per method, accuracy with its interval and tokens per task."""
    groups = _grouped(lines(name), lambda row: (row["task"], row["method"]))
    tasks = list(dict.fromkeys(task for task, _ in groups))
    methods = list(dict.fromkeys(method for _, method in groups))
    table = []
    for method in methods:
        cells = [f"`society:{method}`" if re.fullmatch(r"[ce]+:[dr]+", method) else method]
        for task in tasks:
            mine = groups[task, method]
            cells += [_accuracy(mine), f"{_mean(mine, 'tokens'):,.0f}"]
        table.append(cells)
    head = [f"{task}: {what}" for task in tasks for what in ("accuracy", "tokens")]
    return markdown(["1,500 questions each", *head], table)


def tools(task: str) -> str:
    """A row per way with tools and without."""
    groups = _grouped([row for row in lines("tools") if row["task"] == task], _method)
    table = [[m, _accuracy(mine), f"{_mean(mine, 'tokens'):,.0f}"] for m, mine in groups.items()]
    return markdown(["1,500 questions each", "accuracy, 95% interval", "tokens"], table)


def attack() -> str:
    """A row per system: without attack, under the one found on dev, with the same member silent,
    under any attack by lot, under the worst on test.
    """
    table = []
    for method, every in _grouped(lines("attack"), _method).items():
        found, silent, worst, told = [], [], [], []
        for mine in _grouped(every, lambda row: row["seed"]).values():
            attacks = [row for row in mine if row["victim"]]
            found.append(min(attacks, key=lambda row: row["dev"].count("1")))
            worst.append(min(attacks, key=lambda row: row["test"].count("1")))
            victim = found[-1]["victim"]
            silent += [r for r in attacks if (r["victim"], r["task"]) == (victim, "silence")]
            told.append(f"{found[-1]['task']}, member {victim}")
        cells = [_accuracy([row for row in every if not row["victim"]]), _accuracy(found)]
        by_lot = [row for row in every if row["victim"]]
        cells += [f"{_mean(rows):.3f}" for rows in (silent, by_lot, worst)]
        table.append([method, *cells, "; ".join(dict.fromkeys(told))])
    head = ["1,500 questions each", "no attack", "the attack found on dev", "that member silent"]
    return markdown([*head, "any attack, by lot", "the worst on test", "what was found"], table)


def best_within(rows: Rows, budget: float) -> dict[str, Any]:
    """The design that is most often right on dev for at most so many tokens on dev, of equals the
    cheapest.

    Example:
        >>> made = [("01", 9), ("11", 30), ("11", 20)]
        >>> rows = [{"dev": dev, "dev_tokens": tokens} for dev, tokens in made]
        >>> best_within(rows, 99)["dev_tokens"], best_within(rows, 10)["dev_tokens"]
        (20, 9)
    """
    affordable = [row for row in rows if row["dev_tokens"] <= budget]
    return max(affordable, key=lambda row: (row["dev"].count("1"), -row["dev_tokens"]))


def _designs(seed: Rows, budget: float) -> dict[str, Rows]:
    """Of one seed's designs under a budget: the best on dev, that of all six members (none may be
    affordable), all, those that spend at least half, and the best on test.
    """
    small = [row for row in seed if len(row["members"]) <= LARGEST]
    whole = [row for row in seed if len(row["members"]) > LARGEST]
    affordable = [row for row in small if row["dev_tokens"] <= budget]
    of_all = any(row["dev_tokens"] <= budget for row in whole)
    return {
        "designed": [best_within(small, budget)],
        "all six": [best_within(whole, budget)] if of_all else [],
        "by lot": affordable,
        "spending": [row for row in affordable if row["dev_tokens"] >= budget / 2],
        "best": [max(affordable, key=lambda row: row["test"].count("1"))],
    }


def design() -> str:
    """A row per budget: the design by dev, all members, designs by lot, the best on test."""
    table = []
    for budget in BUDGETS:
        parts: dict[str, list[dict[str, Any]]] = {}
        for seed in _grouped(lines("design"), lambda row: row["seed"]).values():
            for name, rows in _designs(seed, budget).items():
                parts.setdefault(name, []).extend(rows)
        designed, all_six = parts["designed"], parts["all six"]
        cells = [
            f"{budget} tokens" if budget < math.inf else "no limit",
            _accuracy(designed),
            f"{_mean(designed, 'tokens'):,.0f}",
        ]
        cells.append(f"{_mean(all_six):.3f}, {_mean(all_six, 'tokens'):,.0f}" if all_six else "")
        for name in ("spending", "by lot", "best"):
            cells.append(f"{_mean(parts[name]):.3f}" if parts[name] else "")
        told = dict.fromkeys(f"{row['method']} of {_members(row['members'])}" for row in designed)
        table.append([*cells, "; ".join(told)])
    head = ["1,500 questions, at most", "designed on dev", "tokens", "all six members, tokens"]
    head += ["by lot, of those that spend half", "by lot", "the best on test", "what was designed"]
    return markdown(head, table)


def _members(numbers: Sequence[int]) -> str:
    """`3 careless`, `1 careless and 2 bad`; the first four are careless."""
    careless = sum(number < CARELESS for number in numbers)
    parts = {"careless": careless, "bad": len(numbers) - careless}
    return " and ".join(f"{count} {name}" for name, count in parts.items() if count)


def mended() -> str:
    """A row per way to process answers."""
    table = []
    for task, mine in _grouped(lines("mended"), lambda row: row["task"]).items():
        parts = _grouped(mine, _method)
        one, vote = parts["one member"], parts["`majority`"]
        table.append(
            [
                task,
                f"{_mean(one):.3f}",
                f"{_mean(one, 'rouge'):.3f}",
                _accuracy(vote),
                f"{_mean(vote, 'rouge'):.3f}",
                f"{_mean(vote, 'clean'):.3f}",
            ]
        )
    head = ["1,500 tables", "one member: equal", "ROUGE-L", "`majority`: equal", "ROUGE-L"]
    return markdown([*head, "faultless sentences left alone"], table)


def biased() -> str:
    """A row per size of a group and favourites: bias and accuracy by either rule."""
    groups = _grouped(lines("biased"), lambda row: (row["task"], row["members"], row["method"]))
    table = []
    for task, size in dict.fromkeys(key[:2] for key in groups):
        cells = [task, str(size)]
        for rule in ("majority", "mean"):
            mine = groups[task, size, rule]
            cells += [f"{_mean(mine, field):.3f}" for field in ("bias", "excess", "right")]
        table.append(cells)
    names = ("bias", "most overstated", "accuracy")
    head = [f"{rule}: {name}" for rule in ("`majority`", "mean") for name in names]
    return markdown(["favourite classes", "members", *head], table)


def objectives() -> str:
    """A row per group: the members alone and the votes of three."""
    groups = _grouped(lines("objectives"), lambda row: (row["group"], row["method"]))
    names = dict.fromkeys(group for group, _ in groups)
    table = []
    for (group, method), mine in groups.items():
        if group == "alone":
            table.append([f"{method} alone", _accuracy(mine), "", ""])
    for group in names:
        if group != "alone":
            votes = ("`majority`", "`weighted`", "`confidence`")
            table.append([group, *(_accuracy(groups[group, vote]) for vote in votes)])
    return markdown(["1,500 texts", "`majority`, or alone", "`weighted`", "`confidence`"], table)


def adverse() -> str:
    """A row per setting of privacy, lies and typos: the best member and five strategies."""
    groups = _grouped(lines("adverse-texts"), lambda row: (row["task"], row["method"]))
    methods = list(dict.fromkeys(method for _, method in groups))
    table = []
    for task in dict.fromkeys(task for task, _ in groups):
        found = [groups.get((task, method)) for method in methods]
        table.append([task, *(f"{_mean(rows):.3f}" if rows else "" for rows in found)])
    names = [method if " " in method else f"`{method}`" for method in methods]
    return markdown(["1,500 texts", *names], table)


def rankings() -> str:
    """A row per rule and number of members: accuracy, and what it is ahead of first choices and of
    the same rule with the lower places by lot.
    """
    read, table = outcomes("rankings"), []
    for task in read.tasks("`majority`"):
        table.append(
            [f"{task}: `majority`", f"{read.accuracy('`majority`', task):.3f}", "", "", ""]
        )
        for rule in ("`borda`", "`condorcet`"):
            control = f"{rule}, below the first by lot"
            table.append(
                [
                    f"{task}: {rule}",
                    f"{read.accuracy(rule, task):.3f}",
                    points_over_seeds(read, rule, "`majority`", [task]),
                    f"{read.accuracy(control, task):.3f}",
                    points_over_seeds(read, rule, control, [task]),
                ]
            )
    head = ["1,500 texts", "accuracy", "minus `majority`", "places below the first by lot", "ahead"]
    return markdown(head, table)
