"""What both commands print: no control character from outside reaches the terminal, and nothing is
echoed at length; what a user is told.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from search_helpers import swarm_llm

import pyswarmopt.cli
import pyswarmopt_llm.cli.app
from pyswarmopt.base.words import LIMIT
from pyswarmopt.cli.terminal import complain
from pyswarmopt_llm.cli import app
from pyswarmopt_llm.use import generate

BELL, RED, BIDI = "\x07", "\x1b[31m", "\u202e"


def run(main: Callable[..., None], *argv: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    return int(exit_info.value.code or 0)


@pytest.mark.parametrize("long", ["x" * 5000, "two words " * 500])
def test_values_of_the_command_line_are_cut(long: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert complain(f"--task {long}: no such task file; check path and folder") == 2
    err = capsys.readouterr().err
    assert len(err) < 600 and err.endswith("check path and folder\n")


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (pyswarmopt_llm.cli.app.main, ["eval", "--base", "B", "--task", "t{}.json"]),
        (pyswarmopt_llm.cli.app.main, ["eval", "--bas{}", "B"]),
        (pyswarmopt_llm.cli.app.main, ["{}"]),
        (pyswarmopt.cli.main, ["run", "sphere", "--recipe", "{}"]),
    ],
)
def test_option_values_are_shown_with_escapes_and_cut(
    main: Callable[..., None], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    evil = f"{RED}{BELL}{BIDI}" + 4000 * "x"
    assert run(main, *(word.format(evil) for word in words)) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and not {"\x1b", BELL, BIDI} & set(err)
    assert "x1b[31m" in err and len(err) < 3 * LIMIT


@pytest.mark.parametrize(
    ("terminal", "shown"), [(True, r"\x1b]0;mine\x07 yes"), (False, "\x1b]0;mine\x07 yes")]
)
def test_answers_are_escaped_on_a_terminal_and_left_alone_in_a_pipe(
    terminal: bool, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ["\x1b]0;mine", "\x07 yes"]
    monkeypatch.setattr(generate, "answered", lambda *args: ("?", "".join(said)))
    out: Any = io.StringIO()
    out.isatty = lambda: terminal
    with contextlib.redirect_stdout(out):
        assert run(pyswarmopt_llm.cli.app.main, "generate", "--base", "my/base", "?") == 0
    assert out.getvalue() == shown + "\n"


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Let a command end with an error."""

    def end(error: Exception) -> None:
        def run_app(*_: object) -> int:
            raise error

        monkeypatch.setattr(app, "run_app", run_app)

    return end


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory; "),
        (OSError(28, "No space left on device", "out/x"), "out/x: No space left on device; "),
    ],
)
def test_what_the_machine_lacks_is_one_line(
    error: Exception,
    said: str,
    capsys: pytest.CaptureFixture[str],
    fails: Callable[[Exception], None],
) -> None:
    fails(error)
    code, _, err = swarm_llm(capsys, "search")
    assert code == 2 and err.count("\n") == 1 and err.startswith(f"error: {said}")
