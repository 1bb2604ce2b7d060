"""Fixtures of tests with language models; all tests of the laboratory are in the second tier."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from laboratory import script
from llm_fixtures import *  # noqa: F403

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them slow: `make test` leaves them to `make test-slow`."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("slow")


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Keeps rows as the outcomes of a name, in place of those of research/evidence."""
    (tmp_path / "evidence").mkdir()
    monkeypatch.setattr(script("outcomes"), "RESEARCH", tmp_path)

    def write(name: str, rows: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "evidence" / f"{name}.jsonl").write_text(text)

    return write
