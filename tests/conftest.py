"""For all tests: how hypothesis draws its examples, which tests are in the second tier, and which
need a GPU.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

# `ci` comes with hypothesis: the same examples on every run. 25 of them, not 100:
# `make fuzz` draws new ones every time, and more.
HARMLESS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile(
    "ci", settings.get_profile("ci"), max_examples=25, suppress_health_check=HARMLESS
)
settings.load_profile("ci")
settings.register_profile("fuzz", settings.get_profile("ci"), max_examples=1000, derandomize=False)

# see tiers.py
SLOW = frozenset(Path(__file__).with_name("slow.txt").read_text(encoding="utf-8").split())
SLOW_FILES = frozenset(name.partition("::")[0] for name in SLOW)


def pytest_configure() -> None:
    """Let AUTOMATIC_DTYPE stand for what the processor has (make test-dtype): no test may depend on
    it.
    """
    if name := os.environ.get("AUTOMATIC_DTYPE"):
        import torch

        from pyswarmopt_llm.common import hardware

        dtype = getattr(torch, name)
        mock.patch.object(hardware, "automatic_dtype", lambda device: dtype).start()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that `make test` leaves to `make test-all`, and begin with their files, so
    that what is left for the end is short; deselect the tests of a GPU where there is none.
    """
    for item in items:
        name = item.nodeid.partition("[")[0]
        if name in SLOW or name.partition("::")[0] in SLOW:
            item.add_marker("slow")
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in SLOW_FILES)
    on_gpu = [item for item in items if item.get_closest_marker("gpu") is not None]
    if on_gpu and not _has_gpu():
        items[:] = [item for item in items if item not in on_gpu]
        config.hook.pytest_deselected(items=on_gpu)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture
def environ() -> Iterator[MutableMapping[str, str]]:
    """The environment; what a test changes there is put back after it."""
    with mock.patch.dict(os.environ):
        yield os.environ


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Have the modules of a folder found, during a test."""
    return monkeypatch.syspath_prepend


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """The current directory: an empty one."""
    with contextlib.chdir(tmp_path):
        yield tmp_path
