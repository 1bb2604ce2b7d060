"""`swarm-llm analyse`: which experts carry a search's result, and which members a group's
decisions.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from search_helpers import (
    Json,
    MakeSearch,
    Shell,
    files,
    hand_over,
    keep_trained,
    questions,
    swarm_llm,
    write_task,
)

import pyswarmopt_groups.run as group_run
from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.searching.search import search
from pyswarmopt_llm.searching.use.evaluate import evaluate_model

NAMES = ("ant", "bee", "cat")


@pytest.fixture
def setting(words_search: MakeSearch) -> SearchConfig:
    return words_search(24, 20, space="factor")


def left_out(shell: Shell, run: Path) -> Json:
    found: Json = shell.json("analyse", run)["leave_one_out"]
    return found


def averaged(experts: Sequence[str], weights: Mapping[str, float], out: Path) -> Path:
    """The adapter of the averaged factors, made by hand: expert -> weight."""
    tensors: dict[str, object] = {}
    for expert in experts:
        for key, value in safetensors.torch.load_file(
            Path(expert) / "adapter_model.safetensors"
        ).items():
            tensors[key] = tensors.get(key, 0) + weights[Path(expert).name] * value.float()
    shutil.copytree(experts[0], out)
    safetensors.torch.save_file(tensors, out / "adapter_model.safetensors")  # type: ignore[arg-type]
    return out


def test_each_score_is_that_of_an_adapter_averaged_by_hand_without_the_expert(
    setting: SearchConfig, tmp_path: Path, shell: Shell
) -> None:
    config, result = setting, search(setting).result
    journal = files(tmp_path / "run")["history.jsonl"]
    found = left_out(shell, tmp_path / "run")
    weights = result["coefficients"]
    assert found["all"] == {"words": {"dev": result["best_dev"], "test": result["best_test"]}}
    assert set(found["experts"]) == {name for name in NAMES if weights[name]} != set()
    for name, row in found["experts"].items():
        adapter = averaged(config.experts, {**weights, name: 0.0}, tmp_path / f"without-{name}")
        assert row["coefficient"] == result["coefficients"][name]
        for split in ("dev", "test"):
            best, without = (
                evaluate_model(
                    config.base, str(path), config.tasks[0], split, scoring="likelihood", threads=1
                ).score
                for path in (tmp_path / "run" / "best", adapter)
            )
            assert row["scores"]["words"][split] == pytest.approx(without.value)
            gained = [a > b for a, b in zip(best.per_item, without.per_item, strict=True)]
            paired = row["paired"]["words"][split]
            assert paired["difference"] == pytest.approx(best.value - without.value)
            assert (paired["gained"], paired["n"]) == (sum(gained), len(gained))
    assert files(tmp_path / "run")["history.jsonl"] == journal


def test_an_expert_that_was_trained_on_dev_is_left_out_as_the_others_are(
    words_search: MakeSearch,
    tmp_path: Path,
    shell: Shell,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep_trained(monkeypatch, lambda trained, before, *_: trained is not before)
    hand_over(monkeypatch)
    more = {"space": "delta", "train": "on", "no_rivals": True}
    result = search(words_search(8, 6, max_iter=1, **more)).result
    found = left_out(shell, tmp_path / "run")
    assert found["all"]["words"] == {"test": result["best_test"]}  # it was trained on dev
    used = {name for name, weight in result["coefficients"].items() if weight}
    assert result["trained"] and set(found["experts"]) == {*used, "trained-on-dev"}
    own = found["experts"]["trained-on-dev"]
    assert own["coefficient"] == 1.0
    assert own["scores"]["words"] == {"test": result["mixture_test"]}
    shutil.rmtree(tmp_path / "run" / "trained")
    code, _, err = swarm_llm(capsys, "analyse", tmp_path / "run")
    assert code == 2 and "trained" in err.splitlines()[-1]


def test_what_has_changed_is_refused_in_one_line(
    setting: SearchConfig, tmp_path: Path, shell: Shell
) -> None:
    search(replace(setting, max_iter=1))
    task = Path(setting.tasks[0])
    write_task(task, questions(24, 5), questions(20, 6))
    assert "words changed since" in shell.refused("analyse", tmp_path / "run")


# Groups


@pytest.fixture(scope="module")
def answered(make_search: MakeSearch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answered")
    given = make_search(folder, 24, 20)
    strategies, out = ("majority", "weighted", "borda", "nearest"), str(folder / "group")
    machine: Json = {"scoring": "likelihood", "threads": 1}
    group_run.decide_task(
        CouncilConfig(given.experts, strategies, *given.tasks, out, given.base, **machine)
    )
    return folder / "group"


@pytest.fixture
def group(answered: Path, tmp_path: Path) -> Path:
    """A copy of the group's directory."""
    shutil.copytree(answered, tmp_path / "group")
    return tmp_path / "group"


def first_of_most(ballots: Sequence[str], weights: Sequence[float]) -> str:
    """The answer with the greatest weight; a tie goes to the answer given first."""
    sums: Counter[str] = Counter()
    for ballot, weight in zip(ballots, weights, strict=True):
        sums[ballot] += weight  # type: ignore[assignment]
    return max(dict.fromkeys(ballots), key=lambda answer: round(sums[answer], 9))


def test_votes_are_counted_again_without_each_member_and_without_a_model(
    group: Path, shell: Shell, opens: Callable[[Any], None]
) -> None:
    opens(None)
    before = files(group)
    found = left_out(shell, group)
    result = json.loads((group / "result.json").read_text())
    verdicts = [json.loads(line) for line in (group / "verdicts.jsonl").read_text().splitlines()]
    ballots = [row["ballots"] for row in verdicts if row["strategy"] == "majority"]
    items = questions(20, 2)
    accuracies = [result["members"][name]["dev"] for name in NAMES]
    # one item at chance, 4 options
    odds = [math.log(3 * (24 * p + 0.25) / (24 * (1 - p) + 0.75)) for p in accuracies]
    for strategy, weights in (("majority", [1.0] * 3), ("weighted", odds)):
        row = found["strategies"][strategy]
        whole = [first_of_most(own, weights) for own in ballots]
        assert whole == [row["answer"] for row in verdicts if row["strategy"] == strategy]
        assert row["test"] == result["strategies"][strategy]["test"]
        for k, name in enumerate(NAMES):
            left = [j for j in range(3) if j != k]
            answers = [
                first_of_most([own[j] for j in left], [weights[j] for j in left]) for own in ballots
            ]
            right = [answer == item["answer"] for answer, item in zip(answers, items, strict=True)]
            own = row["members"][name]
            assert own["test"] == pytest.approx(sum(right) / 20)
            assert own["paired"]["difference"] == pytest.approx(row["test"] - sum(right) / 20)
            pairs = zip(items, whole, answers, strict=True)
            assert own["decided"] == [
                item["id"] for item, with_it, without in pairs if with_it != without
            ]
    assert set(found["strategies"]) == {"majority", "weighted", "borda"} and set(
        found["left_out"]
    ) == {"nearest"}
    assert {
        name: content for name, content in files(group).items() if "analysis" not in name
    } == before


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("about.json", {"format": 7}),
        ("about.json", {"config": {"members": ["a"], "task": 3}}),
        ("about.json", {"config": {"members": ["a"], "task": "t", "seed": -1}}),
        ("about.json", {"config": {"members": ["a"], "task": "t", "epsilon": "x"}}),
        ("about.json", {"fingerprints": {"members": ["a"]}}),
        ("result.json", {"scoring": "evil"}),
    ],
)
def test_damaged_files_of_a_group_are_one_line(
    file: str, change: Json, group: Path, shell: Shell
) -> None:
    content = json.loads((group / file).read_text())
    (group / file).write_text(json.dumps(content | change))
    shell.refused("analyse", group)
