"""Searches without rounds: a free worker gets its next candidate at once, and a run that was stopped
goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_helpers import Hull, Position

import pyswarmopt as pso
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.directory import Checkpoint, RunJournal
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.crew import Alone
from pyswarmopt_llm.searching.decide import check_settings
from pyswarmopt_llm.searching.explore import Proposer, explore
from pyswarmopt_llm.searching.plan import Plan
from pyswarmopt_llm.searching.scorer import CandidateEvaluator, Scorer
from pyswarmopt_llm.searching.surrogate import Surrogate
from pyswarmopt_llm.searching.swarm import AsynchronousSwarm

NOTHING: Any = None  # no tasks
CONFIG = SearchConfig("", ("a", "b", "c"), ("t.csv",), "")
GOAL = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
THIRD = torch.full((1, 3), 1 / 3, dtype=torch.float64)
STARTS = torch.cat([torch.eye(3, dtype=torch.float64), torch.zeros_like(THIRD), THIRD, 3 * THIRD])


def near(engine: Any, indices: Sequence[int] | None = None) -> Score:
    """Ten items that are higher near `GOAL`, each in its own way."""
    away = (engine.x - GOAL) ** 2
    return score_of([float(1 / (1 + away.sum() + 0.1 * k * away[k % 3])) for k in range(10)])


def turn(x: torch.Tensor) -> bytes:
    return hashlib.blake2b(x.numpy().tobytes()).digest()


class Fickle(Alone):
    """Workers of whose candidates any may end first, always the same of the same ones.

    Args:
        evaluator: as of `Alone`.
        size: number of workers.
        lives: answers until all workers die.
    """

    def __init__(self, evaluator: Any, size: int, lives: int = 999) -> None:
        super().__init__(evaluator)
        self.size = size
        self.lives = lives
        self.most = 0

    def hear(self) -> tuple[int, Any]:
        self.most = max(self.most, len(self._waiting))
        self.lives -= 1
        if self.lives < 0:
            raise UserError("a worker ended")
        first = min(self._waiting, key=lambda task: turn(task[1].position))  # type: ignore[attr-defined]
        self._waiting.remove(first)
        self._waiting.appendleft(first)
        return super().hear()


def surrogate(asynchronous: bool = True) -> Surrogate:
    names = ["a", "b", "c"]
    return Surrogate("scores", STARTS, names, ["t"], harmonic, 7, seed=3, asynchronous=asynchronous)


def swarm(folder: Path | None = None, population: int = 6, max_iter: int = 4) -> AsynchronousSwarm:
    moving = pso.Swarm(
        positions=torch.eye(3, dtype=torch.float64),
        population=population,
        recipe=pso.recipes.model_swarms(max_iter=max_iter),
        maximize=True,
        seed=1,
        asynchronous=True,
    )
    return AsynchronousSwarm(moving, saved=folder and Checkpoint(folder / "swarm.npz"))


def scorer_of(size: int, folder: Path | None = None, lives: int = 999) -> Scorer:
    evaluator = CandidateEvaluator(Hull(3), Position(), {"t": near}, harmonic)  # type: ignore[arg-type]
    crew = Fickle(evaluator, size, lives)
    return Scorer(RunJournal(folder), evaluator, crew=crew, asynchronous=True)


def found(rows: Sequence[Row]) -> list[tuple[str, int, int, float]]:
    return [(row.key, row.iteration, row.particle, row.value) for row in rows]


def test_a_particle_moves_when_its_own_value_is_there() -> None:
    """As by hand, with the core's swarm and three workers."""
    by_hand = swarm().optimizer
    busy: list[pso.Ticket] = []
    told = []
    while not by_hand.stop():
        while len(busy) < 3 and not by_hand.stop():
            busy += by_hand.ask(1)
        first = min(busy, key=lambda ticket: turn(ticket.x))
        busy.remove(first)
        told.append(first.particle)
        by_hand.tell(first, near(Position_at(first.x)).value)
    proposer, scorer = swarm(), scorer_of(3)
    stop = explore(proposer, scorer, CONFIG)
    assert stop == {"max_iter": 4}
    assert [row.particle for row in scorer.rows][: len(told)] == told
    assert len(scorer.rows) == len(told) + len(busy)  # what was under way is told, too
    assert told[:6] != sorted(told[:6])


class Position_at:
    """An engine with a loaded position."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x


def test_with_one_worker_a_surrogate_proposes_as_in_rounds_of_one() -> None:
    scorers = [scorer_of(1), scorer_of(1)]
    bests = []
    for scorer, asynchronous in zip(scorers, (True, False), strict=True):
        scorer.asynchronous = asynchronous
        proposer = surrogate(asynchronous)
        assert explore(proposer, scorer, CONFIG) == {"proposals": 7}
        bests.append(proposer.best())
    assert found(scorers[0].rows) == found(scorers[1].rows)
    assert bests[0].x.equal(bests[1].x)


def test_all_workers_have_different_candidates_until_the_end() -> None:
    scorer = scorer_of(4)
    proposer = surrogate()
    assert explore(proposer, scorer, CONFIG) == {"proposals": 7}
    crew: Any = scorer.crew
    assert crew.most == 4
    positions = torch.tensor([row.coefficients for row in scorer.rows])
    assert len(positions.unique(dim=0)) == len(positions) == 13
    apart = torch.pdist(positions)
    assert apart.min() > 1e-4
    assert proposer.best().value > max(row.value for row in scorer.rows[:6])


@pytest.mark.parametrize("kind", ["surrogate", "swarm"])
@pytest.mark.parametrize("lives", [1, 8, 11])
def test_a_run_that_is_stopped_and_resumed_ends_as_one_that_was_not(
    kind: str, lives: int, tmp_path: Path
) -> None:
    def proposer() -> Proposer:
        return surrogate() if kind == "surrogate" else swarm(tmp_path)

    peace = scorer_of(4)
    stop = explore(proposer(), peace, CONFIG)
    (tmp_path / "swarm.npz").unlink(missing_ok=True)
    war = scorer_of(4, tmp_path, lives)
    with pytest.raises(UserError, match="a worker ended"):
        explore(proposer(), war, CONFIG)
    assert found(war.rows) == found(peace.rows)[:lives]
    resumed = scorer_of(4, tmp_path)
    assert explore(proposer(), resumed, CONFIG) == stop
    assert found(resumed.rows) == found(peace.rows)
    crew: Any = resumed.crew
    assert crew.lives == 999 - (len(peace.rows) - lives)  # nothing is scored twice


@pytest.mark.parametrize("size", [1, 7])
def test_other_workers_take_up_where_the_first_stopped(size: int, tmp_path: Path) -> None:
    """The answers known come back in their order, whatever the number of workers is now."""
    war = scorer_of(4, tmp_path, 9)
    with pytest.raises(UserError):
        explore(surrogate(), war, CONFIG)
    resumed = scorer_of(size, tmp_path)
    assert explore(surrogate(), resumed, CONFIG) == {"proposals": 7}
    assert found(resumed.rows)[:9] == found(war.rows)
    crew: Any = resumed.crew
    assert crew.lives == 999 - 4 and len(resumed.rows) == 13
    again = scorer_of(3, tmp_path)  # a finished run is read from the store
    explore(surrogate(), again, CONFIG)
    assert found(again.rows) == found(resumed.rows)
    crew = again.crew
    assert crew.lives == 999


def test_no_evaluation_begins_beyond_the_budget_and_none_is_left_unused() -> None:
    for items in (89, 90):
        scorer = scorer_of(4)
        stop = explore(surrogate(), scorer, replace(CONFIG, budget_items=items))
        assert stop.keys() == {"budget_items"}
        assert len(scorer.rows) == items // 10
    scorer = scorer_of(4)
    explore(swarm(), scorer, replace(CONFIG, budget_items=1))
    assert len(scorer.rows) == 6  # those of the start always


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"batch": 2}, "batch"),
        ({"drop_n": 0.5, "paper": True, "draws": 1}, "drop_n"),
        ({"drop_k": 0.5, "paper": True, "draws": 1}, "drop_k"),
        ({"optimizer": "nevergrad:OnePlusOne"}, "optimizer"),
        ({"paper": True, "draws": 2}, "draws"),
    ],
)
def test_what_needs_rounds_is_refused(settings: dict[str, Any], setting: str) -> None:
    config = replace(CONFIG, base="b", out="run", space="delta", **settings)
    check_settings(config, settings)
    with pytest.raises(UserError, match=f"^{setting} .*asynchronous"):
        check_settings(replace(config, asynchronous=True), settings)


def test_a_single_worker_is_told_that_it_is_one() -> None:
    config = replace(CONFIG, method="scores", asynchronous=True)
    notes = {workers: Plan(config, NOTHING).idle(workers) for workers in (1, 2, 8)}
    assert "add `workers`" in notes[1][0] and notes[2] == notes[8] == []


def test_more_workers_than_candidates_are_told_once() -> None:
    swarm = Plan(replace(CONFIG, method="swarm", particles=5), NOTHING)
    assert swarm.idle(5) == []
    (line,) = swarm.idle(8)
    assert line == "8 workers for at most 5 candidates at once: the others have nothing to do"


@pytest.mark.parametrize(
    ("settings", "turns"),
    [
        ({"method": "swarm", "particles": 6}, {1: 6, 2: 3, 4: 2, 8: 1}),
        ({"method": "scores", "particles": 6, "proposals": 12}, {1: 18, 2: 15, 8: 13}),
        ({"method": "scores", "particles": 6, "proposals": 12, "batch": 4}, {2: 9, 3: 8, 4: 5}),
        ({"method": "scores", "particles": 6, "proposals": 12, "asynchronous": True}, {4: 4.5}),
    ],
)
def test_the_time_with_workers_is_that_of_their_rounds(
    settings: dict[str, Any], turns: dict[int, float]
) -> None:
    plan = Plan(replace(CONFIG, **settings), NOTHING)
    all_of_them = 6 + settings.get("proposals", 0)
    for workers, expected in turns.items():
        assert plan.share(workers) * all_of_them == pytest.approx(expected)


class Timed(Alone):
    """Workers whose evaluations take one to five minutes, by a clock that is not waited for.

    Args:
        evaluator: as of `Alone`.
        size: number of workers.
    """

    def __init__(self, evaluator: Any, size: int) -> None:
        super().__init__(evaluator)
        self.size = size
        self.now = 0.0
        self.worked = 0.0
        self._ends: dict[int, float] = {}

    def submit(self, task: Any) -> int:
        number = super().submit(task)
        assert len(self._ends) < self.size
        minutes = 1 + 4 * turn(task.position)[0] / 255
        self._ends[number] = self.now + minutes
        self.worked += minutes
        return number

    def hear(self) -> tuple[int, Any]:
        first = min(self._waiting, key=lambda waiting: self._ends[waiting[0]])
        self._waiting.remove(first)
        self._waiting.appendleft(first)
        number, answer = super().hear()
        self.now = self._ends.pop(number)
        return number, answer


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_free_workers_wait_for_nobody(workers: int) -> None:
    """They evaluate for at least 90% of the time, though some evaluations take five times as long."""
    evaluator = CandidateEvaluator(Hull(3), Position(), {"t": near}, harmonic)  # type: ignore[arg-type]
    crew = Timed(evaluator, workers)
    scorer = Scorer(RunJournal(None), evaluator, crew=crew, asynchronous=True)
    explore(swarm(population=24, max_iter=8), scorer, CONFIG)
    share = crew.worked / (workers * crew.now)
    assert share >= 0.9
