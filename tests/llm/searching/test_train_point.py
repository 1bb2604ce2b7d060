"""Training of a front's chosen point: its scores, whether it is kept, and what is left of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from search_helpers import Json, ends_as, files, louder, questions, small, stopped, write_task

from pyswarmopt_llm.api import choose, resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.decide import make_plan
from pyswarmopt_llm.searching.written.reply_log import GREEDY
from pyswarmopt_llm.use.evaluate import evaluate_model

SCORES = "def rich(reply):\n    return len(set(reply))\n"
HOW: Json = {"dtype": "float32", "max_iter": None, "particles": None, "proposals": 2}
HOW |= {"front": True, "method": "scores", "train": "on"}


@pytest.fixture(scope="module")
def setting(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., SearchConfig]:
    """A search for a front of two labelled tasks of 20 dev examples, which trains."""
    folder = tmp_path_factory.mktemp("trained")
    dev, test = questions(20, 1), questions(12, 2)
    for item in (*dev[::2], *test):
        item["choices"][item["answer"]] = "zebra"  # can be learnt, unlike the others
    tasks = [write_task(folder / "a.json", dev, test)]
    tasks.append(write_task(folder / "b.json", questions(20, 3), questions(12, 4)))
    experts = louder(tiny_experts, folder)

    def config(name: str, **more: Any) -> SearchConfig:
        return small(tiny_base, experts, tasks, folder / name, **HOW | more)

    return config


@pytest.fixture(scope="module")
def whole(setting: Callable[..., SearchConfig]) -> Path:
    """A run whose trained point is within the limits."""
    return search(setting("whole", floor=("b=0",))).run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def stored(run: Path) -> Json:
    found: Json = json.loads((run / "result.json").read_text())
    return found


def test_the_trained_point_is_the_result_with_scores_of_its_own(
    run: Path, setting: Callable[..., SearchConfig]
) -> None:
    result = stored(run)
    models = result["models"]
    assert result["trained"] and models["best"] == models["trained"]
    assert result["rule"].endswith("; fine-tuned within the same limits")
    point = models[f"front/{result['chosen']}"]
    assert models["mixture"] == point and not point["trained"]
    assert models["trained"]["weights"] == point["weights"]
    assert files(run / "best").keys() == files(run / result["front"][0]["folder"]).keys()
    config = setting("whole")
    asked: Json = {"dtype": "float32", "threads": 1, "scoring": "likelihood"}
    best = str(run / "best")
    for task in config.tasks:
        score = evaluate_model(config.base, best, task, **asked).score.value
        assert score == models["best"]["test"]["tasks"][Path(task).stem]["value"]
    on_dev = evaluate_model(config.base, best, config.tasks[1], "dev", **asked).score.value
    assert on_dev == models["best"]["dev"]["tasks"]["b"]["value"]
    seen = evaluate_model(config.base, best, config.tasks[0], "dev", **asked).score.value
    assert seen > models["best"]["dev"]["tasks"]["a"]["value"]  # cross-fitted
    report = (run / "report.html").read_text()
    assert "Fine-tuning, a:" in report and "Fine-tuning, b:" in report
    assert f"{result['chosen']}, fine-tuned (result)" in report


def test_a_choice_brings_back_the_point_before_training(run: Path) -> None:
    number = stored(run)["chosen"]
    found = choose(run, number).result
    assert not found["trained"] and not {"mixture", "trained"} & found["models"].keys()
    point, best = files(run / "front" / str(number)), files(run / "best")
    assert {**best, "README.md": b""} == {**point, "README.md": b""}
    assert "Fine-tuning" not in (run / "report.html").read_text()


def test_a_trained_point_beyond_a_limit_is_not_the_result(
    setting: Callable[..., SearchConfig],
) -> None:
    run = search(setting("beyond", floor=("b=2",))).run
    result = stored(run)
    assert "; not fine-tuned, since b would be 0." in result["rule"]
    assert result["rule"].endswith(", not at least 2 on dev")
    models = result["models"]
    assert models["best"] == models["mixture"] and models["trained"]["trained"]
    point = files(run / "front" / str(result["chosen"]))
    assert {**files(run / "best"), "README.md": b""} == {**point, "README.md": b""}


def test_interrupted_training_ends_as_the_whole_one(
    run: Path, setting: Callable[..., SearchConfig]
) -> None:
    broken = stopped(setting("broken", floor=("b=0",)), 3, "fitting")
    resume(broken)
    ends_as(broken, run)


def test_two_workers_train_what_one_does(whole: Path, setting: Callable[..., SearchConfig]) -> None:
    other = search(setting("workers", floor=("b=0",), workers="2", batch=1)).run
    ends_as(other, whole)


def test_replies_are_trained_on_and_every_score_of_them_is_of_a_model_that_has_not_seen_it(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    items: list[Json] = [{"question": f"Tell {k}", "answer": "7"} for k in range(36)]
    task = write_task(tmp_path / "a.json", items[:30], items[30:])
    (tmp_path / "mine.py").write_text(SCORES)
    how = HOW | {"scoring": "auto", "max_new_tokens": 5}
    how |= {"metrics": (f"{tmp_path}/mine.py:rich", "tokens"), "floor": ("tokens=99",)}
    experts = louder(tiny_experts, tmp_path)
    run = search(small(tiny_base, experts, [task], tmp_path / "run", **how)).run
    result = stored(run)
    assert result["expert_iteration"]["rounds"] >= 1
    after = result["models"]["trained"]
    rows = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    greedy = [row for row in rows if row["what"] == f"replies {GREEDY}"]
    rounds = [row["replies"] for row in greedy if row["who"].startswith("round-")]
    means = [fmean(len({*text}) for text in texts) for texts in rounds]
    assert after["dev"]["tasks"]["rich"]["value"] == pytest.approx(max(means))
    assert after["dev"]["tasks"].keys() == after["test"]["tasks"].keys() == {"rich", "tokens"}
    said = "; fine-tuned within" if result["trained"] else "; not fine-tuned, since that lowers"
    assert said in result["rule"]


def test_what_cannot_be_trained_is_said_in_one_line(
    setting: Callable[..., SearchConfig], tmp_path: Path
) -> None:
    assert not make_plan(setting("plain", train="auto")).trains
    metrics = ("a=drift", "b=accuracy")
    with pytest.raises(UserError, match="train on needs questions whose options are scored"):
        make_plan(setting("drift", metrics=metrics))
    with pytest.raises(UserError, match="shows one score, not a front"):
        make_plan(setting("curve", curve=True))
