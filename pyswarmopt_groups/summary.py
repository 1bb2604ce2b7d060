"""Which strategy to use, in one sentence: all strategies of a result against its best member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_groups.reading import rights
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
    rows = {}
    for strategy in decided:
        name = strategy["who"]
        right[name] = rights(items, [verdict["answer"] for verdict in strategy["verdicts"]])
        rows[name] = dict(strategy["row"])
    for who, member in members.items():
        for name, comparison in _against(right, member, repeated(items)).items():
            rows[name][f"against_{who}"] = comparison
    return rows


def _against(
    right: Mapping[str, Sequence[float]], member: Sequence[float], questions: Sequence[int]
) -> dict[str, Row]:
    """Strategy -> its comparison with a member.

    Args:
        right: strategy -> 1 for each test example that it decides correctly, else 0.
        member: the same of the member.
        questions: the number of each example's question, see `repeated`; empty if all differ.
    """

    def compare(name: str, level: float = LEVEL) -> PairedComparison:
        return compare_paired(right[name], member, questions=questions, level=level)

    by_itself = {name: compare(name) for name in right}
    together = corrected(by_itself, compare)
    rows = {}
    for name, comparison in by_itself.items():
        rows[name] = {
            "difference": comparison.difference,
            **_test_of(comparison),
            "n": comparison.n,
            "needed": comparison.needed,
            "corrected": _test_of(together[name]),
        }
    return rows


def _test_of(comparison: PairedComparison) -> Row:
    return {"interval": list(comparison.interval), "p": comparison.p_value}


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
    # a strategy that is significantly better comes before one with more correct answers
    name = max(rows, key=lambda each: (_is_better(rows[each]), rows[each]["test"]))
    row = rows[name]
    against = row["against_strongest"]
    difference = f"{against['difference']:+.3f}"
    p = p_text(against["corrected"]["p"])
    if not _is_better(row):
        more = " ".join(more_examples(against.get("needed"), against.get("n", 0)))
        return (
            f"No strategy is significantly better than the strongest member on test, {strongest} "
            f"({name}: {difference}, {p}); use that member. {more}"
        ).rstrip()
    member = result["members"][strongest]
    low, high = against["corrected"]["interval"]
    return (
        f"{name} is better than the strongest member on test, {strongest}: {row['test']:.3f} against "
        f"{member['test']:.3f}, {difference} [{low:+.3f}, {high:+.3f}] ({p}, "
        f"corrected for {counted(len(rows), 'comparison')}), using "
        f"{row['tokens'] / member['tokens']:.1f} times as many tokens."
    )


def _is_better(row: Row) -> bool:
    """Whether a strategy is significantly better than the strongest member: by the corrected
    interval.
    """
    low, _ = row["against_strongest"]["corrected"]["interval"]
    return float(low) > 0
