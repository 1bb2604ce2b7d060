"""Numbers that are too large for anything are refused in one line that says the limit."""

from __future__ import annotations

import pytest

import pyswarmopt.cli
import pyswarmopt.cli.app


def test_a_swarm_beyond_memory_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        pyswarmopt.cli.main(
            [*"run sphere --dim 1000000 --particles 1000000 --recipe constriction".split()]
        )
    assert exit_info.value.code == 2
    err = capsys.readouterr().err
    assert "1000000 x 1000000 numbers" in err and err.count("\n") == 1
