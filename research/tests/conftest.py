"""Fixtures of tests with language models; all tests of the laboratory are in the second tier."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from laboratory import script
from llm_fixtures import *  # noqa: F403
from search_helpers import questions, write_task

from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.base import resolve_base

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them slow: `make test` leaves them to `make test-slow`."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def folder(tiny_base: Path, experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A laboratory of tiny models, with the task t1."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "base").symlink_to(tiny_base)
    (folder / "experts").symlink_to(experts[0].parent)
    (folder / "tasks").mkdir()
    write_task(folder / "tasks" / "t1.json", questions(12, seed=1), questions(8, seed=2))
    return folder


@pytest.fixture(scope="module")
def engine(tiny_base: Path) -> Any:
    return load_engine(resolve_base(str(tiny_base)), "float32", "cpu", 1)


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Keeps rows as the outcomes of a name, in place of those of research/evidence."""
    (tmp_path / "evidence").mkdir()
    monkeypatch.setattr(script("outcomes"), "RESEARCH", tmp_path)

    def write(name: str, rows: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "evidence" / f"{name}.jsonl").write_text(text)

    return write
