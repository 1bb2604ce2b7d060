"""Items that are not asked: what is told of them, that the best is always asked, resume, and both options' limits."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
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
from pyswarmopt_llm.common.files.append_log import is_row
from pyswarmopt_llm.common.interfaces import ItemAnswer, Part, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.partial import Evaluation
from pyswarmopt_llm.evaluation.run_directory import Run, about_run
from pyswarmopt_llm.evaluation.scorer import Objective
from pyswarmopt_llm.evaluation.screening import Screen, Screening
from pyswarmopt_llm.evaluation.successive_sizes import DevSizes
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.jobs.search.policy import Effort
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.metrics.combine import harmonic
from pyswarmopt_llm.reporting.follow import Follower
from pyswarmopt_llm.reporting.terminal.state import SearchState
from pyswarmopt_llm.tasks import Item


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyswarmopt_llm.evaluation.run_directory.os.fsync", lambda descriptor: None)


# The rule

_probability = st.sampled_from([0.0, 0.04, 0.05, 0.3, 0.5, 0.6, 0.95, 0.96, 1.0])
_value = st.sampled_from([0.0, 1.0, math.nan])
_item = st.tuples(_probability, _value)


@given(st.lists(_item, min_size=1, max_size=6), st.lists(_item, min_size=1, max_size=6), st.floats(0, 1))
@settings(deadline=None, max_examples=100)
def test_what_is_told_counts_sure_items_and_waits_for_doubtful_ones(
    one: list[tuple[float, float]], two: list[tuple[float, float]], best: float
) -> None:
    tasks = {"one": one, "two": two}
    values = {name: np.array([v for _, v in task]) for name, task in tasks.items()}
    screen = Screen({name: np.array([p for p, _ in task]) for name, task in tasks.items()}, 0.05, best)
    told = screen(Evaluation({name: (0.0, 1.0) for name in tasks}, values, harmonic))
    doubtful = {name: {i for i, (p, _) in enumerate(task) if 0.05 <= p <= 0.95} for name, task in tasks.items()}
    assert screen.first == doubtful
    filled = [[float(p > 0.5) if math.isnan(v) else v for p, v in task] for task in (one, two)]
    value = harmonic([score_of(task) for task in filled]).value
    waits = any(math.isnan(tasks[name][i][1]) for name in tasks for i in doubtful[name])
    assert told == (None if waits or value > best else value)


def test_the_kernel_is_chosen_anew_with_half_as_many_margins_again() -> None:
    """After 4 candidates at 6, 9, 14, 21: there it foretells what one that was never asked before foretells."""
    rng = np.random.default_rng(0)
    positions = torch.from_numpy(rng.dirichlet(np.ones(3), 24))
    slopes = rng.normal(size=(5, 2, 3))
    margins = np.sin(3 * slopes @ positions.numpy().T).transpose(2, 0, 1)
    often, anew = Screening(0.05, {"t": 5}), set()
    for n, (position, own) in enumerate(zip(positions, margins, strict=True), start=1):
        row = {"key": str(n), "value": 0.5, "margins": {"t": own.tolist()}}
        often.learn(position, row)
        if n < 4:
            continue
        once = Screening(0.05, {"t": 5})
        for k in range(n):
            once.learn(positions[k], {"key": str(k), "value": 0.5, "margins": {"t": margins[k].tolist()}})
        ours, fresh = (one.screens(positions[:3] + 0.1)[0].right["t"] for one in (often, once))
        if np.array_equal(ours, fresh):
            anew.add(n)
    assert anew == {4, 6, 9, 14, 21}


# Whole searches on items that are smooth functions of the coefficients


class Smooth:
    """Item i has four options, whose scores are quadratic in the position; asked whole or item by item."""

    lowest, highest = 0.0, 1.0

    def __init__(self, n: int, dim: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.n, self.asked = n, 0
        self._flat, self._slopes = rng.normal(size=(n, 4)), rng.normal(size=(n, 4, dim))
        self._curves = 0.5 * rng.normal(size=(n, 4, dim, dim))

    def ask_some(self, engine: Any, indices: Sequence[int]) -> list[ItemAnswer]:
        self.asked += len(indices)
        x = engine.x.numpy()
        scores = self._flat + self._slopes @ x + self._curves @ x @ x
        margins = (scores[:, :1] - scores[:, 1:])[list(indices)]
        return [ItemAnswer(float((m > 0).all()), tuple(m.tolist())) for m in margins]

    def __call__(self, engine: Any) -> Score:
        return score_of([answer.value for answer in self.ask_some(engine, range(self.n))])

    def parts(self, engine: Any) -> list[Part[float]]:
        everything = tuple(range(self.n))
        return [Part(everything, lambda: [answer.value for answer in self.ask_some(engine, everything)])]

    def truth(self, x: torch.Tensor) -> float:
        """The value at a position, without counting it."""
        asked, value = self.asked, self(type("At", (), {"x": x})).value
        self.asked = asked
        return value


def config_of(seed: int, **more: Any) -> SearchConfig:
    return SearchConfig("b", ("x", "y"), ("t",), "r", seed=seed, max_iter=9, early_stop="off", **more)


def fly(run: Path, config: SearchConfig) -> tuple[pso.Swarm, Objective, Smooth]:
    """A search as `pyswarmopt_llm.jobs.search.loop` runs it, on 60 smooth items and four experts."""
    utility = Smooth(60, 4, config.seed)
    opened = Run.open(run) if run.exists() else Run.create(run, about_run(config, {}))
    objective = Objective(opened, Hull(4), Position(), {"t": utility})  # type: ignore[arg-type]
    recipe = pso.recipes.model_swarms(max_iter=config.max_iter, patience=20, restart_patience=3)
    vertices = torch.eye(4, dtype=torch.float64)
    swarm = pso.Swarm(positions=vertices, population=10, recipe=recipe, maximize=True, seed=config.seed)
    effort, iteration = Effort(config, {"t": 60}), 0
    in_full = effort.in_full(vertices)
    objective.round(list(vertices), 0, in_full)
    effort.learn(objective, vertices, in_full)
    while not swarm.stop():
        effort.begin(swarm, objective, iteration)
        positions = swarm.ask()
        rules = effort.rules(swarm, objective, positions, iteration)
        values = objective.round(list(positions), iteration, rules)
        effort.learn(objective, positions, rules)
        swarm.tell(positions, values, [own is None for own in rules])
        iteration += 1
    effort.end(swarm, objective, iteration - 1)
    return swarm, objective, utility


def test_a_screened_search_asks_a_third_and_ends_as_well(tmp_path: Path) -> None:
    gains, screened_starts = [], 0
    for seed in range(4):
        plain, _, all_items = fly(tmp_path / f"plain{seed}", config_of(seed))
        swarm, objective, utility = fly(tmp_path / f"screened{seed}", config_of(seed, screen=0.05))
        assert swarm.best.value == utility.truth(swarm.best.x)  # asked in full
        assert objective.item_evaluations == utility.asked < all_items.asked / 3
        gains.append(swarm.best.value - plain.best.value)
        told = [row["value"] for row in objective.rows if "bounds" in row]
        truth = [utility.truth(torch.tensor(row["coefficients"])) for row in objective.rows if "bounds" in row]
        assert len(told) > 50 and np.abs(np.subtract(told, truth)).mean() < 0.01
        start = [row for row in objective.rows if row["iteration"] == 0]
        assert all("bounds" not in row for row in start[:4])  # the experts
        screened_starts += sum("bounds" in row for row in start[4:])
        best = -math.inf  # whatever was the best of its time was asked in full
        for row in objective.rows:
            assert row["value"] <= best or "bounds" not in row
            best = max(best, row["value"])
    assert abs(np.mean(gains)) < 0.01 and screened_starts > 0


def test_larger_parts_hold_smaller_ones_and_what_ends_is_scored_on_all(tmp_path: Path) -> None:
    swarm, objective, utility = fly(tmp_path / "r", config_of(2, dev_sizes="15,30"))
    asked = {k: [row["items"]["t"] for row in objective.rows if row["iteration"] == k] for k in range(10)}
    sizes = [15] * 4 + [30] * 3 + [60] * 3
    for k, rows in asked.items():
        counts = {60 - items.count("?") for items in rows}
        assert counts == ({sizes[k]} if k else {15, 60})  # the experts are asked in full, for the report
    drawn = {frozenset(i for i, v in enumerate(items) if v != "?") for rows in asked.values() for items in rows}
    assert sorted(map(len, drawn)) == [15, 30, 60]
    small, middle, _ = sorted(drawn, key=len)
    assert small < middle
    for x, value in zip(swarm.personal_bests, swarm.personal_best_values, strict=True):
        assert value == utility.truth(x)
    assert objective.item_evaluations == utility.asked


def test_the_experts_count_as_all_others_do_while_a_part_is_asked(tmp_path: Path) -> None:
    config = config_of(4, dev_sizes="20")
    config = SearchConfig(**{**vars(config), "max_iter": 1})
    swarm, objective, utility = fly(tmp_path / "r", config)
    part = next(row for row in objective.rows if "bounds" in row)["items"]["t"]
    kept = [i for i, v in enumerate(part) if v != "?"]
    effort = Effort(config, {"t": 60})
    vertices = torch.eye(4, dtype=torch.float64)
    told = objective.round(list(vertices), 5, effort.rules(swarm, objective, vertices, 0))
    for x, value in zip(vertices, told, strict=True):
        answers = utility.ask_some(type("At", (), {"x": x}), kept)
        assert value == np.mean([answer.value for answer in answers]) and len(kept) == 20


def test_a_search_that_ends_early_scores_its_bests_on_all_items(tmp_path: Path) -> None:
    config = config_of(1, dev_sizes="10")
    opened = Run.create(tmp_path / "r", about_run(config, {}))
    utility = Smooth(60, 4, 1)
    objective = Objective(opened, Hull(4), Position(), {"t": utility})  # type: ignore[arg-type]
    vertices = torch.eye(4, dtype=torch.float64)
    swarm, effort = pso.Swarm(positions=vertices, maximize=True, seed=0), Effort(config, {"t": 60})
    positions = swarm.ask()
    swarm.tell(positions, objective.round(list(positions), 0, effort.rules(swarm, objective, positions, 0)))
    assert objective.item_evaluations == 40
    effort.end(swarm, objective, 0)
    assert objective.item_evaluations == 240
    assert swarm.best.value == max(utility.truth(x) for x in vertices)


@pytest.mark.parametrize("more", [{"screen": 0.05}, {"screen": 0.2, "drop_n": 0.3}, {"dev_sizes": "15,30"}])
def test_a_search_cut_off_anywhere_replays_to_the_same_end(more: dict[str, Any], tmp_path: Path) -> None:
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


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4, unique=True), st.integers(1, 30), st.integers(1, 12))
def test_stages_rise_to_all_items(sizes: list[int], n: int, rounds: int) -> None:
    stages = DevSizes(sorted(sizes), {"a": n, "b": 2 * n}, rounds, seed=1)
    before: dict[str, frozenset[int]] = {"a": frozenset(), "b": frozenset()}
    for k in range(rounds):
        now = stages.at(k).first
        assert all(before[name] <= now[name] for name in now)
        assert stages.grows_at(k) == (k > 0 and before != now)
        before = dict(now)
    assert stages.last.first == {"a": frozenset(range(n)), "b": frozenset(range(2 * n))}
    assert rounds <= len(sizes) or before == stages.last.first


# On a language model


class Hash:
    """An engine whose likelihoods follow from the texts alone, whatever else is asked."""

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [-1.0 - sum(map(ord, context + text)) % 97 / 10 for context, text in pairs]


@pytest.mark.parametrize("scoring", ["letter", "likelihood"])
def test_some_items_answer_as_they_do_among_all(scoring: Any) -> None:
    items = [Item(q["id"], q["question"], q["choices"], q["answer"]) for q in questions(12, 3)]
    utility, engine = Accuracy(items, scoring, lambda text: text), Hash()
    whole, wanted = utility(engine).per_item, [7, 2, 11]  # type: ignore[arg-type]
    answers = utility.ask_some(engine, wanted)  # type: ignore[arg-type]
    assert [answer.value for answer in answers] == [whole[i] for i in wanted]
    scores = utility.option_scores(engine)  # type: ignore[arg-type]
    for i, answer in zip(wanted, answers, strict=True):
        right = scores[i].pop(items[i].answer)
        assert answer.margins == tuple(right - other for other in scores[i].values())
        assert (answer.value == 1.0) == (min(answer.margins) > 0) or 0.0 in answer.margins


@pytest.fixture(scope="module")
def experts(tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return louder(tiny_experts, tmp_path_factory.mktemp("loud"))


@pytest.mark.parametrize(
    ("more", "cut"), [({"screen": 0.1}, 0.67), ({"screen": 0.1}, 0.97), ({"dev_sizes": "6,12"}, 0.67)]
)
def test_a_real_search_with_fewer_items_resumes_and_reports(
    more: dict[str, Any],
    cut: float,
    tiny_base: Path,
    experts: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    task = write_task(tmp_path / "words.json", questions(24, 1), questions(4, 2))
    found = search(small(tiny_base, experts, [task], "run", particles=8, max_iter=5, **more))
    rows = history(found.run)
    evaluated = len({row["key"] for row in rows})
    assert sum(row["n"] for row in rows) == found.result["item_evaluations"] < 24 * evaluated * 0.9
    best = max((row for row in rows if "bounds" not in row), key=lambda row: row["value"])
    assert found.result["best_dev"] == best["value"] == best["items"]["words"].count("1") / 24
    assert found.result["items_saved"] > 0.1
    assert all(("margins" in row) == ("screen" in more) and is_row({**row, "seconds": 1.0}) for row in rows)
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
        "--screen 0.5": "--screen 0.5: a probability; give a number above 0 and below 0.5",
        "--screen 0.1 --racing 0.1": "--screen: says itself which items are asked; leave out --racing",
        "--screen 0.1 --early-stop bound": "leave out --early-stop bound",
        "--screen 0.1 --dev-sizes 5": "--dev-sizes: says itself which items are asked; leave out --screen",
        "--screen 0.1 --async": "leave out --async",
        "--screen 0.1 --exact-flat": "--screen: learns from at most 64 coefficients, here a candidate has",
        "--screen 0.1 --scoring generate": "--screen: learns from the scores of options, words is answered by writing",
        "--screen 0.1 --metric mc2": "--screen: goes with accuracy, words is scored by mc2",
        "--screen 0.1 --space token": "--screen: --space token asks all items at once",
        "--dev-sizes 5,x": "--dev-sizes 5,x: give rising numbers of items, as in 50,100",
        "--dev-sizes 5,5": "--dev-sizes 5,5: give rising numbers",
        "--dev-sizes 5 --optimizer nevergrad:OnePlusOne": "cannot score its points again",
        "--dev-sizes 5 --budget-items 100": "--dev-sizes: its stages are shares of --max-iter",
    }.items():
        code, _, err = swarm_llm(capsys, *words, *bad.split())
        assert code == 2 and message in err and err.count("\n") == 1, (bad, err)
    assert not (tmp_path / "r").exists()
    code, out, _ = swarm_llm(capsys, *words, "--screen", "0.1", "--drop-n", "0.2", "--json")
    assert code == 0 and json.loads(out)["best_dev"] >= json.loads(out)["best_single_dev"]


def test_damaged_margins_are_no_row() -> None:
    row = {"phase": "search", "iteration": 0, "particle": 0, "key": "k", "coefficients": [1.0], "value": 0.5, "n": 1}
    row |= {"seconds": 0.1, "items": {"t": "1?"}}
    assert is_row(row | {"margins": {"t": [[0.5, -1.0], None]}})
    for bad in ([], {"t": 1}, {"t": [0.5]}, {"t": [["x"]]}):
        assert not is_row(row | {"margins": bad})


# What a screened search hands over


def _rows(*candidates: tuple[float, list[list[float] | None]]) -> Screening:
    screening = Screening(0.05, {"t": len(candidates[0][1])})
    for i, (value, margins) in enumerate(candidates):
        row: dict[str, Any] = {"key": str(i), "margins": {"t": margins}, "value": value}
        screening.learn(torch.tensor([float(i)]), row if None not in margins else row | {"bounds": [0, 1]})
    return screening


def test_of_those_about_as_good_as_the_best_the_widest_margins_win() -> None:
    """Four items; a standard error at .75 is .217, so .54 and more is about as good."""
    narrow = (0.75, [[0.1, 9.0], [0.1, 0.3], [0.1, 0.2], [-0.1, 0.5]])
    wide = (0.75, [[2.0, 9.0], [3.0, 4.0], [2.0, 2.5], [-0.1, 0.5]])
    widest_but_half = (0.5, [[9.0, 9.0], [9.0, 9.0], [-0.1, 9.0], [-0.1, 9.0]])
    not_asked_in_full = (0.75, [[9.0, 9.0], [9.0, 9.0], [9.0, 9.0], None])
    screening = _rows(narrow, wide, widest_but_half, not_asked_in_full)
    assert screening.clearest() == torch.tensor([1.0], dtype=torch.float64)
    lower = _rows(narrow, (0.55, wide[1]))  # as if two tasks had been combined
    assert lower.clearest() == 1 and lower.clearest(floor=0.6) == 0
    assert _rows(not_asked_in_full).clearest() is None


def test_the_widest_margins_by_a_literal_transcription() -> None:
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(12, 9, 3))
    values = (margins.min(2) > 0).mean(1)
    screening = _rows(*((float(v), m.tolist()) for v, m in zip(values, margins, strict=True)))
    best = values.max()
    spread = margins.min(2).std()
    wide = {}
    for i in range(12):
        if values[i] >= best - math.sqrt(best * (1 - best) / 9):
            wide[i] = sum(1 / (1 + math.exp(-min(m) / (0.4 * spread))) for m in margins[i]) / 9
    chosen = screening.clearest()
    assert chosen is not None and int(chosen) == max(wide, key=lambda i: wide[i])


def test_what_is_promised_is_where_margins_are_widest() -> None:
    """Three items whose margins are paraboloids with known tops: the best place by a fine grid."""
    tops = np.array([[0.2, 0.6], [0.5, 0.4], [0.4, 0.8]])
    heights = np.array([0.1, 0.3, 0.2])

    def margins(x: np.ndarray) -> np.ndarray:
        """(N, 3) of (N, 2)."""
        return heights - ((x[:, None] - tops) ** 2).sum(2)

    x = np.random.default_rng(0).uniform(0, 1, (40, 2))
    screening = Screening(0.05, {"t": 3})
    assert screening.promising(0) is None
    for i, row in enumerate(margins(x)):
        told = {"key": str(i), "margins": {"t": [[m] for m in row]}, "value": float((row > 0).mean())}
        screening.learn(torch.from_numpy(x[i]), told)
    soft = 0.4 * margins(x).std()
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 201)] * 2), axis=-1).reshape(-1, 2)
    width = (1 / (1 + np.exp(-margins(grid) / soft))).mean(1)
    for seed in range(3):
        found = screening.promising(seed)
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
    watching = SearchState()
    for event in Follower(tmp_path / "free").news():
        watching.add(event)
    for state in (listening, watching):  # three iterations, and nothing of a fourth one
        assert (state.iteration, state.completed, state.proposed) == (3, 3, len(promised))
        assert ("max_iter", 3, 3) in state.stops
    page = (tmp_path / "free" / "report.html").read_text()
    assert "iteration 3" in page and "iteration 4" not in page and "proposed by the item model" in page
    for budget in (200, 300):
        out = tmp_path / f"budget{budget}"
        result = search(small(tiny_base, experts, [task], out, max_iter=30, patience=30, budget_items=budget, **given))
        asked = [row["particle"] >= 8 for row in history(out) if row["phase"] == "search"]
        assert result.result["item_evaluations"] <= budget and any(asked)


def test_a_screened_search_hands_over_what_is_no_worse_than_the_best_expert(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    experts = louder(tiny_experts, tmp_path / "experts")
    task = write_task(tmp_path / "t.json", questions(20, 1), questions(10, 2))
    for seed in range(3):
        config = small(
            tiny_base, experts, [task], tmp_path / f"{seed}", screen=0.05, particles=8, seed=seed, space="delta"
        )
        result = search(config).result
        values = [row["value"] for row in history(tmp_path / f"{seed}") if row["phase"] == "search"]
        error = math.sqrt(max(values) * (1 - max(values)) / 20)
        assert result["best_single_dev"] <= result["best_dev"] <= max(values)
        assert result["best_dev"] >= max(values) - error - 1e-9
