"""Deaths at random lines and storage that fails: the resumed run ends as the one that was left in peace."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from search_helpers import Json, ends_as, history, louder, questions, small, write_task

from pyswarmopt_llm.config import SearchConfig
from pyswarmopt_llm.search import search

OUT = "run"
Driver = Callable[..., Json]


@pytest.fixture(scope="module")
def config(tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> SearchConfig:
    folder = tmp_path_factory.mktemp("faults")
    task = write_task(folder / "words.json", questions(8, 1), questions(4, 2))
    return small(tiny_base, louder(tiny_experts, folder / "loud"), [task], OUT, particles=3, max_iter=3)


@pytest.fixture(scope="module")
def reference(config: SearchConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was left in peace."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("peace"))
        search(config)
        return Path(OUT).resolve()


@pytest.fixture
def driver(tmp_path: Path, config: SearchConfig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """Forks children in `tmp_path`: ``driver(line=k)`` or ``driver(bytes=n)``."""
    monkeypatch.chdir(tmp_path)
    words = [sys.executable, str(Path(__file__).with_name("fault_driver.py"))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )

    def order(**how: Any) -> Json:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"config": vars(config), **how}) + "\n")
        process.stdin.flush()
        found: Json = json.loads(process.stdout.readline())
        return found

    yield order
    process.communicate()


def test_fifty_deaths_at_random_lines(driver: Driver, reference: Path) -> None:
    whole = driver()
    assert whole["code"] == 0
    ends_as(Path(OUT), reference)
    shutil.rmtree(OUT)
    seen = set()
    for line in sorted(random.Random(50).sample(range(1, whole["lines"] + 1), 50)):
        assert driver(line=line)["code"] == -signal.SIGKILL
        seen.add(len(history(Path(OUT))) if (Path(OUT) / "history.jsonl").exists() else 0)
        assert driver()["code"] == 0
        ends_as(Path(OUT), reference)
        shutil.rmtree(OUT)
    assert len(seen) > 10  # they did die at different points


def test_one_run_dies_again_and_again(driver: Driver, reference: Path) -> None:
    whole = driver()["lines"]
    shutil.rmtree(OUT)
    rng = random.Random(51)
    for _ in range(10):
        assert driver(line=rng.randrange(whole // 10, whole // 2))["code"] == -signal.SIGKILL
    assert driver()["code"] == 0
    ends_as(Path(OUT), reference)


def test_a_disk_that_is_full(driver: Driver, reference: Path) -> None:
    largest = max(file.stat().st_size for file in reference.rglob("*") if file.is_file())
    codes = set()
    for n in sorted({10, 600, 1500, 3000, 6000, *range(8000, largest, max(1, largest // 8))}):
        found = driver(bytes=n)
        codes.add(found["code"])
        if found["code"]:
            assert found["code"] == 2, found
            assert found["stderr"].count("\n") == 0 and "cannot write there" in found["stderr"], found
        assert driver()["code"] == 0
        ends_as(Path(OUT), reference)
        shutil.rmtree(OUT)
    assert 2 in codes
