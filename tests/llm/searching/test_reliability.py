"""What a long search meets beside deaths and full disks: clocks, other versions, odd files, and its
own leaks.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from search_helpers import Shell

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.searching.prepare import prepare


@pytest.fixture(scope="module")
def finished(crew_config: SearchConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run that was left in peace."""
    with contextlib.chdir(tmp_path_factory.mktemp("peace")):
        search(crew_config)
        yield Path("run").resolve()


@pytest.fixture
def copy(finished: Path, tmp_path: Path, here: Path) -> Path:
    shutil.copytree(finished, "run")
    return Path("run")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": 2', '"format": 1', "not in format 2; resume with the version that wrote it"),
        ('"seed"', '"warp": 9, "seed"', "run.json: config warp is missing or has the wrong type"),
    ],
)
def test_a_run_of_a_version_that_is_not_understood_is_refused(
    old: str, new: str, message: str, copy: Path, shell: Shell
) -> None:
    about = (copy / "run.json").read_text()
    (copy / "run.json").write_text(about.replace(old, new))
    (copy / "result.json").unlink()
    assert message in shell.refused("resume", copy, "--quiet")


def test_hundreds_of_evaluations_leave_nothing_behind(crew_config: SearchConfig) -> None:
    config = replace(crew_config, scoring="likelihood")
    job = prepare(config)
    evaluator = job.evaluator("dev", {"words": "likelihood"})
    generator = torch.Generator().manual_seed(0)

    def ask(times: int) -> None:
        for _ in range(times):
            evaluator.answer(torch.randn(3, generator=generator, dtype=torch.float64))

    ask(40)
    before = resident(), descriptors()
    ask(160)
    assert descriptors() == before[1]
    assert resident() - before[0] < 6e6  # a candidate is 50 kB: not even one in two may stay


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def descriptors() -> int:
    """Open files of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))
