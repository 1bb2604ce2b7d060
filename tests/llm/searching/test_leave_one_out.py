"""`swarm-llm analyse`: which experts carry a search's result."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
from search_helpers import MakeSearch, Shell, files, hand_over, keep_trained, questions, write_task

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.use.evaluate import evaluate_model

NAMES = ("ant", "bee", "cat")


@pytest.fixture
def setting(words_search: MakeSearch) -> SearchConfig:
    return words_search(24, 20, space="factor")


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
    found = shell.json("analyse", tmp_path / "run")
    weights = result["coefficients"]
    assert set(found) == {name for name in NAMES if weights[name]} != set()
    for name, row in found.items():
        adapter = averaged(config.experts, {**weights, name: 0.0}, tmp_path / f"without-{name}")
        best, without = (
            evaluate_model(
                config.base, str(path), config.tasks[0], scoring="likelihood", threads=1
            ).score
            for path in (tmp_path / "run" / "best", adapter)
        )
        assert row["words"] == pytest.approx(best.value - without.value)
    assert files(tmp_path / "run")["history.jsonl"] == journal


def test_what_was_trained_on_dev_stays_when_experts_are_left_out(
    words_search: MakeSearch,
    tmp_path: Path,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep_trained(monkeypatch, lambda trained, before, *_: trained is not before)
    hand_over(monkeypatch)
    more = {"space": "delta", "train": "on", "no_rivals": True}
    result = search(words_search(8, 6, max_iter=1, **more)).result
    found = shell.json("analyse", tmp_path / "run")
    used = {name for name, weight in result["coefficients"].items() if weight}
    assert result["trained"] and set(found) == used


def test_what_has_changed_is_refused_in_one_line(
    setting: SearchConfig, tmp_path: Path, shell: Shell
) -> None:
    search(replace(setting, max_iter=1))
    task = Path(setting.tasks[0])
    write_task(task, questions(24, 5), questions(20, 6))
    assert "(words) changed since" in shell.refused("analyse", tmp_path / "run")
