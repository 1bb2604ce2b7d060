"""Data merge on a toy: every expert's file teaches an answer, and the union knows them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from search_helpers import write_task

from pyswarmopt_llm.searching.scoring.record import unpack
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import compare, outcomes_in

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
        data.append((name, str(file)))
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
        "examples": 1,  # of generated data, which this is not
    }


def likelihoods(given: dict[str, Any], out: Path, **schedule: float) -> list[float]:
    """Of each lesson's answer, geometric mean over its tokens, after data merge."""
    compare(CompareConfig(**given, **schedule, out=str(out)))
    return list(unpack(outcomes_in(out)[0]["dev"]))


def test_the_union_of_whole_files_is_learnt(taught: dict[str, Any], tmp_path: Path) -> None:
    """Each lesson gets likelier, though it is behind `examples` rows; at no rate none does."""
    untrained = likelihoods(taught, tmp_path / "untrained", data_epochs=1.0, data_lr=1e-9)
    learnt = likelihoods(taught, tmp_path / "learnt", data_epochs=30.0, data_lr=0.03)
    assert all(after > 5 * before for after, before in zip(learnt, untrained, strict=True))
