"""Files from strangers: whatever they hold, one line that names the file, and nothing runs, escapes
or is overwritten.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_helpers import MakeSearch, Shell, files, questions, swarm_llm, write_task

from pyswarmopt_llm.api import search
from pyswarmopt_llm.cli.options import from_file
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.adapter import read_adapter
from pyswarmopt_llm.experts.files import read_json
from pyswarmopt_llm.published.datasets import read_rows
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.training.examples import load_examples


@contextmanager
def not_for_ever(seconds: int = 300) -> Iterator[None]:
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


# ---------------------------------------------------------------- the corpus


def nested(levels: int) -> str:
    return levels * "[" + levels * "]"


# What stands in the place of a value.
VALUES = {
    "deep": nested(50_000),
    "digits": "9" * 5000,
    "cut": '"',
}
CONTENTS = {"nothing": b"", "no text": b"\xff\xfe\n", "deep": nested(100_000).encode() + b"\n"}


def sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(2**40)


# What is no file of a bounded size.
KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "directory": Path.mkdir,
    "sparse": sparse,
    **{name: lambda path, text=text: path.write_bytes(text) for name, text in CONTENTS.items()},
}

ITEM = '{"question": "q?", "choices": ["a", "b"], "answer": "A"}'
Reader = Callable[[Path], object]
READERS: dict[str, tuple[str, Reader]] = {
    "task": (f'{{"dev": [{ITEM}], "test": [{ITEM}], "more": X}}', lambda p: load_task(str(p))),
    "item": ('{"dev": [{"question": "q", "answer": "a", "m": X}]}', lambda p: load_task(str(p))),
    "rows": ('[{"question": X}]', read_rows),
    "examples": ('{"messages": X}', lambda p: load_examples(str(p), None, 0)),
    "model": ('{"a": X}', read_json),
    "adapter": ('{"peft_type": "LORA", "r": X}', lambda p: read_adapter(p.parent)),
    "options": ("a = X", lambda path: from_file(["--config", str(path)])),
}
NAMES = {"adapter": "adapter_config.json", "options": "o.toml", "examples": "e.jsonl"}


@pytest.mark.parametrize("hostile", [*VALUES, *KINDS])
@pytest.mark.parametrize("reader", READERS)
def test_a_hostile_file_is_one_line_that_names_it(
    reader: str, hostile: str, tmp_path: Path
) -> None:
    text, read = READERS[reader]
    path = tmp_path / NAMES.get(reader, "file.json")
    if hostile in VALUES:
        path.write_text(text.replace("X", VALUES[hostile]))
    else:
        KINDS[hostile](path)
    if (reader, hostile) == ("options", "nothing"):
        read(path)
        return
    with not_for_ever(), pytest.raises(UserError) as raised:
        read(path)
    assert path.name in str(raised.value) and len(str(raised.value)) < 500


# ---------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def finished(make_search: MakeSearch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    config = make_search(folder, 6, 6, particles=3, max_iter=1)
    more = write_task(folder / "more.json", questions(5, 3), questions(5, 4))
    return search(replace(config, tasks=(*config.tasks, str(more)))).run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy to spoil, finished."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


Capsys = pytest.CaptureFixture[str]


def unfinished(run: Path) -> Path:
    """The same, as a search that was stopped before it could write its result."""
    (run / "result.json").unlink()
    return run


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *[("report", name) for name in ("run.json", "result.json", "history.jsonl")],
        *[("resume", name) for name in ("run.json", "result.json", "results.jsonl", ".owner")],
    ],
)
@pytest.mark.parametrize("hostile", KINDS)
def test_a_hostile_file_in_a_run_is_one_line_and_nothing_is_written(
    command: str, name: str, hostile: str, run: Path, shell: Shell, capsys: Capsys
) -> None:
    if command == "resume" and name != "result.json":
        unfinished(run)
    (run / name).unlink(missing_ok=True)
    KINDS[hostile](run / name)
    before = {path: path.lstat().st_mtime_ns for path in run.iterdir()}
    words = ["--quiet"] if command == "resume" else []
    # nobody holds the lock, so its owner is not read; an empty store holds nothing
    empty = hostile == "nothing" and name.endswith(".jsonl")
    if name == ".owner" or empty:
        with not_for_ever():
            swarm_llm(capsys, command, run, *words)
    else:
        with not_for_ever():
            shell.refused(command, run, *words)
        changed = {path for path, when in before.items() if path.lstat().st_mtime_ns != when}
        assert not {path.name for path in changed} - {".lock", ".owner"}


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("config", {}, "config base is missing"),
        ("config", {"base": "b"}, "config experts is missing"),
        *[(f"config {name}", value, f"config {name}") for name, value in
          {"tasks": 5, "experts": {"a": 1}, "particles": "20", "seed": None}.items()],
        ("versions", [1], "versions"),
    ],
)  # fmt: skip
def test_a_wrong_value_of_run_json_is_named_by_file_and_field(
    place: str, value: Any, said: str, run: Path, shell: Shell
) -> None:
    about = json.loads((run / "run.json").read_text())
    *folder, name = place.split()
    (about[folder[0]] if folder else about)[name] = value
    (run / "run.json").write_text(json.dumps(about))
    before = files(run)
    assert f"run.json: {said}" in shell.refused("report", run) and files(run) == before


# ---------------------------------------------------------------- links


@pytest.fixture
def treasure(tmp_path: Path) -> Path:
    """What a link in the run would overwrite."""
    (tmp_path / "treasure").mkdir()
    for name in ("file", "swarm.npz"):
        (tmp_path / "treasure" / name).write_text("mine")
    return tmp_path / "treasure"


LINKED = ("report.html", "history.jsonl", "results.jsonl", ".result.json.part")
LINKED += (".owner", ".lock", "judge.jsonl", "checkpoint/swarm.npz", "checkpoint/.swarm.npz.part")


@pytest.mark.parametrize(
    ("command", "name", "folder"),
    [
        ("report", "report.html", False),
        *[("resume", name, False) for name in LINKED],
        *[("resume", name, True) for name in ("checkpoint", "best", "front")],
    ],
)
def test_nothing_is_written_through_a_link(
    command: str, name: str, folder: bool, run: Path, treasure: Path, shell: Shell
) -> None:
    if name == "results.jsonl":  # a store that could be gone on with
        (treasure / "file").write_bytes((run / name).read_bytes()[:-20])
    before = files(treasure)
    if command == "resume":
        unfinished(run)
    if folder:
        shutil.rmtree(run / name, ignore_errors=True)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(treasure if folder else treasure / "file")
    words = ["--quiet"] if command == "resume" else []
    shell.refused(command, run, *words)
    assert files(treasure) == before


# ---------------------------------------------------------------- code, secrets, names


def test_code_in_a_model_directory_is_not_run(
    words_search: MakeSearch, tmp_path: Path, shell: Shell
) -> None:
    found, sprung = words_search(6, 6), tmp_path / "sprung"
    base = shutil.copytree(found.base, tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "trap.Trap", "AutoConfig": "trap.Trap"}
    config["model_type"] = "unheard-of"
    (base / "config.json").write_text(json.dumps(config))
    (base / "trap.py").write_text(f"open({str(sprung)!r}, 'w').close()\nclass Trap: pass\n")
    shell.refused("eval", "--base", base, "--task", *found.tasks)
    assert not sprung.exists()


def test_an_adapter_whose_weights_are_a_link_elsewhere_gives_nothing_away(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, capsys: Capsys
) -> None:
    (tmp_path / "secret.txt").write_text("correct horse battery staple " * 10)
    expert = shutil.copytree(tiny_experts[0], tmp_path / "linked")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (expert / name).unlink()
        (expert / name).symlink_to(tmp_path / "secret.txt")
    _, out, err = swarm_llm(capsys, "inspect", "--base", tiny_base, expert)
    assert "horse" not in out + err
