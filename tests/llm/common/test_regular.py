"""Files of untrusted directories, and logs of JSON lines that a crash may have cut short."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO

import pytest
from typing_extensions import TypedDict

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files import regular
from pyswarmopt_llm.common.files.regular import (
    AppendLog,
    atomic_directory,
    check_empty,
    check_free,
    locked,
    temporary,
    write_json,
    write_text,
)

SIZE = 200_000


def test_a_file_that_two_write_is_always_whole(tmp_path: Path) -> None:
    file, done = tmp_path / "result.json", threading.Event()
    write_text(file, "0" * SIZE)
    torn: list[str] = []

    def write(letter: str) -> None:
        for _ in range(40):
            write_text(file, letter * SIZE)

    def read() -> None:
        while not done.is_set():
            text = file.read_text()
            if len(text) != SIZE or len(set(text)) != 1:
                torn.append(text[:9])

    with ThreadPoolExecutor(4) as pool:
        reading = pool.submit(read)
        writing = [pool.submit(write, letter) for letter in "abc"]
        try:
            for future in writing:
                future.result()
        finally:
            done.set()
        reading.result()
    assert torn == [] and [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_mark_that_another_process_sweeps_before_its_lock_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = regular._lock, []

    def late(file: IO[bytes]) -> bool:
        if not swept:
            swept.append(file.name)
            Path(file.name).unlink()
        return lock(file)

    monkeypatch.setattr(regular, "_lock", late)
    with temporary(tmp_path / "file") as part:
        mark = part.with_suffix(regular._MARK)
        assert mark.exists() and str(mark) not in map(str, swept)
    assert swept and not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_goes_and_what_another_writes_stays(tmp_path: Path) -> None:
    script = """
import os, signal
from pathlib import Path
from pyswarmopt_llm.common.files.regular import write_text
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
write_text(Path("file"), "half")
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path)
    killed = {path.name for path in tmp_path.iterdir()}
    assert len(killed) == 2  # half of the file, and the mark of its writer
    with temporary(tmp_path / "file") as other:
        other.write_text("another thread's")
        write_text(tmp_path / "file", "whole")
        left = {path.name for path in tmp_path.iterdir()}
        assert {"file", other.name} < left and not killed & left
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


WRITER = """
import sys
from pathlib import Path
from pyswarmopt_llm.common.files.regular import atomic_directory
with atomic_directory(Path("theirs")) as folder:
    print("writing", flush=True)
    sys.stdin.read()
    (folder / "file").write_text("whole")
"""


def test_what_is_written_in_another_container_is_left_alone(tmp_path: Path) -> None:
    """There the writer's number is that of no process here, or of another one."""
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*unshare, "true"], capture_output=True).returncode
    ):
        unshare = []  # no containers here: another process
    command = [*unshare, sys.executable, "-c", WRITER]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdin is not None and writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        with atomic_directory(tmp_path / "ours"):
            pass
        writer.stdin.close()
        assert writer.wait(60) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours", "theirs"]
    assert (tmp_path / "theirs" / "file").read_text() == "whole"


def test_what_cannot_be_replaced_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty directory may be a mount point, which no rename replaces."""
    out = tmp_path / "out"
    out.mkdir()
    check_free(out)
    check_free(tmp_path / "new" / "out")

    def busy(source: object, target: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(os, "replace", busy)
    check_empty(out)  # a run, whose files are written one by one, may be there
    with pytest.raises(UserError, match=r"cannot be replaced .*busy.*such as .*result"):
        check_free(out)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"check that .*file is a directory"):
        check_free(tmp_path / "file" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_an_error_of_the_disk_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(number: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fails)
    for write in (AppendLog(tmp_path / "log.jsonl").append, partial(write_json, tmp_path / "file")):
        with pytest.raises(OSError, match=r"Input/output error: '.*(log\.jsonl|file)'"):
            write({"a": 1})


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with (
        locked(file),
        pytest.raises(UserError, match="another process"),
        locked(file),
    ):
        pass
    with locked(file):
        file.unlink()
    with locked(file):
        assert file.exists()


def test_a_reader_gets_a_line_only_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    reader, writer = AppendLog(file), AppendLog(file)
    assert reader.read() == []
    writer.append({"a": 1})
    with file.open("a") as other:
        other.write('{"a": ')
    assert reader.read() == [{"a": 1}]
    with file.open("a") as other:
        other.write("2}\n")
    assert reader.read() == [{"a": 1}, {"a": 2}]


def test_a_half_written_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"a": 1}\n{"a": ')
    log = AppendLog(file)
    assert log.read(repair=True) == [{"a": 1}]
    log.append({"a": 2})
    assert file.read_text() == '{"a": 1}\n{"a": 2}\n'


def test_a_damaged_line_is_named_by_its_number_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    log = AppendLog(file, "remove it", TypedDict("Line", {"a": int}))
    log.append({"a": 1})
    assert log.read() == [{"a": 1}]
    log.append({"b": 2})
    with pytest.raises(UserError, match=r"log\.jsonl: line 2: a is missing"):
        log.read()


def test_every_file_of_a_written_directory_has_the_mode_of_a_new_file(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "best") as folder:
        (folder / "deep").mkdir()
        for name in ("config.json", "adapter_model.safetensors", "deep/model.safetensors"):
            (folder / name).touch(0o600)
    usual = tmp_path / "usual"
    usual.touch()
    written = [path for path in (tmp_path / "best").rglob("*") if path.is_file()]
    assert len(written) == 3
    assert {path.stat().st_mode for path in written} == {usual.stat().st_mode}
    assert os.access(tmp_path / "best" / "deep", os.X_OK)
