"""Fixtures of tests with language models; all tests of the laboratory are in the second tier."""

from __future__ import annotations

from pathlib import Path

import pytest
from llm_fixtures import *  # noqa: F403

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them slow: `make test` leaves them to `make test-slow`."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("slow")
