"""Screening of many experts, whose answers are known from a table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from search_helpers import Hull, Position, questions, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.mix.kind import Pool
from pyswarmopt_llm.run.directory import RunJournal
from pyswarmopt_llm.searching.crew import Crew
from pyswarmopt_llm.searching.decide import make_plan
from pyswarmopt_llm.searching.halving import leaving, most_answers, rounds
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scorer import CandidateEvaluator, Scorer
from pyswarmopt_llm.searching.screening import next_items, screen

ITEMS = 96


def settings(folder: Path, experts: int, items: int = ITEMS, **more: Any) -> SearchConfig:
    """A search of experts that are not there."""
    task = write_task(folder / "t.json", questions(items, 1), questions(1, 2))
    names = tuple(f"e{number}" for number in range(experts))
    return SearchConfig("b", names, (str(task),), str(folder / "run"), **more)


def prepared(folder: Path, experts: int, **more: Any) -> Job:
    plan = make_plan(settings(folder, experts, **more))
    pool = Pool(Hull(experts), {})  # type: ignore[arg-type]
    return Job(plan.config, plan.objectives, plan.given, plan.why, pool=pool, engine=Position())  # type: ignore[arg-type]


class Table:
    """A utility that reads what expert `i` answers to item `k` from ``table[i, k]``."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table
        self.answered = 0

    def __call__(self, engine: Any, indices: Sequence[int] | None = None) -> Score:
        own = self.table[int(engine.x.argmax())]
        self.answered += len(own if indices is None else indices)
        return score_of(own if indices is None else own[list(indices)])


def scored(job: Job, table: Table, path: Path | None = None) -> Scorer:
    utilities = {"t": table}
    evaluator = CandidateEvaluator(
        job.pool.space,
        job.engine,
        utilities,
        job.objectives.combine,  # type: ignore[arg-type]
    )
    return Scorer(RunJournal(path), evaluator)


def answers(accuracies: Sequence[float], seed: int = 0) -> np.ndarray:
    """Right and wrong answers, (experts, items)."""
    drawn = np.random.default_rng(seed).random((len(accuracies), ITEMS))
    return (drawn < np.array(accuracies)[:, None]).astype(float)


def by_hand(table: np.ndarray, order: Sequence[int]) -> dict[int, int]:
    """A literal transcription: expert -> how many items it has answered when it is dropped."""
    left, dropped = list(range(len(table))), {}
    for turn, end in enumerate([12, 24, 48]):
        asked = table[:, order[:end]]
        ranked = sorted(left, key=lambda number: (-asked[number].sum(), number))
        best = asked[ranked[0]]
        for place, number in enumerate(ranked):
            more, fewer = int((best > asked[number]).sum()), int((best < asked[number]).sum())
            behind = more + fewer > 0 and (
                binomtest(more, more + fewer, alternative="greater").pvalue <= 0.01
            )
            if place >= 32 and (behind or turn > 1 or (turn > 0 and place >= 64)):
                dropped[number] = end
        left = [number for number in left if number not in dropped]
    return dropped


@pytest.mark.parametrize("seed", [0, 1])
def test_those_behind_the_best_leave_round_by_round(seed: int, tmp_path: Path) -> None:
    accuracies = [0.9, *[0.6] * 44, *[0.3] * 45]
    job, table = prepared(tmp_path, len(accuracies)), Table(answers(accuracies, seed))
    assert rounds(ITEMS) == [12, 24, 48, 96]
    order = [
        k for start, end in ((0, 12), (12, 24), (24, 48)) for k in next_items(job, start, end)["t"]
    ]
    assert len({*order}) == 48
    scorer = scored(job, table)
    found = screen(job, scorer)
    assert {n: why.examples for n, why in found.dropped.items()} == by_hand(table.table, order)
    assert len({why.examples for why in found.dropped.values()}) > 1
    assert {*found.rows} == {*range(len(accuracies))} - {*found.dropped}
    for number, row in found.rows.items():
        assert row.tasks["t"].per_item == tuple(table.table[number])
        assert row.value == table.table[number].mean()
    # every answer is counted once, in the history and for the budget
    assert sum(row.n for row in scorer.run.rows) == scorer.item_evaluations == table.answered
    assert table.answered <= most_answers(len(accuracies), {"t": ITEMS})
    vertices = list(job.pool.space.vertices())
    scorer.score([vertices[number] for number in found.rows], 0)  # known by now
    assert sum(row.n for row in scorer.run.rows) == table.answered


def test_a_resumed_screening_drops_the_same_and_asks_only_what_is_missing(tmp_path: Path) -> None:
    accuracies = [0.9, *[0.5] * 69]
    job, table = prepared(tmp_path, len(accuracies)), Table(answers(accuracies))
    whole = tmp_path / "whole"
    whole.mkdir()
    found = screen(job, scored(job, table, whole))
    rows = (whole / "results.jsonl").read_text().splitlines(keepends=True)
    for kept in (3, 75, len(rows)):
        half = tmp_path / f"half{kept}"
        shutil.copytree(whole, half)
        (half / "results.jsonl").write_text("".join(rows[:kept]))
        again = Table(table.table)
        scorer = scored(job, again, half)
        scorer.run.begin()
        resumed = screen(job, scorer)
        assert resumed.dropped == found.dropped
        assert {n: row.tasks for n, row in resumed.rows.items()} == {
            n: row.tasks for n, row in found.rows.items()
        }
        known = sum(json.loads(row)["n"] for row in rows[:kept])
        assert again.answered == table.answered - known


class Backwards(Crew):
    """Workers of whom the last one answers first."""

    size = 8

    def __init__(self, evaluator: CandidateEvaluator) -> None:
        self._evaluator = evaluator
        self._tasks: list[Any] = []
        self._submitted = 0

    def submit(self, task: Any) -> int:
        self._tasks.append((self._submitted, task))
        self._submitted += 1
        return self._submitted - 1

    def hear(self) -> tuple[int, Any]:
        number, task = self._tasks.pop()
        return number, task.run(self._evaluator)


def test_the_order_in_which_workers_answer_changes_nothing(tmp_path: Path) -> None:
    accuracies = [0.9, *[0.5] * 69]
    job, table = prepared(tmp_path, len(accuracies)), Table(answers(accuracies))
    alone = scored(job, table)
    found = screen(job, alone)
    several = replace(scored(job, table), crew=Backwards(alone.evaluator))
    assert screen(job, several) == found
    keys = [
        [(row.phase, row.particle, row.key) for row in one.run.rows] for one in (alone, several)
    ]
    assert keys[0] == keys[1]


def test_alike_experts_stay_until_there_are_more_than_can_be_mixed() -> None:
    values = dict.fromkeys(range(70), 0.5)
    assert leaving(values, lambda number: 0.5, earlier=0) == {}
    assert leaving(values, lambda number: 0.5, earlier=1) == dict.fromkeys(range(64, 70))
    assert leaving(values, lambda number: 0.5, earlier=2) == dict.fromkeys(range(32, 70))
    best = dict.fromkeys(range(40), 0.1)
    assert {*leaving(best, lambda number: 0.001, earlier=0)} == {*range(32, 40)}  # 32 stay


@pytest.mark.parametrize(
    ("experts", "more", "screens"),
    [
        (32, {}, "on"),
        (31, {}, "off"),
        (40, {"screen": "off"}, "off"),
        (40, {"items": 63}, "off"),
        (40, {"paper": True}, "off"),
    ],
)
def test_a_plan_says_whether_it_screens(
    experts: int, more: dict[str, Any], screens: str, tmp_path: Path
) -> None:
    assert make_plan(settings(tmp_path, experts, **more)).config.screen == screens


@pytest.mark.parametrize(
    ("experts", "more", "said"),
    [
        (31, {}, "screen on needs at least 32 experts, got 31"),
        (40, {"items": 63}, "screen on needs at least 64 dev examples, got 63"),
        (40, {"paper": True}, "screen on works only with"),
    ],
)
def test_what_cannot_be_screened_is_refused(
    experts: int, more: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        make_plan(settings(tmp_path, experts, screen="on", **more))


def test_dropped_experts_are_in_no_starting_point(tmp_path: Path) -> None:
    job = prepared(tmp_path, 34)
    starts = job.starts_without({1, 33})
    assert starts.shape == (35, 34)  # 32 experts, the base, their average and their sum
    assert not starts[:, [1, 33]].any()
    assert starts[-3:].sum(1).tolist() == pytest.approx([0, 1, 32])
    assert job.starts_without(()).equal(job.starts)
    assert torch.equal(starts[0], torch.eye(34, dtype=torch.float64)[0])


def test_the_price_of_a_screened_search_is_bounded(tmp_path: Path) -> None:
    plan = make_plan(settings(tmp_path, 200, items=200))
    whole = make_plan(settings(tmp_path, 200, items=200, screen="off"))
    assert whole.passes["search"] - plan.passes["search"] == 200 * 200 - 16400
    assert plan.started_items == 16400 + 3 * 200
