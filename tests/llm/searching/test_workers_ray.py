"""Workers on a real Ray cluster on this machine, whose actors, nodes, driver and head are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from ray_cluster import STORE, add_node, start_cluster
from search_helpers import history, lasting, louder, questions, search_words, small, write_task
from workers_helpers import TRACED, same_end

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'pyswarmopt[ray]'")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of one node with one processor; its nodes import this checkout."""
    root = str(Path(__file__).parents[3])
    with mock.patch.dict(os.environ):
        others = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = os.pathsep.join([root, others]) if others else root
        started = start_cluster()
        try:
            yield started
        finally:
            started.shutdown()


@pytest.fixture
def config(tiny_base: Path, tiny_experts: list[Path], here: Path) -> SearchConfig:
    """A swarm of five, scored by `TRACED` beside the task; its journal is in ``one``."""
    (here / "traced.py").write_text(TRACED)
    task = write_task(here / "words.json", questions(16, 1), questions(8, 2))
    experts = louder(tiny_experts, here / "loud")
    settings = {"metrics": (f"{here}/traced.py:traced",), "max_new_tokens": 1, "scoring": "auto"}
    config = small(tiny_base, experts, [task], "one", max_iter=4, device="cpu", **settings)
    search(config)
    for call in calls(here):
        call.unlink()
    return config


def calls(folder: Path) -> list[Path]:
    """A file for each call of the score, in order."""
    return sorted(folder.glob("call-*"))


def wait_for(what: Callable[[], Any], seconds: float = 100) -> None:
    over = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < over, "it did not happen"
        time.sleep(0.05)


def keys(run: Path) -> list[str]:
    return [row["key"] for row in history(run) if row["phase"] == "search"]


def test_actors_and_nodes_die_and_join_and_the_journal_is_that_of_one_process(
    cluster: Any, config: SearchConfig, here: Path
) -> None:
    ray.init(address=cluster.address, log_to_driver=False)
    held = [ray.put(np.ones(STORE // 10)) for _ in range(2)]  # more than there is room for
    node = add_node(cluster)
    done: list[threading.Thread] = []
    lines: list[str] = []

    def disturb(event: Event) -> None:
        lines.append(str(event.data.get("text", "")))
        if event.kind != "iteration":
            return
        if event.data["iteration"] == 1:
            last = calls(here)[-1]
            os.kill(int(last.name.rpartition("-")[2]), signal.SIGKILL)
        if event.data["iteration"] == 2:
            done.append(threading.Thread(target=cluster.remove_node, args=(node,)))
            done[0].start()
        if event.data["iteration"] == 3:
            (here / "gate").write_text(add_node(cluster).node_id)  # it has to get work

    try:
        cluster.wait_for_nodes()
        result = search(replace(config, out="ray", workers="ray"), disturb).result
        done[0].join()
    finally:
        ray.shutdown()
    assert len(held) == 2
    assert (here / f"node-{(here / 'gate').read_text()}").exists()
    assert history(Path("ray")) == history(Path("one"))
    assert lasting(result) == lasting(json.loads(Path("one/result.json").read_text()))
    assert len(keys(Path("ray"))) == len({*keys(Path("ray"))})
    told = [line for line in lines if line.startswith("Ray: ")]
    assert told[0] == "Ray: 2 nodes, 0 GPUs, 2 actors"
    assert "Ray: an actor ended, so another gets its task" in told
    assert "Ray: room for 1 more actor" in told


def test_a_killed_driver_and_a_lost_head_lose_nothing(
    cluster: Any, config: SearchConfig, here: Path, environ: MutableMapping[str, str]
) -> None:
    """Ends the head: the last test of the cluster."""
    environ["RAY_ADDRESS"] = cluster.address
    run = replace(config, out="ray", workers="ray")
    words = [*search_words(run), "--metric", *run.metrics, "--max-new-tokens", "1"]
    killed = swarm_llm(*words, "--workers", "ray", "--device", "cpu")
    wait_for(lambda: len(calls(here)) >= 8)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    known = len(keys(Path("ray")))
    assert known >= 5
    (here / "hold").touch()
    before = len(calls(here))
    lost = swarm_llm("resume", "ray", "--allow", *run.metrics, "--allow", "ray")
    wait_for(lambda: len(calls(here)) > before)
    cluster.head_node.kill_gcs_server()
    _, said = lost.communicate(timeout=50)  # Ray itself would wait 60 s, and say nothing
    assert lost.returncode == 2, said
    assert f"error: the Ray cluster's head at {cluster.address} does not answer" in said
    assert "resume" in said.splitlines()[-1] and "Traceback" not in said
    (here / "hold").unlink()
    alone(Path("ray"))
    resume("ray", allowed=run.metrics)
    same_end("ray", "one")
    assert len(keys(Path("ray"))) == len({*keys(Path("ray"))})


def swarm_llm(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pyswarmopt_llm", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


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
