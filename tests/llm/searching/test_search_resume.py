"""A run that is stopped, anywhere and in any way, and resumed ends as the run that never was."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from search_helpers import (
    MakeSearch,
    Shell,
    ends_as,
    files,
    history,
    questions,
    small,
    stopped,
    write_task,
)

import pyswarmopt as pso
from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.run.directory import RunDirectory

pytestmark = pytest.mark.usefixtures("here")
OUT = "run"  # relative, so that two runs are asked for with the same words


@pytest.fixture(scope="module")
def config(make_search: MakeSearch, tmp_path_factory: pytest.TempPathFactory) -> SearchConfig:
    more = {"particles": 4, "max_iter": 2, "scoring": "auto"}
    return make_search(tmp_path_factory.mktemp("task"), 16, 8, out=OUT, **more)


@pytest.fixture(scope="module")
def reference(config: SearchConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was never stopped."""
    with contextlib.chdir(tmp_path_factory.mktemp("reference")):
        search(config)
        return Path(OUT).resolve()


def copy(reference: Path) -> Path:
    """A copy of the finished run that can be damaged."""
    shutil.copytree(reference, OUT)
    return Path(OUT)


def unfinished(reference: Path) -> Path:
    run = copy(reference)
    for name in ("result.json", "report.html"):
        (run / name).unlink()
    return run


def test_a_damaged_result_is_told_with_what_works(reference: Path) -> None:
    run = copy(reference)
    weights = run / "best" / "adapter_model.safetensors"
    whole = files(run / "best")
    weights.write_bytes(weights.read_bytes()[:-9])
    told = "best (adapter_model.safetensors) changed since the run began; remove run/best, and"
    with pytest.raises(UserError) as error:
        resume(run)
    assert told in error.value.text
    shutil.rmtree(run / "best")
    resume(run)
    assert files(run / "best") == whole


def test_a_run_stopped_at_every_second_evaluation(config: SearchConfig, reference: Path) -> None:
    rows = history(reference)
    searched = [row for row in rows if row["phase"] == "search"]
    assert len(rows) > len(searched) >= 9  # letters were tried, and particles moved
    assert len({row["value"] for row in searched}) > 2  # or resuming wrongly might go unseen
    for k in range(1, len(searched) + 1, 2):
        stopped(config, k)
        assert history(Path(OUT)) == rows[: len(rows) - len(searched) + k]
        assert not (Path(OUT) / "result.json").exists()
        resume(OUT)
        ends_as(Path(OUT), reference)
        shutil.rmtree(OUT)


class Death(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), Death()])
def test_what_fails_or_dies_at_any_write_is_resumed(
    error: BaseException,
    config: SearchConfig,
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sample of the places where a file is made durable."""
    written = len((reference / "results.jsonl").read_text().splitlines())
    for number in random.Random(3).sample(range(1, written), 4):
        left = iter(range(number))

        def fsync(file: int, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise error

        folder = tmp_path / str(number)
        folder.mkdir()
        with contextlib.chdir(folder):
            with monkeypatch.context() as patched, pytest.raises((OSError, Death)):
                patched.setattr(os, "fsync", fsync)
                search(config)
            resume(OUT)
            ends_as(Path(OUT), reference)


def test_a_run_without_its_checkpoint(config: SearchConfig, reference: Path) -> None:
    stopped(config, 6)
    shutil.rmtree(Path(OUT) / "checkpoint")
    (Path(OUT) / "checkpoint").mkdir()
    resume(OUT)
    ends_as(Path(OUT), reference)
    assert files(Path(OUT) / "checkpoint") == files(reference / "checkpoint")


def test_stopped_while_the_result_was_written(reference: Path) -> None:
    run = unfinished(reference)
    (run / "best" / "adapter_model.safetensors").write_bytes(b"half")
    (run / "best" / "README.md").unlink()
    resume(OUT)
    ends_as(run, reference)
    assert (run / "report.html").is_file()


@pytest.mark.parametrize(
    "more",
    [
        {"paper": True},
        {"space": "delta", "paper": False, "reference": True},
        {"drop_k": 0.3, "drop_n": 0.3, "max_iter": 4},
    ],
)
def test_every_space_resumes(more: dict[str, Any], config: SearchConfig) -> None:
    settings = replace(config, **{"scoring": "likelihood", **more})
    for folder in ("a", "b"):
        Path(folder).mkdir()
    with contextlib.chdir("a"):
        search(settings)
    with contextlib.chdir("b"):
        stopped(settings, 7)
        resume(OUT)
        ends_as(Path(OUT), Path("../a") / OUT)


# What may not change between start and resume


@pytest.fixture
def begun(tiny_base: Path, experts: list[Path]) -> Path:
    """A stopped run over files of its own: base, experts/NAME and words.json in the current
    directory.
    """
    shutil.copytree(tiny_base, "base")
    names = [Path("experts") / expert.name for expert in experts]
    for expert, name in zip(experts, names, strict=True):
        shutil.copytree(expert, name)
        file = name / "adapter_config.json"
        own = {**json.loads(file.read_text()), "base_model_name_or_path": os.path.abspath("base")}
        file.write_text(json.dumps(own))
    write_task(Path("words.json"), questions(8, 1), questions(8, 2))
    return stopped(small(Path("base"), names, [Path("words.json")], OUT), 6)


def flip_last_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))


BEE = Path("experts/bee/adapter_model.safetensors")


def change_dev() -> None:
    write_task(Path("words.json"), questions(8, 3), questions(8, 2))


def change_seed() -> None:
    about = json.loads(Path(OUT, "run.json").read_text())
    about["config"]["seed"] += 1
    Path(OUT, "run.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (partial(flip_last_byte, BEE), "experts (bee)"),
        (partial(flip_last_byte, Path("base/model.safetensors")), "base"),
        (change_dev, "tasks (words)"),
        (change_seed, "settings"),
    ],
)
def test_a_run_does_not_go_on_with_other_files(
    change: Callable[[], None], name: str, begun: Path, shell: Shell
) -> None:
    change()
    before = files(begun)
    assert f"{name} changed since" in shell.refused("resume", begun, "--quiet")
    assert files(begun) == before


def test_a_replay_that_differs_from_the_checkpoint_is_refused(config: SearchConfig) -> None:
    checkpoint = stopped(config, 2, "iteration") / "checkpoint" / "swarm.npz"
    swarm = pso.Swarm.load(checkpoint)
    state = swarm.state_dict()
    state["positions"][0, 0] += 1e-15
    swarm.load_state_dict(state)
    swarm.save(checkpoint)
    before = files(Path(OUT))
    with pytest.raises(UserError, match="iteration 1 differs"):
        resume(OUT)
    assert files(Path(OUT)) == before


def test_a_damaged_checkpoint_is_named(config: SearchConfig) -> None:
    checkpoint = stopped(config, 2, "iteration") / "checkpoint" / "swarm.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"swarm\.npz.*remove the file"):
        resume(OUT)
    checkpoint.unlink()
    assert resume(OUT).result["evaluations"] > 0


def test_a_second_process_is_kept_off(config: SearchConfig, shell: Shell) -> None:
    stopped(config, 4)
    journal = Path(OUT) / "results.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"what": "sea')  # what the other process is about to complete
    before = files(Path(OUT))
    program = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
        "print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(Path(OUT) / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        err = shell.refused("resume", OUT, "--quiet")
    finally:
        holder.communicate()
    assert "another process" in err
    assert files(Path(OUT)) == before
    whole = [json.loads(line) for line in journal.read_bytes().splitlines()[:-1]]
    assert all((row["what"], row["who"]) in RunDirectory(Path(OUT)).store.known for row in whole)
    resume(OUT)  # the lock died with its holder
