"""Workers on a real Ray cluster of several nodes on this machine, one of which joins and one of
which is killed.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import MutableMapping
from dataclasses import replace
from pathlib import Path

import pytest
from ray_cluster import add_node, start_cluster
from search_helpers import history, lasting, louder, questions, small, write_task

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'pyswarmopt[ray]'")
pytestmark = pytest.mark.slow


def test_nodes_join_and_die_and_the_journal_is_that_of_one_process(
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    environ: MutableMapping[str, str],
    here: Path,
) -> None:
    task = write_task(tmp_path / "words.json", questions(16, 1), questions(8, 2))
    config = small(
        tiny_base, louder(tiny_experts, tmp_path / "loud"), [task], "one", max_iter=4, device="cpu"
    )
    search(config)
    # what the nodes' processes import
    root, others = str(Path(__file__).parents[3]), environ.get("PYTHONPATH", "")
    environ["PYTHONPATH"] = os.pathsep.join([root, others]) if others else root
    cluster = start_cluster()
    ray.init(address=cluster.address, log_to_driver=False)
    node = add_node(cluster)
    done: list[threading.Thread] = []

    def disturb(event: Event) -> None:
        if event.kind == "iteration" and event.data["iteration"] == 1:
            done.append(threading.Thread(target=cluster.remove_node, args=(node,)))
            done[0].start()
        if event.kind == "iteration" and event.data["iteration"] == 2:
            add_node(cluster)

    try:
        cluster.wait_for_nodes()
        result = search(replace(config, out="ray", workers="ray"), disturb).result
        done[0].join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert history(Path("ray")) == history(Path("one"))
    assert lasting(result) == lasting(json.loads(Path("one/result.json").read_text()))


def test_a_cluster_that_does_not_answer_is_one_line(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> None:
        raise ConnectionError("nobody there\nand more")

    monkeypatch.setattr(ray, "init", refuse)
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(8, 2))
    with pytest.raises(UserError, match=r"workers ray://nowhere: .* \(nobody there\)"):
        search(small(tiny_base, tiny_experts, [task], tmp_path / "run", workers="ray://nowhere"))
