"""Fixtures of all tests with language models, and of those of rival methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from llm_fixtures import *  # noqa: F403
from search_helpers import louder, questions, write_task

from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.run.record import Store
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_rivals.bench import Bench


@pytest.fixture(scope="session")
def words_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 dev and 6 test items."""
    file = tmp_path_factory.mktemp("task") / "words.json"
    return write_task(file, questions(20, 1), questions(6, 2))


@pytest.fixture(scope="session")
def resident(
    tiny_base: Path, tiny_experts: list[Path], words_task: Path, tmp_path_factory
) -> Bench:
    base, folder = resolve_base(str(tiny_base)), tmp_path_factory.mktemp("resident")
    engine, task = load_engine(base, "float32", "cpu", 1), load_task(str(words_task))
    experts = [load_adapter(read_adapter(path)) for path in louder(tiny_experts, folder)]
    return Bench(base, engine, experts, task, "likelihood", Store(None), {})


@pytest.fixture
def bench(resident: Bench) -> Bench:
    """Three experts that answer differently before `words_task`; no score is known."""
    return replace(resident, store=Store(None))
