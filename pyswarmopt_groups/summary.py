"""Which strategy to use, in one sentence: all strategies of a result against its best member."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyswarmopt_groups.registry import VOTES
from pyswarmopt_groups.responses import rights
from pyswarmopt_llm.common.statistics import LEVEL, Comparison, compare_paired, corrected
from pyswarmopt_llm.report.phrases import p_text
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.items import repeated

Row = dict[str, Any]


def compared(
    items: Sequence[Item], decided: Sequence[Mapping[str, Any]], single: Sequence[float]
) -> dict[str, Row]:
    """Strategy -> its row of ``result.json``, compared with the best member, also corrected for the
    number of strategies.

    Args:
        items: the test examples.
        decided: stored strategies, each with its row and verdicts.
        single: 1 for each test example that the best member on dev answers correctly, else 0.
    """
    questions = repeated(items)
    right = {}
    for each in decided:
        right[each["who"]] = rights(items, [verdict["answer"] for verdict in each["verdicts"]])

    def test(name: str, level: float = LEVEL) -> Comparison:
        return compare_paired(right[name], single, questions=questions, level=level)

    tests = {name: test(name) for name in right}
    together = corrected(tests, test)
    rows = {}
    for each in decided:
        name = each["who"]
        against = {"difference": tests[name].difference, **_found(tests[name])}
        against["corrected"] = {"strategies": len(decided), **_found(together[name])}
        rows[name] = each["row"] | {"against_single": against}
    return rows


def _found(test: Comparison) -> Row:
    return {"interval": list(test.interval), "p": test.p_value}


def verdict_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The recommendation, and the best member on test if dev chose another.

    Args:
        result: content of ``result.json``.

    Example:
        >>> test = {"difference": 0.02, "corrected": {"strategies": 1, "interval": [-0.1, 0.1], "p": 0.7}}
        >>> row = {"test": 0.5, "tokens": 30.0, "against_single": test}
        >>> members = {"ann": {"test": 0.48, "tokens": 10.0}, "bob": {"test": 0.5, "tokens": 10.0}}
        >>> result = {"members": members, "best_single": "ann", "strategies": {"majority": row}}
        >>> for line in verdict_lines(result):
        ...     print(line)
        No vote is significantly better than the best member, ann (majority: +0.020, p = 0.70); use that member.
        The best member on dev is ann (0.480 on test); the best on test is bob (0.500).
        >>> ahead = {"difference": 0.12, "corrected": {"strategies": 2, "interval": [0.02, 0.2], "p": 0.01}}
        >>> behind = {"difference": -0.3, "corrected": {"strategies": 2, "interval": [-0.4, -0.2], "p": 0.001}}
        >>> rows = {"weighted": row | {"test": 0.6, "against_single": ahead}}
        >>> rows["trust"] = row | {"against_single": behind}
        >>> for line in verdict_lines(result | {"strategies": rows}):
        ...     print(line)
        weighted is better than the best member, ann: 0.600 against 0.480, +0.120 [+0.020, +0.200] (p = 0.010,
        corrected for 2 strategies), using 3.0 times as many tokens.
        Worse than ann: trust.
        The best member on dev is ann (0.480 on test); the best on test is bob (0.500).
        >>> level = {"refine": row | {"against_single": test | {"difference": 0.0}}}
        >>> next(verdict_lines(result | {"strategies": level}))
        'No strategy is better than the best member, ann; use that member.'
    """
    rows = result["strategies"]
    single = result["best_single"]
    better = [name for name, row in rows.items() if _end(row, 0) > 0]
    if better:
        yield _best_of(better, result)
    else:
        yield _none_of(rows, single)
    worse = [name for name, row in rows.items() if _end(row, 1) < 0]
    if worse:
        yield f"Worse than {single}: {', '.join(worse)}."
    yield from _other_member(result["members"], single)


def _end(row: Row, side: int) -> float:
    """An end of the corrected interval."""
    return float(row["against_single"]["corrected"]["interval"][side])


def _none_of(rows: Mapping[str, Row], single: str) -> str:
    """A sentence that recommends the best member; it names the best strategy if that is ahead."""
    votes = all(name.partition(":")[0] in VOTES for name in rows)
    kind = "vote" if votes else "strategy"
    name = max(rows, key=lambda each: rows[each]["test"])
    test = rows[name]["against_single"]
    if test["difference"] <= 0:
        return f"No {kind} is better than the best member, {single}; use that member."
    ahead = f"({name}: {test['difference']:+.3f}, {p_text(test['corrected']['p'])})"
    return f"No {kind} is significantly better than the best member, {single} {ahead}; use that member."


def _best_of(better: Sequence[str], result: Mapping[str, Any]) -> str:
    """A sentence on the best of the strategies that beat the best member, with its cost."""
    name = max(better, key=lambda each: result["strategies"][each]["test"])
    row = result["strategies"][name]
    single = result["members"][result["best_single"]]
    pair = row["against_single"]
    test = pair["corrected"]
    low, high = test["interval"]
    correction = ""
    if test["strategies"] > 1:
        correction = f", corrected for {test['strategies']} strategies"
    cost = ""
    if single["tokens"]:
        cost = f", using {row['tokens'] / single['tokens']:.1f} times as many tokens"
    return (
        f"{name} is better than the best member, {result['best_single']}: {row['test']:.3f} "
        f"against {single['test']:.3f}, {pair['difference']:+.3f} [{low:+.3f}, {high:+.3f}] ({p_text(test['p'])}"
        f"{correction}){cost}."
    )


def _other_member(members: Mapping[str, Row], single: str) -> Iterator[str]:
    """A sentence on the best member on test, if it beats the best member on dev there."""
    best = max(members, key=lambda name: members[name]["test"])
    if members[best]["test"] > members[single]["test"]:
        yield (
            f"The best member on dev is {single} ({members[single]['test']:.3f} on test); "
            f"the best on test is {best} ({members[best]['test']:.3f})."
        )
