"""Early stops: the same search with fewer items; bounds by brute force; the journal of what was left out."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from search_helpers import Hull, Position, history, louder, questions, small, write_task
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import Engine, Part, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.partial import Bounded, Evaluation, Race
from pyswarmopt_llm.evaluation.run_directory import Run, about_run
from pyswarmopt_llm.evaluation.scorer import Objective
from pyswarmopt_llm.jobs.search.loop import search
from pyswarmopt_llm.jobs.search.policy import Budget, Drops, rules_for
from pyswarmopt_llm.metrics.combine import harmonic


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyswarmopt_llm.evaluation.run_directory.os.fsync", lambda descriptor: None)


# What is known of a candidate


def evaluation(values: Mapping[str, Sequence[float]]) -> Evaluation:
    return Evaluation({name: (0.0, 1.0) for name in values}, {n: np.array(v) for n, v in values.items()}, harmonic)


def completions(values: Sequence[float], choices: Sequence[float]) -> list[list[float]]:
    """Every way to fill in what is not known."""
    return [list(found) for found in itertools.product(*([v] if not math.isnan(v) else choices for v in values))]


_item = st.sampled_from([0.0, 1.0, 1.0, math.nan, math.nan, 0.3])
_items = st.lists(_item, min_size=1, max_size=5)


@given(_items, _items, st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_what_is_told_is_on_the_same_side_of_best_and_worst_as_every_completion(
    one: list[float], two: list[float], best: float, worst: float
) -> None:
    known = evaluation({"one": one, "two": two})
    low, high = known.bounds()
    values = [
        harmonic([score_of(a), score_of(b)]).value
        for a in completions(one, (0.0, 0.7, 1.0))
        for b in completions(two, (0.0, 0.7, 1.0))
    ]
    assert low == min(values) and high == max(values)  # to the bit: a bound that is off by an ulp is none
    told = Bounded(best, worst)(known)
    if told is None:
        assert high > best or low < worst
    else:
        assert told == high
        for value in values:
            assert not value > best and not value < worst
        assert not told > best and not told < worst


@given(st.lists(st.tuples(_item, st.sampled_from([0.0, 1.0])), min_size=1, max_size=30), st.floats(0.01, 0.4))
@settings(deadline=None, max_examples=60)
def test_a_race_is_an_exact_sign_test(pairs: list[tuple[float, float]], level: float) -> None:
    mine, rival = (list(column) for column in zip(*pairs, strict=True))
    told = Race({"t": np.array(rival)}, level)(evaluation({"t": mine}))
    won, lost = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    beaten = won < lost and stats.binomtest(won, won + lost, 0.5, alternative="less").pvalue <= level
    assert (told is not None) == beaten
    if told is not None:
        asked = [(a, b) for a, b in pairs if not math.isnan(a)]
        low, high = evaluation({"t": mine}).bounds()
        estimate = np.mean(rival) + np.mean([a - b for a, b in asked])
        assert math.isclose(told, min(max(estimate, low), high, float(np.mean(rival))), abs_tol=1e-12)


# The same search


class Thresholds:
    """Item k is right where w_k . x > b_k: a smooth task, cheap enough for whole searches."""

    lowest, highest = 0.0, 1.0

    def __init__(self, n: int, dim: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.n = n
        self._w = torch.randn(n, dim, generator=generator, dtype=torch.float64)
        self._b = 0.7 * torch.randn(n, generator=generator, dtype=torch.float64)
        sizes = random.Random(seed)
        cuts = sorted(sizes.sample(range(1, n), n // 6))
        self._parts = [tuple(range(a, b)) for a, b in itertools.pairwise([0, *cuts, n])]
        self.asked = 0

    def __call__(self, engine: Any) -> Score:
        found = {i: v for part in self.parts(engine) for i, v in zip(part.indices, part.ask(), strict=True)}
        return score_of([found[i] for i in range(self.n)])

    def parts(self, engine: Any) -> list[Part[float]]:
        def ask(indices: tuple[int, ...]) -> Callable[[], list[float]]:
            def work() -> list[float]:
                self.asked += len(indices)
                return (self._w[list(indices)] @ engine.x > self._b[list(indices)]).double().tolist()

            return work

        return [Part(indices, ask(indices)) for indices in self._parts]


def config_of(seed: int, **more: Any) -> SearchConfig:
    return SearchConfig("b", ("x", "y"), ("t",), "r", seed=seed, **more)


def objective_of(run: Path, config: SearchConfig, tasks: int = 1) -> tuple[Objective, list[Thresholds]]:
    utilities = [Thresholds(60, 4, config.seed + 100 * k) for k in range(tasks)]
    opened = Run.open(run) if run.exists() else Run.create(run, about_run(config, {}))
    return Objective(opened, Hull(4), Position(), {f"t{k}": u for k, u in enumerate(utilities)}), utilities  # type: ignore[arg-type]


def states(config: SearchConfig, objective: Objective, compat: Any, particles: int = 7) -> list[dict[str, Any]]:
    """The swarm's state after each iteration."""
    recipe = pso.recipes.model_swarms(max_iter=9, patience=20, compat=compat, restart_patience=3)
    vertices = torch.eye(4, dtype=torch.float64)
    swarm = pso.Swarm(positions=vertices, population=particles, recipe=recipe, maximize=True, seed=config.seed)
    drops, found = Drops(config), []
    for iteration in itertools.count():
        positions = swarm.ask()
        dropped = drops(iteration, len(positions))
        values = [
            math.nan if dropped[i] else objective(x, iteration, i, rules_for(config, swarm, objective, i))
            for i, x in enumerate(positions)
        ]
        swarm.tell(positions, values, dropped)
        found.append(swarm.state_dict())
        if swarm.stop():
            return found
    raise StopIteration


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Equal to the bit in all that decides how a swarm moves on; `costs` hold the values told, bounds included."""
    assert one.keys() == other.keys()
    assert {"positions", "velocities", "best_positions", "best_costs", "worst_position"} <= one.keys()
    return all(bits(one[k]) == bits(other[k]) for k in one.keys() - {"costs"})


def bits(value: Any) -> Any:
    return value.numpy().tobytes() if isinstance(value, Tensor) else value


@pytest.mark.parametrize("compat", ["paper", "reference"])
@pytest.mark.parametrize("tasks", [1, 2])
def test_positions_and_bests_are_those_of_the_search_that_asks_everything(
    compat: str, tasks: int, tmp_path: Path
) -> None:
    saved = []
    for seed in range(4):
        runs = {}
        for how in ("off", "exact"):
            config = config_of(seed, early_stop=how, drop_n=0.2)
            objective, utilities = objective_of(tmp_path / f"{how}{seed}", config, tasks)
            runs[how] = states(config, objective, compat)
            asked = sum(u.asked for u in utilities)
            assert objective.item_evaluations == asked
            saved.append(asked if how == "off" else saved.pop() - asked)
        assert len(runs["off"]) == len(runs["exact"]) > 5
        assert all(map(same, runs["off"], runs["exact"]))
    assert min(saved) > 0


def test_with_a_bound_on_the_worst_fewer_items_are_asked_and_bests_are_still_exact(tmp_path: Path) -> None:
    asked = {"exact": 0, "bound": 0}
    for seed in range(3):
        for how in ("exact", "bound"):
            config = config_of(seed, early_stop=how)
            objective, _ = objective_of(tmp_path / f"{how}{seed}", config)
            last = states(config, objective, "paper")[-1]
            asked[how] += objective.item_evaluations
            task = Thresholds(60, 4, seed)
            for x, cost in zip(last["best_positions"], last["best_costs"], strict=True):
                assert task(type("E", (), {"x": x})).value == -cost
            worst = task(type("E", (), {"x": last["worst_position"]})).value
            assert worst <= -last["worst_cost"]  # known exactly, or from above
            assert how == "bound" or worst == -last["worst_cost"]
    assert asked["bound"] < asked["exact"]


def test_a_stopped_evaluation_goes_on_where_it_left_off_and_is_replayed_as_it_was(tmp_path: Path) -> None:
    config = config_of(3)
    x, y = torch.tensor([0.1, 0.2, 0.3, 0.4]).double(), torch.tensor([0.4, 0.1, 0.1, 0.4]).double()
    truth = Thresholds(60, 4, 3)(type("E", (), {"x": x})).value
    asks: list[tuple[Tensor, list[Any]]] = [
        (y, []),
        (x, [Bounded(truth + 0.2, 0.0)]),
        (x, [Bounded(truth + 0.2, 0.0)]),  # known well enough
        (x, [Bounded(truth + 0.05, truth - 0.3)]),  # not any more
        (x, []),  # in full
        (x, [Bounded(0.0, 1.0)]),
    ]
    objective, (utility,) = objective_of(tmp_path / "r", config)
    told = [objective(position, k, 0, rules) for k, (position, rules) in enumerate(asks)]
    rows = history(tmp_path / "r")
    assert [row["iteration"] for row in rows] == [0, 1, 3, 4]
    assert utility.asked == 120 == sum(row["n"] for row in rows)  # each item of x and y once
    assert told[1] == told[2] >= told[3] >= told[4] == told[5] == truth
    unknown = [row["items"]["t0"].count("?") for row in rows]
    assert unknown[0] == unknown[3] == 0 < unknown[2] < unknown[1] < 60
    for row in rows[1:3]:
        right = row["items"]["t0"].count("1")
        assert row["bounds"] == [right / 60, (right + row["items"]["t0"].count("?")) / 60]
        assert row["value"] == row["bounds"][1] and row["bounds"][0] <= truth <= row["value"]
    again, (utility,) = objective_of(tmp_path / "r", config)
    assert [again(position, k, 0, rules) for k, (position, rules) in enumerate(asks)] == told
    assert utility.asked == 0 and history(tmp_path / "r") == rows
    assert (again.item_evaluations, again.evaluations) == (objective.item_evaluations, 2)


@pytest.mark.parametrize("more", [{}, {"early_stop": "bound"}, {"racing": 0.1}, {"drop_k": 0.3, "drop_n": 0.3}])
def test_a_search_cut_off_anywhere_replays_to_the_same_end(more: dict[str, Any], tmp_path: Path) -> None:
    config = config_of(1, **more)
    objective, _ = objective_of(tmp_path / "whole", config)
    whole = states(config, objective, "reference")
    journal = (tmp_path / "whole" / "history.jsonl").read_text().splitlines(keepends=True)
    reference = history(tmp_path / "whole")
    assert more.get("drop_n") or any("bounds" in row for row in reference)
    for cut in (0, 5, 9, len(journal) // 2, len(journal) - 1, len(journal)):
        run = tmp_path / f"cut{cut}"
        Run.create(run, about_run(config, {}))
        (run / "history.jsonl").write_text("".join(journal[:cut]))
        objective, _ = objective_of(run, config)
        again = states(config, objective, "reference")
        assert all(map(same, whole, again)) and all(
            bits(a["costs"]) == bits(b["costs"]) for a, b in zip(whole, again, strict=True)
        )
        assert history(run) == reference


def test_races_give_up_candidates_and_the_best_is_exact(tmp_path: Path) -> None:
    given_up = 0
    for seed in range(3):
        config = config_of(seed, early_stop="off", racing=0.3)
        objective, _ = objective_of(tmp_path / str(seed), config)
        last = states(config, objective, "paper")[-1]
        given_up += sum("bounds" in row for row in objective.rows)
        assert Thresholds(60, 4, seed)(type("E", (), {"x": last["best_position"]})).value == -last["best_cost"]
    assert given_up > 0


# On a language model


@pytest.fixture(scope="module")
def experts(tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return louder(tiny_experts, tmp_path_factory.mktemp("loud"))


def test_a_real_search_ends_the_same_with_fewer_items(tiny_base: Path, experts: list[Path], tmp_path: Path) -> None:
    task = write_task(tmp_path / "words.json", questions(24, 1), questions(4, 2))
    found = {}
    for how in ("off", "exact"):
        config = small(tiny_base, experts, [task], tmp_path / how, early_stop=how, batch_tokens=256)
        found[how] = search(config)
    states = [pso.Swarm.load(r.run / "checkpoint" / "swarm.npz").state_dict() for r in found.values()]
    assert same(*states)
    for key in ("best_dev", "best_test", "coefficients", "evaluations", "stop"):
        assert found["off"].result[key] == found["exact"].result[key]
    assert found["off"].result["items_saved"] == 0.0
    assert found["exact"].result["items_saved"] > 0.0
    assert "% skipped)" in (found["exact"].run / "report.html").read_text(encoding="utf-8")
    whole, stopped = (history(r.run) for r in found.values())
    for a, b in zip(whole, stopped, strict=True):  # item by item, to the bit
        assert a["key"] == b["key"]
        assert all(y in (x, "?") for x, y in zip(a["items"]["words"], b["items"]["words"], strict=True))


# Drops and budgets


def test_drops_are_as_frequent_as_asked_for_and_spare_the_start() -> None:
    drops = Drops(config_of(0, drop_k=0.3, drop_n=0.2))
    table = np.array([drops(iteration, 50) for iteration in range(2000)])
    assert not table[0].any()
    whole = table[1:].all(axis=1)
    assert abs(whole.mean() - 0.3) < 0.04
    assert abs(table[1:][~whole].mean() - 0.2) < 0.01


def test_a_dropped_iteration_moves_on_without_a_single_evaluation(
    tiny_base: Path, experts: list[Path], tmp_path: Path
) -> None:
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(4, 2))
    config = small(tiny_base, experts, [task], tmp_path / "r", max_iter=6, drop_k=0.5, seed=1)
    drops = Drops(config)
    expected = [k for k in range(7) if not drops(k, 5).any()]
    found = search(config)
    assert sorted({row["iteration"] for row in history(found.run)}) == expected
    assert 1 < len(expected) < 7 and found.result["stop"] == {"max_iter": 6}


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(1, 400))
def test_the_item_budget_is_kept_if_iterations_do_not_grow(steps: list[int], budget: int) -> None:
    steps = sorted(steps, reverse=True)
    totals = list(itertools.accumulate(steps))
    stop = next((k for k in range(len(steps)) if Budget(None, budget).spent(totals[: k + 1], 1.0)), len(steps) - 1)
    assert totals[stop] <= max(budget, steps[0])
    assert stop == len(steps) - 1 or totals[stop] + steps[stop] > budget


def test_a_search_keeps_within_its_budget_and_says_so(tiny_base: Path, experts: list[Path], tmp_path: Path) -> None:
    task = write_task(tmp_path / "words.json", questions(10, 1), questions(4, 2))
    found = search(small(tiny_base, experts, [task], tmp_path / "i", max_iter=9, budget_items=170))
    assert 50 < found.result["item_evaluations"] <= 170
    assert found.result["stop"] == {"budget_items": found.result["item_evaluations"]}
    found = search(small(tiny_base, experts, [task], tmp_path / "m", max_iter=9, budget_minutes=1e-6))
    assert list(found.result["stop"]) == ["budget_minutes"]
    assert {row["iteration"] for row in history(found.run)} == {0}  # the start is always evaluated


def test_the_command_line_knows_them(
    tiny_base: Path, experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from search_helpers import search_words, swarm_llm

    task = write_task(tmp_path / "words.json", questions(10, 1), questions(4, 2))
    words = search_words(small(tiny_base, experts, [task], tmp_path / "r"))
    for bad, message in {
        "--early-stop sometimes": "--early-stop sometimes: unknown; use exact, bound, off",
        "--racing 0.7": "--racing 0.7: the level of a test",
        "--drop-k 1": "--drop-k 1: a probability",
        "--drop-n -0.1": "--drop-n -0.1: a probability",
        "--budget-minutes 0": "--budget-minutes 0: a budget has to be above 0",
        "--budget-items 49": "--budget-items 49: the starting swarm alone takes 5 x 10 = 50",
    }.items():
        code, _, err = swarm_llm(capsys, *words, *bad.split())
        assert code == 2 and message in err and err.count("\n") == 1
    assert not (tmp_path / "r").exists()
    good = "--early-stop bound --racing 0.1 --drop-n 0.2 --budget-items 400 --json"
    code, out, _ = swarm_llm(capsys, *words, *good.split())
    assert code == 0 and json.loads(out)["best_dev"] >= json.loads(out)["best_single_dev"]


def test_utilities_without_parts_are_asked_in_full(tmp_path: Path) -> None:
    asked: list[Engine] = []

    def utility(engine: Engine) -> Score:
        asked.append(engine)
        return score_of([1.0, 0.0])

    run = Run.create(tmp_path / "r", about_run(config_of(0), {}))
    objective = Objective(run, Hull(4), Position(), {"t": utility})  # type: ignore[arg-type]
    assert objective(torch.ones(4).double(), 0, 0, [Bounded(1.0, 0.0)]) == 0.5
    assert len(asked) == 1 and "bounds" not in run.rows[0]
