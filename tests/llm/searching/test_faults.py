"""Deaths at random lines and storage that fails: the resumed run ends as the one that was left in
peace.
"""

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

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.searching.loop import search

OUT = "run"
Driver = Callable[..., Json]


@pytest.fixture(scope="module")
def config(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> SearchConfig:
    folder = tmp_path_factory.mktemp("faults")
    task = write_task(folder / "words.json", questions(8, 1), questions(4, 2))
    return small(
        tiny_base, louder(tiny_experts, folder / "loud"), [task], OUT, particles=3, max_iter=3
    )


@pytest.fixture(scope="module")
def reference(config: SearchConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was left in peace."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("peace"))
        search(config)
        return Path(OUT).resolve()


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    """One for all tests: it imports and loads everything once."""
    words = [sys.executable, str(Path(__file__).parents[1] / "helpers" / "fault_driver.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.communicate()


@pytest.fixture
def driver(
    process: subprocess.Popen[str],
    tmp_path: Path,
    config: SearchConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> Driver:
    """Forks children in `tmp_path`: ``driver(line=k)``, ``driver(bytes=n)``,
    ``driver(workers="2")``.
    """
    monkeypatch.chdir(tmp_path)

    def order(workers: str = "1", **how: Any) -> Json:
        assert process.stdin is not None and process.stdout is not None
        order = {"cwd": str(tmp_path), "config": {**vars(config), "workers": workers}, **how}
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        found: Json = json.loads(process.stdout.readline())
        return found

    return order


def test_twenty_deaths_at_random_lines(driver: Driver, reference: Path) -> None:
    whole = driver()
    assert whole["code"] == 0, whole
    ends_as(Path(OUT), reference)
    shutil.rmtree(OUT)
    seen = set()
    for line in sorted(random.Random(50).sample(range(1, whole["lines"] + 1), 20)):
        assert driver(line=line)["code"] == -signal.SIGKILL
        seen.add(len(history(Path(OUT))) if (Path(OUT) / "history.jsonl").exists() else 0)
        assert driver()["code"] == 0
        ends_as(Path(OUT), reference)
        shutil.rmtree(OUT)
    assert len(seen) > 5  # they did die at different points


def test_one_run_dies_again_and_again(driver: Driver, reference: Path) -> None:
    whole = driver()["lines"]
    shutil.rmtree(OUT)
    rng = random.Random(51)
    for _ in range(10):
        assert driver(line=rng.randrange(whole // 10, whole // 2))["code"] == -signal.SIGKILL
    assert driver()["code"] == 0
    ends_as(Path(OUT), reference)


def test_deaths_of_a_search_whose_workers_are_at_work(driver: Driver, reference: Path) -> None:
    whole = driver(workers="2")
    assert whole["code"] == 0, whole
    assert history(Path(OUT)) == history(reference)  # of one process
    Path(OUT).rename("peace")  # the card says with how many workers
    ends = []
    for line in sorted(random.Random(52).sample(range(1, whole["lines"] + 1), 10)):
        killed = driver(workers="2", line=line)
        ends.append(killed["code"])
        assert killed["left"] == 0
        assert driver(workers="2")["code"] == 0
        ends_as(Path(OUT), Path("peace"))
        shutil.rmtree(OUT)
    # How many lines there are depends on which worker is first, so that a run may be over before
    # the last of them.
    assert set(ends) <= {0, -signal.SIGKILL}
    assert ends.count(0) <= 3


def test_deaths_of_a_comparison(driver: Driver, config: SearchConfig) -> None:
    order = {
        **{name: getattr(config, name) for name in ("base", "experts", "tasks")},
        **{"out": OUT, "scoring": "likelihood", "threads": 1},
        **{
            "methods": ["best-single", "greedy-soup", "model-swarms"],
            "seeds": 1,
            "budget_items": 60,
        },
    }
    whole = driver(compare=order)
    assert whole["code"] == 0, whole
    reference = figures(Path(OUT))
    shutil.rmtree(OUT)
    for line in sorted(random.Random(53).sample(range(1, whole["lines"] + 1), 10)):
        assert driver(compare=order, line=line)["code"] == -signal.SIGKILL
        assert driver(compare=order)["code"] == 0
        assert figures(Path(OUT)) == reference
        shutil.rmtree(OUT)


def figures(out: Path) -> Json:
    """``compare.json`` without what a clock wrote, and the scored candidates in their order."""
    found = json.loads((out / "compare.json").read_text())
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return {"methods": timeless(found["methods"]), "rows": [timeless(row) for row in rows]}


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if "seconds" not in key}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value
