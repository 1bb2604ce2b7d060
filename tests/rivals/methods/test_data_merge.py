"""Data merge on a toy: every expert's file teaches an answer, and the union knows them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from search_helpers import write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.adapter import read_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.run.record import unpack
from pyswarmopt_llm.training.examples import TrainingOptions
from pyswarmopt_llm.training.expert import train_expert
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import compare, outcomes_in
from pyswarmopt_rivals.methods.training import data_merge
from pyswarmopt_rivals.methods.training.data_merge import schedule

# Nothing that is learnt of one answer helps with another one.
LESSONS = {"ant": "QZXJ", "bee": "4711", "cat": "kwyv"}


def chat(question: str, answer: str) -> str:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": turns}) + "\n"


@pytest.fixture
def taught(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> dict[str, Any]:
    """A comparison whose items are what the files teach in their second rows."""
    data = []
    for name, answer in LESSONS.items():
        file = tmp_path / f"{name}.jsonl"
        file.write_text(chat("first?", "no") + chat(f"{name}?", answer))
        data.append(f"{name}={file}")
    dev, test = (
        [{"question": f"{more}{name}?", "answer": answer} for name, answer in LESSONS.items()]
        for more in ("", "and ")
    )
    task = write_task(tmp_path / "taught.json", dev, test, metric="perplexity")
    return {
        "base": str(tiny_base),
        "experts": tuple(map(str, tiny_experts)),
        "tasks": (str(task),),
        "methods": ("data-merge",),
        "seeds": 1,
        "data": tuple(data),
        "dtype": "float32",
        "threads": 1,
    }


def likelihoods(given: dict[str, Any], out: Path, **schedule: float) -> list[float]:
    """Of each lesson's answer, geometric mean over its tokens, after data merge."""
    steps: list[Any] = []
    compare(CompareConfig(**given, **schedule, out=str(out)), lambda *step: steps.append(step))
    assert "estimated from the first evaluation: search 0:" in steps[0][2]
    return list(unpack(outcomes_in(out)[0]["dev"]))


def test_the_union_of_whole_files_is_learnt(taught: dict[str, Any], tmp_path: Path) -> None:
    """Each lesson gets likelier, though it is in the second rows; at no rate none does."""
    untrained = likelihoods(taught, tmp_path / "untrained", data_epochs=1.0, data_lr=1e-9)
    learnt = likelihoods(taught, tmp_path / "learnt", data_epochs=30.0, data_lr=0.03)
    assert all(after > 5 * before for after, before in zip(learnt, untrained, strict=True))


def test_the_union_is_learnt_once_for_all_tasks(
    taught: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "again.json"
    task = json.loads(Path(*taught["tasks"]).read_text())
    again.write_text(json.dumps(task | {"dev": task["dev"][:2]}))
    train = Mock(side_effect=data_merge.train_expert)
    monkeypatch.setattr(data_merge, "train_expert", train)
    both = {**taught, "tasks": (*taught["tasks"], str(again))}
    likelihoods(both, tmp_path / "out", data_epochs=1.0, data_lr=0.01)
    one, other = outcomes_in(tmp_path / "out")
    assert train.call_count == 1 and one["test"] == other["test"]


def test_rate_and_epochs_are_those_of_the_cards_or_asked_for(
    taught: dict[str, Any], tiny_base: Path, tmp_path: Path
) -> None:
    """What no card says is asked for before anything is written."""
    with pytest.raises(UserError, match="cards do not all state"):
        compare(CompareConfig(**taught, out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
    experts = []
    for name in LESSONS:
        options = TrainingOptions(lr=0.02, epochs=3, rank=2, heldout=0)
        data = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        train_expert(resolve_base(str(tiny_base)), data, tmp_path / name, options)
        experts.append(read_adapter(tmp_path / name))
    found = schedule(experts, None, None)
    assert (found.lr, found.epochs, found.heldout) == (0.02, 3, 0)
    assert schedule(experts, 0.1, None).lr == 0.1
    (experts[1].path / "README.md").unlink()
    with pytest.raises(UserError, match="cards do not all state"):
        schedule(experts, 0.1, None)
    assert schedule(experts, 0.1, 7).epochs == 7
