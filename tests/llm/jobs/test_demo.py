"""The demonstration: what stands beside its search."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_helpers import louder, questions, small, write_task

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.jobs.search.demo import demo
from pyswarmopt_llm.jobs.search.prepare import prepare
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.models.training.folds import train_once
from pyswarmopt_llm.reporting.summary import score_rows


def test_the_base_stands_beside_the_search(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> None:
    experts = louder(tiny_experts, tmp_path / "experts")
    task = write_task(tmp_path / "words.json", questions(12, 1), questions(30, 2))
    config = small(tiny_base, experts, [task], tmp_path / "run", dev=8, test=20, max_iter=1)
    found = demo(config)
    (base,) = found.result["others"]
    job = prepare(small(tiny_base, experts, [task], "unused", dev=8, test=20))
    job.engine.load(Patch())
    (utility,) = job.utilities("test", {"words": "likelihood"}).values()
    assert utility(job.engine).value == base["test"]
    low, high = base["test_interval"]
    assert 0 <= low <= base["test"] <= high <= 1
    assert score_rows(found.result)[0].label == "base"
    assert score_rows(found.result)[0].test == pytest.approx(base["test"])


def test_so_does_fine_tuning_on_the_same_items(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> None:
    experts = louder(tiny_experts, tmp_path / "experts")
    task = write_task(tmp_path / "words.json", questions(48, 1), questions(20, 2))
    given = {"dev": 40, "test": 20, "preset": "auto", "scoring": "likelihood", "max_iter": 0, "seed": 5}
    found = demo(small(tiny_base, experts, [task], tmp_path / "run", **given))
    _, tuned = found.result["others"]
    assert [row.label for row in score_rows(found.result)][:2] == ["base", "base, fine-tuned on dev"]
    job = prepare(small(tiny_base, experts, [task], tmp_path / "unused", **given))
    (dev,), (test,) = (job.utilities(split, {"words": "likelihood"}).values() for split in ("dev", "test"))
    assert isinstance(dev, Accuracy)
    job.engine.load(Patch())
    patch, _ = train_once(job.engine, dev.choices(), job.prepared.experts[0], 5)
    job.engine.load(patch)
    assert test(job.engine).value == tuned["test"]
