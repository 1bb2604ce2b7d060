"""Particles that move one by one: what a clock decided is in the journal, so that a stopped search is replayed."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from search_helpers import history, lasting, search_words, swarm_llm
from workers_helpers import same_end

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.jobs.search.loop import resume, search

pytestmark = pytest.mark.usefixtures("shared_fork_server")


class Stopped(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def flying(crew_config: SearchConfig) -> SearchConfig:
    return replace(crew_config, one_by_one=True, scoring="likelihood", max_iter=5)


def test_with_one_worker_the_seed_is_all_there_is_to_it(flying: SearchConfig) -> None:
    for out in ("a", "b"):
        search(replace(flying, out=out))
    same_end("a", "b")
    rows = history(Path("a"))
    flown = [row for row in rows if "number" in row]
    assert [row["asked"] for row in flown] == [row["number"] for row in flown]  # tickets are counted from 1
    assert len(flown) > 15 and len(rows) == len(flown) + 3  # the experts are asked together


def test_a_search_of_several_workers_is_replayed_from_any_line(flying: SearchConfig) -> None:
    found = search(replace(flying, out="whole", workers="3"))
    rows = history(Path("whole"))
    assert found.result["stop"] == {"max_iter": 5}
    assert any(row["asked"] > row["number"] for row in rows if "number" in row)  # others were out meanwhile
    (Path("whole") / "result.json").unlink()
    again: list[Event] = []
    assert lasting(resume("whole", again.append).result) == lasting(found.result)
    assert not [event for event in again if event.kind == "evaluation"]  # nothing was asked again
    lines = (Path("whole") / "history.jsonl").read_text().splitlines(keepends=True)
    for cut in sorted(random.Random(1).sample(range(3, len(rows)), 4)):
        shutil.copytree("whole", "cut")
        for name in ("result.json", "checkpoint/swarm.npz"):
            (Path("cut") / name).unlink()
        (Path("cut") / "history.jsonl").write_text("".join(lines[:cut]) + lines[cut][:20])
        result = resume("cut").result
        assert history(Path("cut"))[:cut] == rows[:cut]
        assert result["stop"] == {"max_iter": 5} and result["best_dev"] >= result["best_single_dev"]
        before = json.loads((Path("cut") / "result.json").read_text())
        (Path("cut") / "result.json").unlink()
        assert lasting(resume("cut").result) == lasting(before)
        shutil.rmtree("cut")


def test_a_checkpoint_bears_witness_of_a_stopped_search(flying: SearchConfig) -> None:
    seen = 0

    def stop(event: Event) -> None:
        nonlocal seen
        seen += event.kind == "evaluation"
        if seen == 16:
            raise Stopped

    with pytest.raises(Stopped):
        search(replace(flying, out="run", workers="2"), stop)
    rows = history(Path("run"))
    assert (Path("run") / "checkpoint" / "swarm.npz").exists()
    resume("run")  # refuses to go on if the replay is not where the checkpoint was written
    assert history(Path("run"))[: len(rows)] == rows


def test_values_do_not_depend_on_who_asked(flying: SearchConfig) -> None:
    """Each row of a search of several workers holds what the position is worth."""
    search(replace(flying, out="many", workers="4"))
    search(replace(flying, out="alone"))
    values = {row["key"]: row["items"] for row in history(Path("alone"))}
    shared = [row for row in history(Path("many")) if row["key"] in values]
    assert len(shared) >= 5 and all(values[row["key"]] == row["items"] for row in shared)


def test_what_has_no_rounds_is_refused(crew_config: SearchConfig, capsys: pytest.CaptureFixture[str]) -> None:
    words = search_words(crew_config)
    for bad, message in {
        "--async --optimizer pycma": "--async: the points of --optimizer pycma come in rounds",
        "--async --drop-n 0.2": "--async: has no rounds to drop evaluations of",
    }.items():
        code, _, err = swarm_llm(capsys, *words, *bad.split())
        assert code == 2 and message in err and err.count("\n") == 1, err
