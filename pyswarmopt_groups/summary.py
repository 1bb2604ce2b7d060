"""Which strategy to use, in one sentence: all strategies of a result against its best member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_groups.responses import rights
from pyswarmopt_llm.common.paired import PairedComparison, compare_paired, corrected
from pyswarmopt_llm.common.statistics import LEVEL
from pyswarmopt_llm.report.phrases import more_examples, p_text
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.items import repeated

Row = dict[str, Any]


def compared(
    items: Sequence[Item],
    decided: Sequence[Mapping[str, Any]],
    members: Mapping[str, Sequence[float]],
) -> dict[str, Row]:
    """Strategy -> its row of ``result.json``, compared with members, also corrected for the number of
    strategies.

    Args:
        items: the test examples.
        decided: stored strategies, each with its row and verdicts.
        members: ``single`` (the best member on dev) and ``strongest`` (that on test) -> 1 for each
            test example that it answers correctly, else 0.
    """
    right = {}
    for each in decided:
        right[each["who"]] = rights(items, [verdict["answer"] for verdict in each["verdicts"]])
    rows = {each["who"]: dict(each["row"]) for each in decided}
    for who, member in members.items():
        for name, found in _against(right, member, repeated(items)).items():
            rows[name][f"against_{who}"] = found
    return rows


def _against(
    right: Mapping[str, Sequence[float]], member: Sequence[float], questions: Sequence[int]
) -> dict[str, Row]:
    """Strategy -> its comparison with a member."""

    def test(name: str, level: float = LEVEL) -> PairedComparison:
        return compare_paired(right[name], member, questions=questions, level=level)

    tests = {name: test(name) for name in right}
    together = corrected(tests, test)
    return {
        name: {
            "difference": test.difference,
            **_found(test),
            "n": test.n,
            "needed": test.needed,
            "corrected": _found(together[name]),
        }
        for name, test in tests.items()
    }


def _found(test: PairedComparison) -> Row:
    return {"interval": list(test.interval), "p": test.p_value}


def verdict(result: Mapping[str, Any]) -> str:
    """The recommendation.

    Args:
        result: content of ``result.json``.

    Example:
        >>> test = {"difference": 0.02, "corrected": {"interval": [-0.1, 0.1], "p": 0.7}}
        >>> row = {"test": 0.5, "tokens": 30.0, "against_strongest": test}
        >>> members = {"ann": {"test": 0.48, "tokens": 10.0}, "bob": {"test": 0.4, "tokens": 10.0}}
        >>> result = {"members": members, "strongest": "ann", "strategies": {"majority": row}}
        >>> print(verdict(result))
        No strategy is significantly better than the strongest member on test, ann (majority: +0.020,
        p = 0.70); use that member.
        >>> ahead = {"difference": 0.12, "corrected": {"interval": [0.02, 0.2], "p": 0.01}}
        >>> rows = {"weighted": row | {"test": 0.6, "against_strongest": ahead}, "majority": row}
        >>> print(verdict(result | {"strategies": rows}))
        weighted is better than the strongest member on test, ann: 0.600 against 0.480, +0.120 [+0.020, +0.200]
        (p = 0.010, corrected for 2 comparisons), using 3.0 times as many tokens.
    """
    rows = result["strategies"]
    strongest = result["strongest"]
    member = result["members"][strongest]
    name = max(rows, key=lambda each: (_low(rows[each]) > 0, rows[each]["test"]))
    row = rows[name]
    against = row["against_strongest"]
    low, high = against["corrected"]["interval"]
    difference = f"{against['difference']:+.3f}"
    p = p_text(against["corrected"]["p"])
    if low <= 0:
        more = " ".join(more_examples(against.get("needed"), against.get("n", 0)))
        return (
            f"No strategy is significantly better than the strongest member on test, {strongest} "
            f"({name}: {difference}, {p}); use that member. {more}"
        ).rstrip()
    return (
        f"{name} is better than the strongest member on test, {strongest}: {row['test']:.3f} against "
        f"{member['test']:.3f}, {difference} [{low:+.3f}, {high:+.3f}] ({p}, "
        f"corrected for {counted(len(rows), 'comparison')}), using "
        f"{row['tokens'] / member['tokens']:.1f} times as many tokens."
    )


def _low(row: Row) -> float:
    """The lower end of the corrected interval."""
    return float(row["against_strongest"]["corrected"]["interval"][0])
