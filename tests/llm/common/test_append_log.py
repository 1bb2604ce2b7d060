"""Append-only logs: what is whole is read, once; what a crash left half-written is repaired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import AppendLog


def test_a_reader_gets_each_row_once_and_a_line_only_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    reader, writer = AppendLog(file), AppendLog(file)
    assert reader.read() == []
    writer.append({"a": 1})
    with file.open("a") as other:
        other.write('{"a": ')
    assert (reader.read(), reader.read()) == ([{"a": 1}], [])
    with file.open("a") as other:
        other.write("2}\n")
    assert reader.read() == [{"a": 2}]


def test_a_half_written_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"a": 1}\n{"a": ')
    log = AppendLog(file)
    assert log.repaired() == [{"a": 1}]
    log.append({"a": 2})
    assert file.read_text() == '{"a": 1}\n{"a": 2}\n'


def test_a_damaged_line_is_named_by_its_number_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    log = AppendLog(file, "remove it", lambda row: None if "a" in row else "a")
    log.append({"a": 1})
    assert log.read() == [{"a": 1}]
    log.append({"b": 2})
    with pytest.raises(
        UserError, match=r"log\.jsonl: line 2: a is missing or of a wrong type; remove it"
    ):
        log.read()


def test_a_log_with_several_writers_loses_the_damaged_line_alone(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"a": 1}\n{"a": ')
    log = AppendLog(file, remedy=None)
    assert log.repaired() == [{"a": 1}]
    log.append({"a": 2})
    assert file.read_text().startswith('{"a": 1}\n{"a": '), (
        "another process may have been writing it"
    )
    assert AppendLog(file, remedy=None).read() == [{"a": 1}, {"a": 2}]


def test_without_a_file_nothing_is_stored() -> None:
    log = AppendLog(None)
    log.append({"a": 1})
    assert log.repaired() == []


def test_rows_are_json(tmp_path: Path) -> None:
    AppendLog(tmp_path / "log.jsonl").append({"a": [0.1 + 0.2, "\u2028"]})
    assert [
        json.loads(line) for line in (tmp_path / "log.jsonl").read_text("ascii").splitlines()
    ] == [{"a": [0.1 + 0.2, "\u2028"]}]
