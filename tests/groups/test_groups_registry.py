"""The registry of strategies: every entry runs, its needs are checked, and looking at it loads no
model code.
"""

from __future__ import annotations

from typing import Any

import pytest
from member_helpers import Scripted, quiz

from pyswarmopt_groups.config import GroupConfig
from pyswarmopt_groups.registry import NEGOTIATIONS, VOTES, find_names, load_strategy
from pyswarmopt_groups.strategies import FUNCTIONS
from pyswarmopt_groups.validate import check_task, usable
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Item, Task

EVERY = [*VOTES.values(), *NEGOTIATIONS.values()]


def test_the_tables_and_the_functions_name_each_other() -> None:
    assert {strategy.function for strategy in EVERY} == set(FUNCTIONS)


@pytest.mark.parametrize("table", [VOTES, NEGOTIATIONS, {**VOTES, **NEGOTIATIONS}])
def test_a_name_that_no_table_has_is_refused(table: Any) -> None:
    for names in (["no-such"], [*[*table][:1], "society-of-ants"]):
        with pytest.raises(UserError, match="strategy"):
            find_names(names, table)
    assert find_names([*table][:2] * 2, table)[:2] == [*table][:2]


def skipped(
    *names: str, skip: bool = True, task: str = "t.json", options: bool = True
) -> dict[str, str]:
    """Name -> why it is skipped, for two members without likelihoods."""
    items = quiz("AB", 1) if options else [Item("0", "Question 0?", None, "x")]
    config = GroupConfig(("a", "b"), task=task, skip=skip)
    strategies = [load_strategy(name) for name in names] or EVERY
    task_of = Task("t", (), tuple(items))
    return usable(strategies, config, task_of, [Scripted("a"), Scripted("b")])[1]


def test_what_a_strategy_needs_decides_whether_it_is_skipped() -> None:
    always = {"game", "reward"}  # no likelihoods, no reward model
    # no model in this process, which could embed
    always |= {"attention", "nearest", "route-neighbours"}
    fitted = {"weighted", "confidence", "nearest", "cascade", "route-neighbours"}
    fitted |= {"stackelberg", "coalition", "stacked", "trust"}
    assert set(skipped()) == always
    assert set(skipped(task="")) == always | fitted
    assert set(skipped(options=False)) == always | {
        *("cascade", "confidence", "stackelberg", "stacked")
    }
    assert skipped("majority", "reward:R", "fuse", "consensus") == {}
    with pytest.raises(UserError, match="strategy nearest needs embeddings"):
        skipped(skip=False)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("nearest", (15,)),
        ("nearest:4", (4,)),
        ("self-consistency:samples=2:temperature=1", (2, 1.0)),
        ("refine:pass=different:rounds=2", (2, "different", 256)),
        ("refine:2:budget=9", (2, "supported", 9)),
        ("reward:http://host:1/v1", ("http://host:1/v1",)),
        ("borda", ("borda",)),
    ],
)
def test_settings_are_read_from_the_name(name: str, values: tuple[object, ...]) -> None:
    strategy = load_strategy(name)
    assert (strategy.name, strategy.values) == (name, values)


def test_a_task_without_right_answers_is_refused_before_a_member_is_loaded() -> None:
    known, unknown = Item("1", "Why?", None, "so"), Item("2", "How?", None, "")
    config = GroupConfig(("a", "b"), task="t.json")
    check_task(config, Task("t", (known,), (known,), source="t.json"))
    for split, task in (
        ("dev", Task("t", (known, unknown), (known,), source="t.json")),
        ("test", Task("t", (known,), (unknown,), source="t.json")),
    ):
        with pytest.raises(UserError, match=f"t.json: {split} example 2 lacks an answer"):
            check_task(config, task)
