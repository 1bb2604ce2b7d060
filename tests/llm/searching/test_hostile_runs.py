"""Run directories from strangers: read or refused in one line, by every command that opens one."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from search_helpers import files, questions, small, swarm_llm, write_task

from pyswarmopt_llm.report.run import search

ODD: list[Any] = [None, True, -1, 5, 10**400, "\ud800", [], {}, {"a": {}}]
DEEP = "[" * 100_000 + "]" * 100_000
COMMANDS: dict[str, list[str]] = {"resume": ["--quiet"], "report": []}


@pytest.fixture(scope="module")
def finished(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    task = write_task(folder / "words.json", questions(6, 1), questions(6, 2))
    other = write_task(folder / "more.json", questions(5, 3), questions(5, 4))
    config = small(
        tiny_base, tiny_experts, [task, other], folder / "run", particles=3, max_iter=1, confirm=2
    )
    search(config)
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy to spoil, finished."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def unfinished(run: Path) -> Path:
    """The same, as a search that was stopped before it could write its result."""
    (run / "result.json").unlink()
    return run


def in_one_line(code: int, out: str, err: str) -> None:
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1, (code, err)
    assert len(err) < 2000


def spoiled(value: Any, depth: int = 0) -> Iterator[Any]:
    """`value` with one of its parts, itself included, replaced or taken away."""
    yield from ODD
    if isinstance(value, dict) and depth < 4:
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            for part in spoiled(value[key], depth + 1):
                yield {**value, key: part}
    if isinstance(value, list) and value and depth < 4:
        yield value[:-1]
        for part in spoiled(value[0], depth + 1):
            yield [part, *value[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run.json", "result.json", "history.jsonl"])
def test_whatever_one_value_is_replaced_by_readers_answer_or_refuse(name: str, run: Path) -> None:
    """One value of a file after another, 150 of them: a page and a card, or a `UserError` of one
    line.
    """
    from pyswarmopt_llm.common.errors import UserError
    from pyswarmopt_llm.report.card import model_card
    from pyswarmopt_llm.report.reading import emergence, origin, read_run, searched
    from pyswarmopt_llm.report.report import render_report
    from pyswarmopt_llm.searching.scoring.run_files import result_of

    def everything() -> None:
        opened, result = read_run(run)
        render_report(opened.about, result, opened.rows)
        model_card(opened.about, result)
        emergence(result)
        origin(searched(opened.rows), result)
        result_of(run)
        _ = opened.config

    lines = (
        (run / name).read_text().splitlines()
        if name.endswith("jsonl")
        else [(run / name).read_text()]
    )
    last = json.loads(lines[-1])
    values = [*spoiled(copy.deepcopy(last))]
    assert len(values) > 100
    for value in random.Random(0).sample(values, min(len(values), 150)):
        (run / name).write_text(
            "\n".join([*lines[:-1], json.dumps(value)]) + "\n", encoding="utf-8"
        )
        try:
            everything()
        except UserError as error:
            assert "\n" not in str(error)
        except Exception as error:
            raise AssertionError(str(value)) from error


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["run.json", "result.json", "history.jsonl"])
@pytest.mark.parametrize("content", [DEEP, "9" * 5000, "", "\udcff"])
def test_absurd_content_is_one_line(
    command: str, name: str, content: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / name).write_bytes((content + "\n").encode(errors="surrogateescape"))
    if name == "history.jsonl" and command == "resume":  # which reads its store
        (unfinished(run) / name).rename(run / "results.jsonl")
    before = files(run)
    in_one_line(*swarm_llm(capsys, command, run, *COMMANDS[command]))
    assert files(run) == before


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("config", {}, "its config is damaged (no base)"),
        ("config", {"base": "b"}, "its config is damaged (no experts)"),
        ("config tasks", 5, "config tasks"),
        ("config experts", {"a": 1}, "config experts"),
        ("config particles", "20", "config particles"),
        ("config seed", None, "config seed"),
        ("fingerprints tasks", [], "fingerprints tasks"),
        ("chosen", 5, "chosen"),
        ("versions", [1], "versions"),
    ],
)
def test_a_wrong_value_of_run_json_is_named_by_file_and_field(
    place: str, value: Any, said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = json.loads((run / "run.json").read_text())
    *folder, name = place.split()
    (about[folder[0]] if folder else about)[name] = value
    (run / "run.json").write_text(json.dumps(about))
    before = files(run)
    code, out, err = swarm_llm(capsys, "report", run)
    in_one_line(code, out, err)
    assert f"run.json: {said}" in err
    assert files(run) == before


@contextmanager
def not_for_ever(seconds: int = 60) -> Iterator[None]:
    """A `TimeoutError` instead of a test that hangs: opening a named pipe waits, /dev/zero has no
    end.
    """

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["run.json", "result.json", "history.jsonl", ".owner"])
@pytest.mark.parametrize("kind", ["pipe", "device", "directory", "sparse"])
def test_what_is_no_bounded_file_is_refused_at_once(
    command: str, name: str, kind: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = run / name
    if command == "resume" and name != "result.json":
        unfinished(run)
        file = run / name.replace("history", "results")  # a resumed run reads its store
    file.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "directory":
        file.mkdir()
    else:
        with file.open("wb") as stream:
            stream.truncate(2**40)
    with not_for_ever():
        code, out, err = swarm_llm(capsys, command, run, *COMMANDS[command])
    if name != ".owner":  # which is not read where nobody holds the lock
        in_one_line(code, out, err)


# Links


@pytest.fixture
def treasure(tmp_path: Path) -> Path:
    """What a link in the run would overwrite."""
    folder = tmp_path / "treasure"
    folder.mkdir()
    (folder / "file").write_text("mine")
    (folder / "swarm.npz").write_text("mine")
    return folder


@pytest.mark.parametrize("name", ["report.html", ".1-0a1b2c3d.part"])
def test_report_does_not_write_through_a_link(
    name: str, run: Path, treasure: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(treasure / "file")
    os.utime(run / name, (0, 0), follow_symlinks=False)
    code, out, err = swarm_llm(capsys, "report", run)
    if name == "report.html":
        in_one_line(code, out, err)
        assert "symbolic link" in err
    else:
        assert code == 0 and not (run / name).is_symlink()
    assert files(treasure) == {"file": b"mine", "swarm.npz": b"mine"}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "report.html",
            "history.jsonl",
            "results.jsonl",
            "failures.jsonl",
            ".result.json.part",
            ".owner",
            ".lock",
        ),
        *("judge.jsonl", "checkpoint/swarm.npz", "checkpoint/.swarm.npz.part"),
    ],
)
def test_resume_does_not_write_through_a_link(
    name: str, run: Path, treasure: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = treasure / "file"
    if name == "results.jsonl":  # a store that could be gone on with
        target.write_bytes((run / name).read_bytes()[:-20])
    before = files(treasure)
    (unfinished(run) / name).unlink(missing_ok=True)
    (run / name).symlink_to(target)
    code, out, err = swarm_llm(capsys, "resume", run, "--quiet")
    in_one_line(code, out, err)
    assert "symbolic link" in err
    assert files(treasure) == before


@pytest.mark.parametrize("name", ["checkpoint", "best", "front", "tensorboard"])
def test_resume_does_not_write_into_a_linked_directory(
    name: str, run: Path, treasure: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(unfinished(run) / name, ignore_errors=True)
    (run / name).symlink_to(treasure)
    in_one_line(*swarm_llm(capsys, "resume", run, "--quiet"))
    assert files(treasure) == {"file": b"mine", "swarm.npz": b"mine"}


def test_analyse_does_not_write_into_a_linked_directory(
    run: Path, treasure: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "analysis").symlink_to(treasure)
    in_one_line(*swarm_llm(capsys, "analyse", run))
    assert files(treasure) == {"file": b"mine", "swarm.npz": b"mine"}


def test_a_checkpoint_is_not_written_through_a_link_in_its_temporary_place(tmp_path: Path) -> None:
    """The core's own writer, whose temporary name holds the number of the process."""
    import pyswarmopt as pso

    (tmp_path / "mine").write_text("mine")
    (tmp_path / f".swarm.npz.{os.getpid()}.tmp").symlink_to(tmp_path / "mine")
    swarm = pso.Swarm(3, 2, (0.0, 1.0), seed=0)
    swarm.save(tmp_path / "swarm.npz")
    assert (tmp_path / "mine").read_text() == "mine"
    assert pso.Swarm.load(tmp_path / "swarm.npz").iteration == swarm.iteration
