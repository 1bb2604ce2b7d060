"""Several workers find what one process finds, to the bit; a death ends the search, which resumes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from socket import gethostname

import pytest
import torch
from search_helpers import MakeSearch, ends_as, history, stopped
from workers_helpers import plan, same_end

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.scorer import Evaluate
from pyswarmopt_llm.searching.workers import Worker


@pytest.fixture
def fragile(crew_config: SearchConfig) -> SearchConfig:
    """A search for the score of `workers_helpers`."""
    score = f"{Path(crew_config.tasks[0]).parent}/fragile.py:fragile"
    return replace(crew_config, metrics=(score,), max_new_tokens=1)


def test_two_find_the_same_with_drops_and_after_a_death(fragile: SearchConfig, here: Path) -> None:
    settings = replace(fragile, drop_n=0.2)
    search(replace(settings, out="peace"))
    plan(fragile, {7: "die"})
    with pytest.raises(UserError, match=re.escape("a worker ended; scores are kept")):
        search(replace(settings, out="war", workers="2"))
    plan(fragile, {})
    resume("war", allowed=fragile.metrics)
    same_end("war", "peace")


def test_two_train_what_one_trains_and_what_is_trained_stays(
    words_search: MakeSearch, tmp_path: Path
) -> None:
    config = words_search(8, 12, space="delta", train="on", dtype="float32")
    search(replace(config, out=str(tmp_path / "one")))
    run = stopped(replace(config, out=str(tmp_path / "two"), workers="2"), 3, "training")
    kept = {path: path.stat().st_mtime_ns for path in run.glob("trained/*/*/*.safetensors")}
    assert len(kept) == 3
    events = list[Event]()
    resume(run, events.append)
    shares = [event.data["share"] for event in events if event.kind == "training"]
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    ends_as(run, tmp_path / "one")
    assert shares == sorted(shares)
    for path in run.glob("trained/*/*/*.safetensors"):
        assert path.read_bytes() == (tmp_path / "one" / path.relative_to(run)).read_bytes()


@pytest.mark.parametrize("batch", [None, 2])
def test_proposals_depend_on_the_batch_and_not_on_the_workers(
    batch: int | None, fragile: SearchConfig, here: Path
) -> None:
    """Of a model of scores, which once proposed as many candidates as there were workers."""
    plan(fragile, {})
    settings = replace(
        fragile, **{"method": "scores", "particles": None, "max_iter": None, "proposals": 4}
    )
    lines: list[str] = []
    search(replace(settings, out="one", batch=batch))
    search(
        replace(settings, out="two", batch=batch, workers="2"),
        lambda event: lines.append(str(event.data.get("text", ""))),
    )
    same_end("two", "one")
    idle = [line for line in lines if "batch 2 keeps all busy" in line]
    assert len(idle) == (batch is None)


def test_free_workers_go_on_and_a_death_costs_no_score(fragile: SearchConfig, here: Path) -> None:
    """Without rounds: what is resumed has the rows of before, in their order."""
    plan(fragile, {8: "die"})
    settings = replace(
        fragile,
        **{"method": "scores", "particles": None, "max_iter": None, "proposals": 6},
        asynchronous=True,
        workers="2",
        out="war",
    )
    under_way: list[int] = []
    with pytest.raises(UserError, match=re.escape("a worker ended; scores are kept")):
        search(settings, lambda event: under_way.append(event.data.get("under_way", 0)))
    assert max(under_way) in (1, 2)  # beside the one that is told
    before = history(Path("war"))
    plan(fragile, {})
    resume("war", allowed=fragile.metrics)
    after = history(Path("war"))
    assert 0 < len(before) < len(after) and after[: len(before)] == before
    keys = [row["key"] for row in after if row["phase"] == "search"]
    assert len(keys) == len(set(keys))


def test_a_worker_refuses_other_files(crew_config: SearchConfig, here: Path) -> None:
    job = prepare(replace(crew_config, scoring="likelihood"))
    request = job.pool.space.vertices()[0]
    worker = Worker(job.config, job.fingerprints, {"words": "likelihood"})
    there = worker.do(Evaluate(request))
    here_ = job.evaluator("dev", {"words": "likelihood"}).answer(request)
    assert replace(there, seconds=0.0) == replace(here_, seconds=0.0)  # type: ignore[type-var]
    tasks = {"tasks": {**job.fingerprints["tasks"], "words": "other"}}
    other = Worker(job.config, {**job.fingerprints, "base": "other files", **tasks}, {})
    where = f"the worker on {gethostname()} has other"
    with pytest.raises(UserError, match=f"^{where} files: base, tasks words; .*resume"):
        other.do(Evaluate(torch.zeros(1)))
    assert other.fault().startswith(where) and worker.fault() == ""
    newer = replace(worker, versions={**worker.versions, "torch": "99"})
    assert newer.fault().startswith(f"{where} versions: torch; ")
