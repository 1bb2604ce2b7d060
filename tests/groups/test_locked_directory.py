"""The directory of an ensemble or a comparison: what a second call finds in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyswarmopt_groups.locked_directory import check_directory, open_directory
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import read_json


def test_a_directory_without_a_result_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with open_directory(path, {"seed": 1}, {"task": "old"}):
        pass  # an error, before anything was stored
    check_directory(path, {"seed": 2}, (), "an ensemble")
    with open_directory(path, {"seed": 2}, {"task": "mended"}) as store:
        store.add("member", "ant", {})
    assert read_json(path / "about.json")["config"] == {"seed": 2}

    with pytest.raises(UserError, match="started with 2"):
        check_directory(path, {"seed": 1}, (), "an ensemble")
    with (
        pytest.raises(UserError, match="have changed"),
        open_directory(path, {"seed": 2}, {"task": "old"}),
    ):
        pass
