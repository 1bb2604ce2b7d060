"""Screened evaluation: what is imputed, that the best is always scored in full, resume, and the
option's limits.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from search_helpers import (
    Hull,
    Position,
    ends_as,
    history,
    lasting,
    louder,
    questions,
    search_words,
    small,
    swarm_llm,
    write_task,
)

import pyswarmopt as pso
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.evaluator import Evaluation, Evaluator
from pyswarmopt_llm.evaluation.plan import Screen, bounds
from pyswarmopt_llm.evaluation.policy import make_policy
from pyswarmopt_llm.evaluation.record import wrong_in_row
from pyswarmopt_llm.evaluation.run_directory import Run, about_run
from pyswarmopt_llm.evaluation.scorer import Scorer
from pyswarmopt_llm.evaluation.search import Budget, Search
from pyswarmopt_llm.evaluation.surrogate.proposals import proposal, widest
from pyswarmopt_llm.evaluation.surrogate.screening import Screening
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.jobs.search.preset import resolve
from pyswarmopt_llm.jobs.search.validate import check_screen
from pyswarmopt_llm.metrics.combine import harmonic
from pyswarmopt_llm.metrics.objectives import load_objectives
from pyswarmopt_llm.reporting.terminal import SearchState


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyswarmopt_llm.common.files.regular.os.fsync", lambda descriptor: None)


# The rule

_probability = st.sampled_from([0.0, 0.04, 0.05, 0.3, 0.5, 0.6, 0.95, 0.96, 1.0])
_value = st.sampled_from([0.0, 1.0, math.nan])
_item = st.tuples(_probability, _value)


@given(
    st.lists(_item, min_size=1, max_size=6),
    st.lists(_item, min_size=1, max_size=6),
    st.floats(0, 1),
)
@settings(max_examples=100)
def test_what_is_told_counts_sure_items_and_waits_for_doubtful_ones(
    one: list[tuple[float, float]], two: list[tuple[float, float]], best: float
) -> None:
    tasks = {"one": one, "two": two}
    values = {name: np.array([v for _, v in task]) for name, task in tasks.items()}
    screen = Screen(
        {name: np.array([p for p, _ in task]) for name, task in tasks.items()}, 0.05, best
    )
    told = screen.value(values, harmonic)
    doubtful = {
        name: {i for i, (p, _) in enumerate(task) if 0.05 <= p <= 0.95}
        for name, task in tasks.items()
    }
    assert screen.first == doubtful
    filled = [[float(p > 0.5) if math.isnan(v) else v for p, v in task] for task in (one, two)]
    value = harmonic([score_of(task) for task in filled]).value
    waits = any(math.isnan(tasks[name][i][1]) for name in tasks for i in doubtful[name])
    assert told == (None if waits or value > best else value)


@given(st.lists(_value, min_size=1, max_size=5), st.lists(_value, min_size=1, max_size=5))
def test_bounds_are_the_extremes_of_all_completions(one: list[float], two: list[float]) -> None:
    def completions(values: list[float]) -> list[list[float]]:
        return [
            list(c)
            for c in itertools.product(*([v] if not math.isnan(v) else (0.0, 1.0) for v in values))
        ]

    values = [
        harmonic([score_of(a), score_of(b)]).value
        for a in completions(one)
        for b in completions(two)
    ]
    assert bounds({"one": np.array(one), "two": np.array(two)}, harmonic) == (
        min(values),
        max(values),
    )


def test_the_kernel_is_chosen_anew_with_half_as_many_margins_again() -> None:
    """After 4 candidates at 6, 9, 14, 21: there it predicts what one that was never used before
    predicts.
    """
    rng = np.random.default_rng(0)
    positions = torch.from_numpy(rng.dirichlet(np.ones(3), 24))
    slopes = rng.normal(size=(5, 2, 3))
    margins = np.sin(3 * slopes @ positions.numpy().T).transpose(2, 0, 1)
    found = [Evaluation(0.5, 5, {}, 0.0, margins={"t": own.tolist()}) for own in margins]
    often, anew = Screening(0.05, {"t": 5}), set()
    for n in range(1, 25):
        often.learn(str(n - 1), positions[n - 1], found[n - 1])
        if n < 4:
            continue
        once = Screening(0.05, {"t": 5})
        for k in range(n):
            once.learn(str(k), positions[k], found[k])
        ours, fresh = (one.screens(positions[:3] + 0.1)[0].right["t"] for one in (often, once))
        if np.array_equal(ours, fresh):
            anew.add(n)
    assert anew == {4, 6, 9, 14, 21}


def test_a_screen_has_the_items_of_each_task() -> None:
    screening = Screening(0.05, {"three": 3, "two": 2, "one": 1})
    rng = np.random.default_rng(0)
    for k, position in enumerate(torch.eye(3, dtype=torch.float64)):
        margins = {name: rng.normal(size=(n, 1)).tolist() for name, n in screening.items.items()}
        screening.learn(str(k), position, Evaluation(0.5, 6, {}, 0.0, margins=margins))
    (screen,) = screening.screens([torch.full((3,), 1 / 3, dtype=torch.float64)])
    assert {name: len(right) for name, right in screen.right.items()} == {
        "three": 3,
        "two": 2,
        "one": 1,
    }
    together = screening.model().right(np.full((1, 3), 1 / 3))[0]
    assert np.array_equal(np.concatenate([*screen.right.values()]), together)


# Whole searches on items that are smooth functions of the coefficients


class Smooth:
    """Item i has four options, whose scores are quadratic in the position; asked whole or item by
    item.
    """

    def __init__(self, n: int, dim: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.n, self.asked = n, 0
        self._flat, self._slopes = rng.normal(size=(n, 4)), rng.normal(size=(n, 4, dim))
        self._curves = 0.5 * rng.normal(size=(n, 4, dim, dim))

    def __call__(self, engine: Any, places: Sequence[int] | None = None) -> Score:
        chosen = list(range(self.n) if places is None else places)
        self.asked += len(chosen)
        x = engine.x.numpy()
        scores = self._flat + self._slopes @ x + self._curves @ x @ x
        margins = (scores[:, :1] - scores[:, 1:])[chosen]
        score = score_of((margins > 0).all(1))
        return replace(score, margins=tuple(tuple(m) for m in margins.tolist()))

    def truth(self, x: torch.Tensor) -> float:
        """The value at a position, without counting it."""
        asked, value = self.asked, self(type("At", (), {"x": x})).value
        self.asked = asked
        return value


def config_of(seed: int, **more: Any) -> SearchConfig:
    return SearchConfig("b", ("x", "y"), ("t",), "r", seed=seed, max_iter=9, **more)


def fly(run: Path, config: SearchConfig) -> tuple[pso.Swarm, Scorer, Smooth]:
    """A search as `pyswarmopt_llm.jobs.search.loop` runs it, on 60 smooth items and four
    experts.
    """
    utility = Smooth(60, 4, config.seed)
    opened = Run.open(run) if run.exists() else Run.create(run, about_run(config, {}))
    scorer = Scorer(opened, Hull(4), Evaluator(Hull(4), Position(), {"t": utility}, harmonic))  # type: ignore[arg-type]
    recipe = pso.recipes.model_swarms(max_iter=config.max_iter, patience=20, restart_patience=3)
    vertices = torch.eye(4, dtype=torch.float64)
    swarm = pso.Swarm(
        positions=vertices, population=10, recipe=recipe, maximize=True, seed=config.seed
    )
    policy = make_policy(config, {"t": 60}, harmonic)
    search = Search(
        Hull(4),
        scorer,
        policy,
        swarm,
        Budget(None, None),
        population=10,
        items=60,
        seed=config.seed,
    )
    search.score_experts()
    search.run()
    return swarm, scorer, utility


def test_a_screened_search_asks_a_third_and_ends_as_well(tmp_path: Path) -> None:
    gains, screened_starts = [], 0
    for seed in range(4):
        plain, _, all_items = fly(tmp_path / f"plain{seed}", config_of(seed))
        swarm, scorer, utility = fly(tmp_path / f"screened{seed}", config_of(seed, screen=0.05))
        assert swarm.best.value == utility.truth(swarm.best.x)  # asked in full
        assert scorer.item_evaluations == utility.asked < all_items.asked / 3
        gains.append(swarm.best.value - plain.best.value)
        told = [row.value for row in scorer.rows if not row.complete]
        truth = [
            utility.truth(torch.tensor(row.coefficients)) for row in scorer.rows if not row.complete
        ]
        assert len(told) > 50 and np.abs(np.subtract(told, truth)).mean() < 0.01
        start = [row for row in scorer.rows if row.iteration == 0]
        assert all(row.complete for row in start[:4])  # the experts
        screened_starts += sum(not row.complete for row in start[4:])
        best = -math.inf  # whatever was the best of its time was asked in full
        for row in scorer.rows:
            assert row.value <= best or row.complete
            best = max(best, row.value)
    assert abs(np.mean(gains)) < 0.01 and screened_starts > 0


@pytest.mark.parametrize("more", [{"screen": 0.05}, {"screen": 0.2, "drop_n": 0.3}])
def test_a_search_cut_off_anywhere_replays_to_the_same_end(
    more: dict[str, Any], tmp_path: Path
) -> None:
    config = config_of(3, **more)
    whole, _, _ = fly(tmp_path / "whole", config)
    journal = (tmp_path / "whole" / "history.jsonl").read_text().splitlines(keepends=True)
    reference = history(tmp_path / "whole")
    assert any("bounds" in row for row in reference)
    for cut in (0, 3, len(journal) // 3, 2 * len(journal) // 3, len(journal) - 1, len(journal)):
        run = tmp_path / f"cut{cut}"
        Run.create(run, about_run(config, {}))
        (run / "history.jsonl").write_text("".join(journal[:cut]))
        again, _, utility = fly(run, config)
        assert history(run) == reference
        assert utility.asked == sum(row["n"] for row in reference[cut:])
        for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
            assert np.array_equal(a, b, equal_nan=True) if isinstance(a, torch.Tensor) else a == b


# On a language model


@pytest.fixture(scope="module")
def experts(tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return louder(tiny_experts, tmp_path_factory.mktemp("loud"))


@pytest.mark.parametrize("cut", [0.67, 0.97])
def test_a_real_search_with_fewer_items_resumes_and_reports(
    cut: float,
    tiny_base: Path,
    experts: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    task = write_task(tmp_path / "words.json", questions(24, 1), questions(4, 2))
    found = search(small(tiny_base, experts, [task], "run", particles=8, max_iter=5, screen=0.1))
    rows = history(found.run)
    evaluated = len({row["key"] for row in rows})
    assert sum(row["n"] for row in rows) == found.result["item_evaluations"] < 24 * evaluated * 0.9
    best = max((row for row in rows if "bounds" not in row), key=lambda row: row["value"])
    assert found.result["best_dev"] == best["value"] == best["items"]["words"].count("1") / 24
    assert found.result["items_saved"] > 0.1
    assert all("margins" in row and wrong_in_row({**row, "seconds": 1.0}) is None for row in rows)
    assert (found.run / "report.html").exists()
    lines = (found.run / "history.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run").rename(tmp_path / "reference")
    again = tmp_path / "run"
    again.mkdir()
    (again / "checkpoint").mkdir()
    (again / "run.json").write_bytes((tmp_path / "reference" / "run.json").read_bytes())
    (again / "history.jsonl").write_text("".join(lines[: int(cut * len(lines))]))
    assert lasting(resume("run").result) == lasting(found.result)
    ends_as(again, tmp_path / "reference")


def test_the_command_line_says_what_does_not_go_together(
    tiny_base: Path, experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = write_task(tmp_path / "words.json", questions(10, 1), questions(4, 2))
    words = search_words(small(tiny_base, experts, [task], tmp_path / "r"))
    for bad, message in {
        "--screen 0.5": "--screen 0.5: out of range; give more than 0 and less than 0.5",
        "--screen 0.1 --scoring generate": (
            "--screen: learns from the scores of options, words is answered by writing"
        ),
        "--screen 0.1 --metric mc2": (
            "--screen: learns from the scores of options, words is scored by mc2"
        ),
        "--screen 0.1 --space token": "--screen: --space token scores all items at once",
    }.items():
        code, _, err = swarm_llm(capsys, *words, *bad.split())
        assert code == 2 and message in err and err.count("\n") == 1, (bad, err)
    assert not (tmp_path / "r").exists()
    config = small(tiny_base, experts, [task], tmp_path / "r", space="delta", screen=0.1)
    with pytest.raises(
        InvalidOption, match="learns from at most 64 coefficients, here a candidate has 65"
    ):
        check_screen(resolve(config), load_objectives(config), 65)
    code, out, _ = swarm_llm(capsys, *words, "--screen", "0.1", "--drop-n", "0.2", "--json")
    assert code == 0 and json.loads(out)["best_dev"] >= json.loads(out)["best_single_dev"]


def test_damaged_margins_are_no_row() -> None:
    row = {
        "phase": "search",
        "iteration": 0,
        "particle": 0,
        "key": "k",
        "coefficients": [1.0],
        "value": 0.5,
        "n": 1,
    }
    row |= {"seconds": 0.1, "items": {"t": "1?"}}
    assert wrong_in_row(row | {"margins": {"t": [[0.5, -1.0], None]}}) is None
    for bad in ([], {"t": 1}, {"t": [0.5]}, {"t": [["x"]]}):
        assert wrong_in_row(row | {"margins": bad}) == "margins"


# What a screened search hands over


def learnt(*candidates: tuple[float, list[list[float] | None]]) -> Screening:
    """A model of candidates with these values and margins, at 0, 1, 2, ..."""
    screening = Screening(0.05, {"t": len(candidates[0][1])})
    for i, (value, margins) in enumerate(candidates):
        known = None if None not in margins else (0.0, 1.0)
        found = Evaluation(value, 1, {}, 0.0, known, margins={"t": margins})
        screening.learn(str(i), torch.tensor([float(i)]), found)
    return screening


def test_of_those_about_as_good_as_the_best_the_widest_margins_win() -> None:
    """Four items; a standard error at .75 is .217, so .54 and more is about as good."""
    narrow = (0.75, [[0.1, 9.0], [0.1, 0.3], [0.1, 0.2], [-0.1, 0.5]])
    wide = (0.75, [[2.0, 9.0], [3.0, 4.0], [2.0, 2.5], [-0.1, 0.5]])
    widest_but_half = (0.5, [[9.0, 9.0], [9.0, 9.0], [-0.1, 9.0], [-0.1, 9.0]])
    too_low = (0.25, [[9.0, 9.0], [-0.1, 9.0], [-0.1, 9.0], [-0.1, 9.0]])
    not_asked_in_full = (0.75, [[9.0, 9.0], [9.0, 9.0], [9.0, 9.0], None])
    screening = learnt(narrow, wide, widest_but_half, too_low, not_asked_in_full)
    assert widest(screening) == torch.tensor([1.0], dtype=torch.float64)
    lower = learnt(narrow, (0.55, wide[1]))  # as if two tasks had been combined
    assert widest(lower) == 1 and widest(lower, floor=0.6) == 0
    assert widest(learnt(not_asked_in_full)) is None


def test_the_widest_margins_by_a_literal_transcription() -> None:
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(12, 9, 3))
    values = (margins.min(2) > 0).mean(1)
    screening = learnt(*((float(v), m.tolist()) for v, m in zip(values, margins, strict=True)))
    best = values.max()
    spread = margins.min(2).std()
    wide = {}
    for i in range(12):
        if values[i] >= best - math.sqrt(best * (1 - best) / 9):
            wide[i] = sum(1 / (1 + math.exp(-min(m) / (0.4 * spread))) for m in margins[i]) / 9
    chosen = widest(screening)
    assert chosen is not None and int(chosen) == max(wide, key=lambda i: wide[i])


def test_a_proposal_is_where_margins_are_widest() -> None:
    """Three items whose margins are paraboloids with known tops: the best place by a fine grid."""
    tops = np.array([[0.2, 0.6], [0.5, 0.4], [0.4, 0.8]])
    heights = np.array([0.1, 0.3, 0.2])

    def margins(x: np.ndarray) -> np.ndarray:
        """(N, 3) of (N, 2)."""
        return heights - ((x[:, None] - tops) ** 2).sum(2)

    x = np.random.default_rng(0).uniform(0, 1, (40, 2))
    screening = Screening(0.05, {"t": 3})
    assert proposal(screening, 0) is None
    for i, row in enumerate(margins(x)):
        found = Evaluation(float((row > 0).mean()), 3, {}, 0.0, margins={"t": [[m] for m in row]})
        screening.learn(str(i), torch.from_numpy(x[i]), found)
    soft = 0.4 * margins(x).std()
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 201)] * 2), axis=-1).reshape(-1, 2)
    width = (1 / (1 + np.exp(-margins(grid) / soft))).mean(1)
    for seed in range(3):
        found = proposal(screening, seed)
        assert found is not None and np.abs(found.numpy() - grid[width.argmax()]).max() < 0.02
        own = (1 / (1 + np.exp(-margins(found.numpy()[None]) / soft))).mean()
        best_seen = (1 / (1 + np.exp(-margins(x) / soft))).mean(1).max()
        assert own > best_seen  # better than all that was asked


def test_what_the_model_promises_is_asked_in_full_within_the_budget(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    experts = louder(tiny_experts, tmp_path / "experts")
    task = write_task(tmp_path / "t.json", questions(20, 1), questions(10, 2))
    given = {"screen": 0.05, "particles": 8, "space": "delta"}
    listening = SearchState()
    search(small(tiny_base, experts, [task], tmp_path / "free", max_iter=3, **given), listening.add)
    rows = [row for row in history(tmp_path / "free") if row["phase"] == "search"]
    promised = [row for row in rows if row["particle"] >= 8]
    assert 1 <= len(promised) <= 10 and rows[-len(promised) :] == promised  # after all others
    assert len({row["iteration"] for row in promised}) == 1
    assert all("bounds" not in row and "?" not in row["items"]["t"] for row in promised)
    # Three iterations, and nothing of a fourth one.
    assert (listening.iteration, listening.completed, listening.proposed) == (3, 3, len(promised))
    page = (tmp_path / "free" / "report.html").read_text()
    assert (
        "iteration 3" in page and "iteration 4" not in page and "proposed by the item model" in page
    )
    for budget in (200, 300):
        out = tmp_path / f"budget{budget}"
        result = search(
            small(
                tiny_base,
                experts,
                [task],
                out,
                max_iter=30,
                patience=30,
                budget_items=budget,
                **given,
            )
        )
        asked = [row["particle"] >= 8 for row in history(out) if row["phase"] == "search"]
        assert result.result["item_evaluations"] <= budget and any(asked)


def test_a_screened_search_hands_over_what_is_no_worse_than_the_best_expert(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    experts = louder(tiny_experts, tmp_path / "experts")
    task = write_task(tmp_path / "t.json", questions(20, 1), questions(10, 2))
    for seed in range(3):
        config = small(
            tiny_base,
            experts,
            [task],
            tmp_path / f"{seed}",
            screen=0.05,
            particles=8,
            seed=seed,
            space="delta",
        )
        result = search(config).result
        values = [row["value"] for row in history(tmp_path / f"{seed}") if row["phase"] == "search"]
        error = math.sqrt(max(values) * (1 - max(values)) / 20)
        assert result["best_single_dev"] <= result["best_dev"] <= max(values)
        assert result["best_dev"] >= max(values) - error - 1e-9
