"""A front of several scores: proposals, the choice of a point, what is written and resumed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from search_helpers import Json, ends_as, files, louder, small, stopped, write_task

from pyswarmopt.driver.multi.pareto import hypervolume
from pyswarmopt_llm.api import choose as choose_point
from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run import directory
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.run.result import Model, Outcome, Scores
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.metrics.combine import find_combine
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.scores.tasks import Item, Task
from pyswarmopt_llm.searching.decide import make_plan
from pyswarmopt_llm.searching.front import FrontProcess, FrontProposer, ahead, choose, free_boxes
from pyswarmopt_llm.searching.points import different, spread
from pyswarmopt_llm.searching.prepare import Contestant
from pyswarmopt_llm.searching.scorer import position_key
from pyswarmopt_llm.searching.surrogate import Candidate
from pyswarmopt_llm.tools.export import export_model
from pyswarmopt_llm.use.evaluate import evaluate_model


@pytest.mark.parametrize("scores", [2, 3])
def test_the_free_boxes_are_what_a_point_would_add(scores: int) -> None:
    """For points without a spread, the gain in the core's hypervolume; else its mean over draws."""
    rng = np.random.default_rng(scores)
    front, corner = rng.random((6, scores)), np.full(scores, 1.1)
    ideal = -0.1 * np.arange(1, scores + 1)
    lower, upper = free_boxes(front, corner, ideal)
    before = hypervolume(front, corner)

    def added(point: Any) -> float:
        return hypervolume(np.vstack([front, point]), corner) - before

    for point in np.maximum(rng.random((30, scores)) * 1.7 - 0.4, ideal):
        width = np.maximum(upper - np.maximum(lower, point), 0.0)
        assert width.prod(axis=1).sum() == pytest.approx(added(point), abs=1e-12)
    mean, spread = np.full(scores, 0.4), np.full(scores, 0.2)
    lower, upper = free_boxes(front, corner, np.full(scores, -1e6))
    sides = [ahead(ends, mean[None, None], spread[None, None]) for ends in (upper, lower)]
    expected = float((sides[0] - sides[1]).prod(axis=2).sum())
    drawn = [added(point) for point in rng.normal(mean, spread, (500, scores))]
    error = np.std(drawn) / len(drawn) ** 0.5
    assert expected == pytest.approx(np.mean(drawn), abs=4 * error)
    assert expected > 5 * error


def candidates(count: int) -> list[Candidate]:
    """Two scores that are best at 0.2 and at 0.8."""
    found = []
    for x in np.linspace(0, 1, count):
        position = np.array([x])
        parts = [
            Candidate(position, v, 0.0, (v, v / 2)) for v in (-((x - 0.2) ** 2), -((x - 0.8) ** 2))
        ]
        found.append(Candidate(position, parts[0].value, parts=parts))
    return found


def test_proposals_lie_between_the_best_of_each_score() -> None:
    model = FrontProcess(candidates(6), [math.inf, math.inf])
    points = np.linspace(-0.5, 1.5, 201)[:, None]
    gains = model.gain(points)
    assert 0.2 < points[gains.argmax(), 0] < 0.8
    assert gains.max() > 10 * max(model.gain(np.array([[-0.5], [1.5]])))


def test_a_believed_point_adds_nothing_again() -> None:
    model = FrontProcess(candidates(6), [math.inf, 0.0])
    points = np.linspace(0.2, 0.8, 121)[:, None]
    best = points[model.gain(points).argmax()]
    before = model.gain(best[None])[0]
    model.believe(best)
    assert model.gain(best[None])[0] < 0.05 * before


def test_nothing_is_gained_beyond_what_a_score_can_be() -> None:
    seen = candidates(6)
    points = np.linspace(-0.5, 1.5, 201)[:, None]
    free, limited = FrontProcess(seen, [math.inf] * 2), FrontProcess(seen, [0.0, 0.0])
    assert (limited.gain(points) <= free.gain(points) + 1e-12).all()
    assert (limited.gain(points) < 0.9 * free.gain(points)).any()
    assert (limited.gain(points) >= 0).all()


def test_nothing_is_gained_where_the_whole_front_is_better() -> None:
    """By more than a tenth of its range, however bad another candidate is; by hand: the front's range
    counts as at least a quarter of that of all, (3.6, 9.0).
    """
    found = []
    for x in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -3.0):
        position = np.array([x])
        parts = [Candidate(position, v, 0.0, (v, v / 2)) for v in (x, -x * x)]
        found.append(Candidate(position, x, parts=parts))
    model = FrontProcess(found, [math.inf, math.inf])
    corner = model._best - model._upper.max(axis=0) * model._unit
    assert corner.tolist() == pytest.approx([0.1 - 0.09, -0.36 - 0.225], abs=0.02)


def row(position: torch.Tensor, **scores: list[float]) -> Row:
    tasks = {name: score_of(values) for name, values in scores.items()}
    first = next(iter(tasks.values()))
    key = position_key(position)
    return Row("search", 0, 0, key, position.tolist(), first.value, 4, 0.0, tasks)


def test_an_expert_that_is_bad_by_one_score_only_is_kept() -> None:
    starts = torch.cat([torch.eye(3), torch.zeros(1, 3), torch.ones(1, 3) / 3]).double()
    good, bad = [1.0] * 19 + [0.0], [0.0] * 19 + [1.0]
    kinds = [(good, good), (bad, good), (bad, bad), (good, good), (good, good)]
    proposer = FrontProposer("scores", starts, "xyz", ("a", "b"), find_combine("first", 2), 9)
    for ticket, (a, b) in zip(proposer.ask(9), kinds, strict=True):
        proposer.tell(ticket, row(ticket.x, a=a, b=b))
    proposals = []
    for _ in range(4):
        [ticket] = proposer.ask(9)
        proposer.tell(ticket, row(ticket.x, a=good, b=bad))
        proposals.append(ticket.x.tolist())
    assert proposer.left_out == [2]
    assert proposals[0] == [1, 1, 0]
    assert {third for _, _, third in proposals} == {0}


NAMES = ("right", "tokens", "drift")
POINTS = np.array([[0.9, -60.0, -0.5], [0.7, -40.0, -0.4], [0.5, -20.0, -0.1], [0.1, -5.0, 0.0]])
ENDS = np.array([[0.1, -50.0, 0.0], [0.6, -45.0, -0.3]])  # base and best expert


@pytest.mark.parametrize(
    ("floors", "number", "says"),
    [
        ({}, 2, "tokens at most 50 and drift at most 0.3, no worse than base or best expert"),
        (
            {"drift": -0.4},
            1,
            "drift at most 0.4, as given; tokens no worse than base or best expert",
        ),
        ({"drift": -1.0, "tokens": -60.0}, 0, "the best right with tokens at most 60 and drift at"),
        ({"right": 0.95}, 1, "no point has right at least 0.95 and tokens at most 50 and drift"),
        ({"right": 0.8, "tokens": -10.0}, 2, "at most 0.3; the nearest misses right by 0.3"),
    ],
)
def test_the_point_that_is_chosen(floors: Json, number: int, says: str) -> None:
    found = choose(NAMES, POINTS, ENDS, floors, NAMES[1:])
    assert found.number == number
    assert says in found.rule


SCORES = (
    "def rich(reply):\n    return len(set(reply))\n\n\ndef lean(reply):\n    return -len(reply)\n"
)


@pytest.fixture(scope="module")
def setting(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., SearchConfig]:
    """A search for a front of three scores of written replies."""
    folder = tmp_path_factory.mktemp("front")
    (folder / "mine.py").write_text(SCORES)
    items: list[Json] = [{"question": f"Tell {k}", "answer": "7"} for k in range(30)]
    task = write_task(folder / "a.json", items[:6], items[6:])
    experts = louder(tiny_experts, folder)
    score = f"{folder}/mine.py"

    def config(name: str = "run", **more: Any) -> SearchConfig:
        how: Json = {"scoring": "auto", "dtype": "float32", "max_iter": None, "particles": None}
        how |= {"max_new_tokens": 5, "proposals": 5, "front": True, "method": "scores"}
        how |= {"metrics": (f"{score}:rich", f"{score}:lean", "tokens")}
        return small(tiny_base, experts, [task], folder / name, **how | more)

    return config


@pytest.fixture(scope="module")
def whole(setting: Callable[..., SearchConfig]) -> Path:
    return search(setting()).run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def test_a_points_scores_are_those_of_its_files(
    run: Path, setting: Callable[..., SearchConfig]
) -> None:
    config = setting()
    result = json.loads((run / "result.json").read_text())
    front = result["front"]
    assert [point["folder"] for point in front] == [f"front/{k + 1}" for k in range(len(front))]
    assert 2 <= len(front) <= 9
    values = [point["dev"]["rich"]["value"] for point in front]
    assert values == sorted(values, reverse=True)
    assert result["chosen"] and result["rule"].startswith("the best rich with lean at least")
    last = front[-1]
    asked: Json = {"dtype": "float32", "threads": 1, "max_new_tokens": 5}
    for metric, name, sign in zip(
        config.metrics, ("rich", "lean", "tokens"), (1, 1, -1), strict=True
    ):
        found = evaluate_model(
            config.base, str(run / last["folder"]), config.tasks[0], metric=metric, **asked
        )
        assert sign * found.score.value == last["test"][name]["value"]
    assert (run / last["folder"] / "README.md").is_file()
    chosen = run / front[result["chosen"] - 1]["folder"]
    cards = {"README.md": b""}
    assert files(run / "best") | cards == files(chosen) | cards
    assert "The front" in (run / "report.html").read_text()


def test_a_model_is_scored_on_test_once_under_whatever_name(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    models = result["models"]
    assert models["knob/0"] == models["base"] and models["knob/1"] == models["best_single"]
    rows = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    tested = {row["who"] for row in rows if row["what"] == "model test"}
    assert {"base", "best_single", "knob 0.5"} <= tested
    assert not {"knob 0", "knob 1"} & tested


def test_an_example_with_three_scores_counts_once(setting: Callable[..., SearchConfig]) -> None:
    plan = make_plan(setting())
    assert plan.examples == (6, 24)
    assert "24 test examples can only show" in plan.why["test"]


def test_an_interrupted_search_ends_as_the_whole_one(
    setting: Callable[..., SearchConfig], run: Path
) -> None:
    broken = stopped(setting("broken"), 6)
    resume(broken, allowed=setting().metrics[:2])
    ends_as(broken, run)
    mine, theirs = files(broken / "front"), files(run / "front")
    assert mine.keys() == theirs.keys()
    assert all(mine[name] == theirs[name] for name in mine if not name.endswith(".md"))


def test_a_damaged_point_is_not_used_and_written_again(
    run: Path, setting: Callable[..., SearchConfig]
) -> None:
    result = json.loads((run / "result.json").read_text())
    other = len(result["front"]) if result["chosen"] == 1 else 1
    point = run / "front" / str(other)
    whole = files(run / "front")
    weights = point / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    told = f"front/{other} \\(adapter_model.safetensors\\) changed since .* remove .*front/{other}, and"
    with pytest.raises(UserError, match=told):
        choose_point(run, other)
    with pytest.raises(UserError, match=told):
        evaluate_model(setting().base, str(point), setting().tasks[0], metric="tokens")
    with pytest.raises(UserError, match=told):
        export_model(str(point), str(run / "out"), "peft", base=setting().base)
    with pytest.raises(UserError, match=told):
        resume(run)
    evaluate_model("", None, "", run=str(run), metric="tokens")
    shutil.rmtree(point)
    resume(run, allowed=setting().metrics[:2])
    assert files(run / "front") == whole
    choose_point(run, other)


def test_another_point_becomes_the_result(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    other = len(result["front"]) if result["chosen"] == 1 else 1
    found = choose_point(run, other)
    front = result["front"][other - 1]
    assert found.result["chosen"] == other
    assert found.result["best_test"] == front["test"]["rich"]["value"]
    assert found.result["coefficients"] == front["coefficients"]
    assert files(run / "best") == files(run / front["folder"])
    assert json.loads((run / "result.json").read_text()) == json.loads(json.dumps(found.result))
    assert resume(run).result == found.result
    # the digests of the new files are stored, so that the result can be used
    evaluate_model("", None, "", run=str(run), metric="tokens")
    (run / "best.new").mkdir()  # left by an interrupted call
    assert choose_point(run, result["chosen"]).result["coefficients"] == result["coefficients"]
    with pytest.raises(UserError, match="has no point 17; choose one of 1 to"):
        choose_point(run, 17)


def test_half_a_position_is_half_an_expert_only_where_changes_are_linear(
    setting: Callable[..., SearchConfig],
) -> None:
    """Half of both factors is a quarter of their product."""
    assert make_plan(setting()).knob
    found = search(setting("factor", space="factor", proposals=2))
    assert not [name for name in found.result["models"] if name.startswith("knob/")]
    assert found.result["chosen"]
    assert "at strength" not in (found.run / "report.html").read_text()


def test_a_choice_that_is_killed_leaves_an_unfinished_run(
    run: Path, setting: Callable[..., SearchConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never one point's files with another one's scores, whatever of the two was written."""

    def killed(file: Path, content: Any) -> None:
        raise KeyboardInterrupt

    front = len(json.loads((run / "result.json").read_text())["front"])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(directory, "write_json", killed)
        choose_point(run, front)
    with pytest.raises(UserError, match="is not finished; continue it with"):
        choose_point(run, front)
    resume(run, allowed=setting().metrics[:2])
    ends_as(run, Path(setting().out))


def test_a_run_without_a_front_has_no_points(setting: Callable[..., SearchConfig]) -> None:
    run = search(setting("plain", front=False, metrics=("f1",), proposals=0)).run
    with pytest.raises(UserError, match="has no front to choose from"):
        choose_point(run, 1)


def test_several_tasks_have_a_front_and_a_constant_score_is_told(
    setting: Callable[..., SearchConfig], tmp_path: Path
) -> None:
    config = setting("several")
    other = tmp_path / "b.json"
    shutil.copy(config.tasks[0], other)
    text = other.read_text().replace("Tell", "Say")
    other.write_text(text)
    (tmp_path / "mine.py").write_text(SCORES + "\n\ndef same(reply):\n    return 1\n")
    metrics = (f"a={tmp_path}/mine.py:rich", f"b={tmp_path}/mine.py:same")
    tasks = (*config.tasks, str(other))
    found = search(replace(setting("several", metrics=metrics), tasks=tasks)).result
    assert [*found["front"][0]["test"]] == ["a", "b"]
    assert "b is the same for all candidates on dev, so it trades with nothing" in found["notes"]


def scores(*tasks: list[float]) -> Model:
    """A model on test, with these items of each score."""
    shown = {f"s{k}": Outcome(float(np.mean(items)), items) for k, items in enumerate(tasks)}
    value = Scores(shown["s0"].value, shown)
    return Model({}, value, value)


@pytest.fixture
def objectives() -> Objectives:
    metrics = {name: find_metric("f1") for name in ("s0", "s1")}
    tasks = {name: Task(name, (Item("1", "?", None, "x"),), ()) for name in metrics}
    return Objectives(tasks, metrics, {}, find_combine("first", 2), "first")


def test_points_that_no_score_tells_apart_are_one(objectives: Objectives) -> None:
    """Of level ones the result stays, else the first."""
    low, middle, high = [0.0] * 20, [1.0, 0.0] * 10, [1.0] * 20
    near = [1.0, *middle[1:18], 1.0, 1.0]
    models = [scores(high, low), scores(near, middle), scores(middle, middle), scores(low, high)]
    assert different(models, 0, objectives) == [0, 1, 3]
    assert different(models, 2, objectives) == [0, 2, 3]
    assert different([scores(low, high)] * 3, 1, objectives) == [1]


class Known:
    """A scorer that knows the positions' scores."""

    def score(self, positions: list[torch.Tensor], iteration: int) -> list[Row]:
        return [
            row(one, **{name: [float(x)] * 2 for name, x in zip("abcde", one, strict=False)})
            for one in positions
        ]


def test_nine_spread_points_with_ends_and_result() -> None:
    places = [0.0, 0.01, 0.02, *(k / 10 for k in range(1, 11))]
    front = [torch.tensor([x, 1 - x], dtype=torch.float64) for x in places]
    found: Any = SimpleNamespace(front=front, scorer=Known(), chosen=Contestant(front[1]))
    kept = [round(float(one[0]), 2) for one in spread(found, ("a", "b"))]
    assert len(kept) == 9
    assert {0.0, 0.01, 1.0} <= {*kept} and 0.02 not in kept


def test_the_chosen_point_stays_where_every_point_is_an_end() -> None:
    """Of five scores, ten points have the best or the worst of one."""
    front = [*torch.eye(5, dtype=torch.float64), *-torch.eye(5, dtype=torch.float64)]
    for chosen in front:
        found: Any = SimpleNamespace(front=front, scorer=Known(), chosen=Contestant(chosen))
        kept = spread(found, tuple("abcde"))
        assert len(kept) == 9
        assert any(map(chosen.equal, kept))
