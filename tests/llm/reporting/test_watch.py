"""`swarm-llm watch`: it shows what the run itself reported, at any moment, without touching it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from search_helpers import files, louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.cli.runs.watch import follow
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.evaluation.run_files import OWNER, at_work, this_process
from pyswarmopt_llm.jobs.search.loop import search
from pyswarmopt_llm.reporting.follow import Follower, Status
from pyswarmopt_llm.reporting.terminal.state import SearchState


@pytest.fixture(scope="module")
def finished(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Event]]:
    """A run with a trial of option letters, and its events."""
    folder = tmp_path_factory.mktemp("watch")
    task = write_task(folder / "words.json", questions(12, 1), questions(6, 2))
    events: list[Event] = []
    experts = louder(tiny_experts, folder)
    search(small(tiny_base, experts, [task], folder / "run", scoring="auto", patience=9), events.append)
    return folder / "run", events


def copied(run: Path, to: Path, lines: int | None = None, owner: str | None = None) -> Path:
    """The run as it was when its journal had so many lines."""
    to.mkdir()
    (to / "run.json").write_bytes((run / "run.json").read_bytes())
    journal = (run / "history.jsonl").read_bytes().splitlines(keepends=True)
    (to / "history.jsonl").write_bytes(b"".join(journal[:lines]))
    if owner is not None:
        (to / OWNER).write_text(owner)
    return to


def state_of(events: list[Event]) -> dict[str, Any]:
    state = SearchState()
    for event in events:
        state.add(event)
    return {**vars(state), "_latest": list(state._latest), "run": None}


# The follower


def test_a_finished_run_gives_the_state_that_its_own_events_gave(finished: tuple[Path, list[Event]]) -> None:
    run, events = finished
    follower = Follower(run)
    seen = follower.news()
    assert follower.status is Status.FINISHED and follower.news() == []
    assert state_of(seen) == state_of(events)
    assert [e.data for e in seen if e.kind == "evaluation"] == [e.data for e in events if e.kind == "evaluation"]
    assert [e.data["iteration"] for e in seen if e.kind == "iteration"] == [0, 1, 2, 3]
    assert {e.kind for e in events} - {e.kind for e in seen} == {"note", "closing"}  # not in the files


def test_a_run_that_is_written_byte_by_byte_is_told_line_by_line(
    finished: tuple[Path, list[Event]], tmp_path: Path
) -> None:
    run, events = finished
    path = tmp_path / "run"
    follower = Follower(path)
    assert follower.news() == [] and follower.status is Status.ABSENT
    copied(run, path, lines=0, owner=this_process())
    data = (run / "history.jsonl").read_bytes()
    seen: list[Event] = []
    for start in range(0, len(data), 97):
        with (path / "history.jsonl").open("ab") as file:
            file.write(data[start : start + 97])
        seen += follower.news()
    reported = [event.data for event in events if event.kind in ("trial", "evaluation")]
    assert [event.data for event in seen if event.kind in ("trial", "evaluation")] == reported
    assert follower.status is Status.RUNNING


def test_following_writes_nothing_and_leaves_the_lock_alone(finished: tuple[Path, list[Event]], tmp_path: Path) -> None:
    run = copied(finished[0], tmp_path / "run", lines=7)
    run.chmod(0o555)
    before = {path: path.stat() for path in [run, *run.rglob("*")]}
    content = files(run)
    assert Follower(run).news()
    assert {path: path.stat().st_mtime_ns for path in before} == {p: s.st_mtime_ns for p, s in before.items()}
    assert files(run) == content
    run.chmod(0o755)


def test_a_damaged_line_is_named_however_late_it_comes(finished: tuple[Path, list[Event]], tmp_path: Path) -> None:
    run = copied(finished[0], tmp_path / "run", lines=5)
    follower = Follower(run)
    follower.news()
    with (run / "history.jsonl").open("a") as file:
        file.write('{"phase": "search"}\n')
    with pytest.raises(UserError, match="line 6: damaged"):
        follower.news()


@pytest.mark.parametrize(
    ("owner", "alive"),
    [(this_process(), True), ("process 1 on elsewhere.example", True), ("nonsense", False), ("", False), (None, False)],
    ids=["this process", "elsewhere", "nonsense", "empty", "none"],
)
def test_who_is_at_work(owner: str | None, alive: bool, tmp_path: Path) -> None:
    if owner is not None:
        (tmp_path / OWNER).write_text(owner)
    assert at_work(tmp_path) == alive


def test_a_process_that_was_killed_is_not_at_work(tmp_path: Path) -> None:
    script = (
        f"from pathlib import Path; from pyswarmopt_llm.evaluation.run_files import this_process; import os, signal\n"
        f"Path({str(tmp_path / OWNER)!r}).write_text(this_process()); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert (tmp_path / OWNER).read_text().startswith("process ")
    assert not at_work(tmp_path)


def test_follow_ends_with_the_run_and_with_its_process(finished: tuple[Path, list[Event]], tmp_path: Path) -> None:
    run, _ = finished
    path = copied(run, tmp_path / "run", lines=4, owner=this_process())
    events: list[Event] = []
    follower = Follower(path)
    thread = threading.Thread(target=follow, args=(follower, events.append, 0.01))
    thread.start()
    copied(run, tmp_path / "whole")
    os.replace(tmp_path / "whole" / "history.jsonl", path / "history.jsonl")
    (path / "best").mkdir()
    (tmp_path / "result.json").write_bytes((run / "result.json").read_bytes())
    os.replace(tmp_path / "result.json", path / "result.json")  # at once, as a search writes it
    thread.join(timeout=10)
    assert not thread.is_alive() and events[-1].kind == "done"
    stopped = Follower(copied(run, tmp_path / "stopped", lines=4))
    follow(stopped, events.append, 0.01)
    assert stopped.status is Status.STOPPED


# The command


def test_once_shows_a_finished_run_and_its_table(
    finished: tuple[Path, list[Event]], capsys: pytest.CaptureFixture[str]
) -> None:
    run, events = finished
    code, out, err = swarm_llm(capsys, "watch", run, "--once")
    result = events[-1].data["result"]
    assert (code, err) == (0, "")
    assert f"best dev {result['best_dev']:.3f}" in out and "3 of 3 iterations" in out and "finished" in out
    assert "the best single expert, " in out


def test_once_of_a_killed_run_says_how_to_go_on(
    finished: tuple[Path, list[Event]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(finished[0], tmp_path / "a run", lines=6, owner="process 999999999 on nowhere")
    (run / OWNER).write_text(this_process().replace(str(os.getpid()), "999999999"))
    code, out, _ = swarm_llm(capsys, "watch", run, "--once")
    assert code == 0 and f"stopped; resume with: swarm-llm resume '{run}'" in out
    assert swarm_llm(capsys, "watch", run)[0] == 1


def test_once_of_a_run_in_its_trial_of_letters(
    finished: tuple[Path, list[Event]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(finished[0], tmp_path / "run", lines=2, owner=this_process())
    assert "trying option letters: 2 scored" in swarm_llm(capsys, "watch", run, "--once")[1]


def test_a_run_that_has_not_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = swarm_llm(capsys, "watch", tmp_path / "later", "--once")
    assert code == 0 and "not started yet" in out


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    code, _, err = swarm_llm(capsys, "watch", tmp_path, "--once")
    assert code == 2 and err.count("\n") == 1 and "not a run directory" in err


def test_json_of_the_state_and_of_the_events(
    finished: tuple[Path, list[Event]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, events = finished
    code, out, _ = swarm_llm(capsys, "watch", run, "--once", "--json-lines")
    state = json.loads(out)
    result = events[-1].data["result"]
    assert code == 0 and state["status"] == "finished" and state["best"] == result["best_dev"]
    assert state["stops"]["max_iter"] == {"used": 3, "limit": 3}
    code, out, _ = swarm_llm(capsys, "watch", run, "--json-lines")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and (lines[0]["event"], lines[-1]["event"]) == ("start", "done")
    assert lines[-1]["result"] == result


def test_looking_on_needs_no_torch(finished: tuple[Path, list[Event]]) -> None:
    script = f"""
import sys
from pyswarmopt_llm.cli import main
try:
    main(["watch", {str(finished[0])!r}, "--once"])
except SystemExit:
    pass
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, capture_output=True).returncode == 0
