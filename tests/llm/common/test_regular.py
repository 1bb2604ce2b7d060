"""Files that several write at the same time, and what killed writers leave."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.lock import locked
from pyswarmopt_llm.common.files.regular import replacing, write_text

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


def test_what_a_killed_writer_left_goes_and_what_another_writes_stays(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    old, link, new, other = (
        tmp_path / name
        for name in (".1-0a1b2c3d.part", ".2-0a1b2c3d.part", ".3-0a1b2c3d.part", ".mine.part")
    )
    for path in (old, new, other):
        path.write_text("half")
    link.symlink_to(treasure)
    hours_ago = time.time() - 2 * 3600
    for path in (old, link, other):
        os.utime(path, (hours_ago, hours_ago), follow_symlinks=False)
    write_text(tmp_path / "file", "whole")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"treasure", "file", ".3-0a1b2c3d.part", ".mine.part"}
    assert treasure.read_text() == "mine"


def test_a_block_that_fails_leaves_the_file(tmp_path: Path) -> None:
    file = tmp_path / ("long" * 60)  # no room for a longer name
    write_text(file, "before")
    with pytest.raises(KeyError), replacing(file) as stream:
        stream.write(b"half")
        raise KeyError
    assert file.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with (
        locked(file),
        pytest.raises(UserError, match="another process writes it; wait for that one"),
        locked(file),
    ):
        pass
    with locked(file):
        file.unlink()
    with locked(file):
        assert file.exists()
