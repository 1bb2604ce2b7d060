"""`benchmarks/groups`: simulated members are as described, and each setting changes what its name says."""

from __future__ import annotations

import argparse
import importlib
import itertools
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from member_helpers import Scripted

from pyswarmopt_llm.tasks import Item, Task

FOLDER = Path(__file__).parents[2] / "benchmarks" / "groups"


@pytest.fixture(scope="module", autouse=True)
def found_by_name() -> Iterator[None]:
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def debates(found_by_name: None) -> Any:
    return importlib.import_module("simulated_debates")


@pytest.fixture(scope="module")
def adverse(found_by_name: None) -> Any:
    return importlib.import_module("adverse_members")


def test_the_majority_of_simulated_members_is_as_accurate_as_every_profile_of_votes_says(debates: Any) -> None:
    """Three members before any round: right, tempted, or one of the two other wrong options; ties to the first."""
    accuracies, trap = (0.7, 0.6, 0.5), debates.TRAP
    expected = 0.0
    for votes in itertools.product("rtuv", repeat=3):
        chances = (
            p if vote == "r" else (1 - p) * (trap if vote == "t" else (1 - trap) / 2)
            for p, vote in zip(accuracies, votes, strict=True)
        )
        first_of_most = max(votes, key=votes.count)
        expected += math.prod(chances) * (first_of_most == "r")
    context = debates.group(4000, accuracies, 1.0, 0)
    verdicts = debates.load_strategy("majority").fit(context)(context.task.test)
    assert abs(debates.score(context, verdicts) - expected) < 4 * math.sqrt(0.25 / 4000)


def test_rounds_that_are_saved_change_no_answer_and_arguments_help_only_if_they_persuade(debates: Any) -> None:
    def accuracy(name: str, persuasion: float) -> tuple[float, float]:
        found: tuple[float, float, float] = debates.refined(name, 300, persuasion, 1)
        return found[0], found[1]

    alone, none = accuracy("no round of arguments (majority)", 1.0)
    fixed, three = accuracy("reads all, three rounds", 1.0)
    early, fewer = accuracy("reads all, until all agree", 1.0)
    assert (none, three) == (0, 3) and fewer < 1.5 and fixed == early == alone
    assert accuracy("reads all, until all agree", 2.0)[0] > alone + 0.05


def test_a_confident_agent_keeps_an_answer_that_an_open_minded_one_gives_up(debates: Any) -> None:
    (item,) = debates.quiz(1, 0)
    talker = debates.Talker(0, 1.0, 1.0, [item], 0)
    wrong = item.meta["trap"]
    said = "\n".join(f"Somebody else says: no. The answer is {wrong}." for _ in range(3))
    later = f"Question: {item.question}\nYour answer so far: x The answer is {item.answer}.\n{said}"
    letters = [talker.generate([words + later])[0].texts[0][-2] for words in ("", "You are confident in it.\n")]
    assert letters == [wrong, item.answer]


def test_settings_change_what_their_names_say(adverse: Any) -> None:
    choices = dict(zip("ABC", "xyz", strict=True))
    items = [Item(str(i), f"Question {i}?", choices, "ABC"[i % 3]) for i in range(40)]
    known = Task("quiz", tuple(items[:10]), tuple(items[10:]))
    perfect = Scripted("ann", scores=[[0.8 if o == i.answer else 0.1 for o in "ABC"] for i in items])
    others = [Scripted(name, scores=[[0.5, 0.3, 0.2]] * 40) for name in ("bob", "cid")]
    args = argparse.Namespace(epsilon=[0.0], draws=1, typos=None)
    rows = dict(adverse.rows_of([perfect, *others], known, args))
    assert rows["as they are"]["best member"] == rows["the last lies"]["best member"] == 1.0
    assert rows["the best lies"]["best member"] < 0.5 and rows["the best lies on test alone"]["best member"] == 0.0
    assert rows["without the best"]["majority"] == pytest.approx(1 / 3) and "confidence" not in rows["epsilon 0"]
    assert rows["epsilon 0"]["best member"] < 0.7
    assert rows["as they are"]["stacked"] == 1.0 > rows["the best lies on test alone"]["stacked"]
