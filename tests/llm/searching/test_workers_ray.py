"""Workers on a real Ray cluster on this machine, whose actors, nodes, driver and head are killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from ray_cluster import STORE, add_node, start_cluster
from search_helpers import history, lasting, louder, questions, search_words, small, write_task
from workers_helpers import TRACED, same_end

import pyswarmopt as pso
from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'pyswarmopt[ray]'")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of one node with one processor; its nodes import this checkout."""
    root = str(ROOT)
    with mock.patch.dict(os.environ):
        others = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = os.pathsep.join([root, others]) if others else root
        started = start_cluster()
        try:
            yield started
        finally:
            started.shutdown()


@pytest.fixture(scope="module")
def reference(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> SearchConfig:
    """A swarm of five, scored by `TRACED` beside the task, and done by one process."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "traced.py").write_text(TRACED)
    task = write_task(folder / "words.json", questions(16, 1), questions(8, 2))
    experts = louder(tiny_experts, folder / "loud")
    settings = {"metrics": (f"{folder}/traced.py:traced",), "max_new_tokens": 1, "scoring": "auto"}
    one = folder / "one"
    config = small(tiny_base, experts, [task], one, max_iter=4, device="cpu", **settings)
    search(config)
    return config


@pytest.fixture
def config(reference: SearchConfig, here: Path) -> SearchConfig:
    """The same search, in the present directory and on a cluster."""
    folder = Path(reference.out).parent
    for traces in ("call-*", "node-*", "gate", "hold"):
        for trace in folder.glob(traces):
            trace.unlink()
    return replace(reference, out="ray", workers="ray")


def calls(folder: Path) -> list[Path]:
    """A file for each call of the score, in order."""
    return sorted(folder.glob("call-*"))


def workers(folder: Path) -> set[str]:
    """The processes that have called the score."""
    return {call.name.rpartition("-")[2] for call in calls(folder)}


def keys(run: Path) -> list[str]:
    return [row["key"] for row in history(run) if row["phase"] == "search"]


def test_actors_and_nodes_die_and_join_and_the_journal_is_that_of_one_process(
    cluster: Any, config: SearchConfig, reference: SearchConfig
) -> None:
    one = Path(reference.out)
    folder = one.parent
    ray.init(address=cluster.address, log_to_driver=False)
    held: list[Any] = []
    node = add_node(cluster)
    gate = folder / "gate"
    gate.write_text(node.node_id)
    done: list[threading.Thread] = []
    lines: list[str] = []

    def disturb(event: Event) -> None:
        lines.append(str(event.data.get("text", "")))
        if event.kind != "iteration":
            return
        if event.data["iteration"] == 1:  # more than the head's node has room for
            held.extend(ray.put(np.ones(STORE // 10)) for _ in range(2))
            there = next(call for call in calls(folder) if call.read_text() == node.node_id)
            os.kill(int(there.name.rpartition("-")[2]), signal.SIGKILL)
        if event.data["iteration"] == 2:
            done.append(threading.Thread(target=cluster.remove_node, args=(node,)))
            done[0].start()
        if event.data["iteration"] == 3:
            gate.write_text(add_node(cluster).node_id)  # it has to get work

    try:
        cluster.wait_for_nodes()
        result = search(config, disturb).result
        done[0].join()
    finally:
        ray.shutdown()
        for left in list(cluster.worker_nodes):
            cluster.remove_node(left, allow_graceful=False)
    assert len(held) == 2
    assert (folder / f"node-{gate.read_text()}").exists()
    assert history(Path("ray")) == history(one)
    assert lasting(result) == lasting(json.loads((one / "result.json").read_text()))
    assert len(keys(Path("ray"))) == len({*keys(Path("ray"))})
    told = [line for line in lines if line.startswith("Ray: ")]
    assert told[0] == "Ray: 2 nodes, 0 GPUs, 2 actors"
    assert "Ray: an actor ended, so another gets its task" in told
    assert "Ray: room for 1 more actor" in told


def test_the_executor_of_the_manual_calls_a_function_on_the_cluster(cluster: Any) -> None:
    page = (ROOT / "docs" / "how-to" / "scaling.md").read_text()
    (block,) = re.findall(r"```python\n(class Cluster:.*?)```", page, flags=re.DOTALL)
    most = partial(pso.minimize, max_evals=12)
    names: dict[str, Any] = {"ray": ray, "pso": SimpleNamespace(minimize=most)}
    names |= {"cost": lambda x: float(x @ x), "bounds": [(-1, 2)] * 2}
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        exec(block, names)
    finally:
        ray.shutdown()
    assert names["r"].fun == most(names["cost"], names["bounds"], seed=1).fun


class Command:
    """``swarm-llm`` in a process of its own."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "pyswarmopt_llm", *words]
        self._file = Path(f"said-{time.time_ns()}")
        with self._file.open("w") as said:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)

    @property
    def said(self) -> str:
        return self._file.read_text()

    def wait_for(self, what: Callable[[], Any]) -> None:
        over = time.monotonic() + 150
        while not what():
            assert self.process.poll() is None and time.monotonic() < over, self.said
            time.sleep(0.05)


def test_a_killed_driver_and_a_lost_head_lose_nothing(
    cluster: Any,
    config: SearchConfig,
    reference: SearchConfig,
    environ: MutableMapping[str, str],
) -> None:
    """Ends the head: the last test of the cluster."""
    environ["RAY_ADDRESS"] = address = cluster.address
    folder = Path(reference.out).parent
    words = [*search_words(config), "--metric", *config.metrics, "--max-new-tokens", "1"]
    killed = Command(*words, "--workers", "ray", "--device", "cpu")
    killed.wait_for(lambda: len(calls(folder)) >= 8)
    killed.process.kill()
    assert killed.process.wait() == -signal.SIGKILL
    known = len(keys(Path("ray")))
    assert known >= 5
    before = workers(folder)
    lost = Command("resume", "ray", "--allow", *config.metrics, "--allow", "ray")
    lost.wait_for(lambda: workers(folder) > before)
    (folder / "hold").touch()
    cluster.head_node.kill_gcs_server()
    code = lost.process.wait(timeout=100)  # Ray itself would end it after 60 s, with 1
    assert code == 2, lost.said
    assert f"error: the Ray cluster's head at {address} does not answer" in lost.said
    assert "resume" in lost.said.splitlines()[-1] and "Traceback" not in lost.said
    (folder / "hold").unlink()
    alone(Path("ray"))
    resume("ray", allowed=config.metrics)
    same_end("ray", reference.out)
    assert len(keys(Path("ray"))) == len({*keys(Path("ray"))})


def alone(run: Path) -> None:
    """Have a run resumed by one process."""
    about = json.loads((run / "run.json").read_text())
    about["config"]["workers"] = "1"
    (run / "run.json").write_text(json.dumps(about))


def test_a_cluster_that_does_not_answer_is_one_line(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> None:
        raise ConnectionError("nobody there\nand more")

    monkeypatch.setattr(ray, "init", refuse)
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(8, 2))
    with pytest.raises(UserError, match=r"workers ray://nowhere: .* \(nobody there\)"):
        search(small(tiny_base, tiny_experts, [task], tmp_path / "run", workers="ray://nowhere"))
