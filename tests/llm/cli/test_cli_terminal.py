"""What both commands print: no control character from outside reaches the terminal, and nothing is
echoed at length; what a user is told.
"""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from search_helpers import questions, swarm_llm, write_task

import pyswarmopt.cli
import pyswarmopt_llm.cli.app
from pyswarmopt.base.words import LIMIT, one_line, visible
from pyswarmopt.cli.terminal import complain
from pyswarmopt_llm.cli import app
from pyswarmopt_llm.searching.use import generate
from pyswarmopt_llm.searching.use.evaluate import evaluate_model

ROOT = Path(__file__).parents[3]
BELL, RED, BIDI = "\x07", "\x1b[31m", "\u202e"


def run(main: Callable[..., None], *argv: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    return int(exit_info.value.code or 0)


@given(st.text(st.characters(codec=None), max_size=30))
def test_no_control_character_or_surrogate_is_left(text: str) -> None:
    left = {c for c in visible(text) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
    assert left <= {"\n", "\t"}
    assert visible(visible(text)) == visible(text)
    assert {unicodedata.category(c) for c in one_line(text)} & {"Cc", "Cs", "Zl", "Zp"} == set()


@pytest.mark.parametrize("long", ["x" * 5000, "two words " * 500])
def test_values_of_the_command_line_are_cut(long: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        complain(
            f"--task {long}: no such task file; check path and folder", ["eval", "--task", long]
        )
        == 2
    )
    err = capsys.readouterr().err
    assert len(err) < LIMIT + 80 and err.endswith("check path and folder\n")


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (pyswarmopt_llm.cli.app.main, ["eval", "--base", "B", "--task", "t{}.json"]),
        (
            pyswarmopt_llm.cli.app.main,
            ["eval", "--base", "B", "--task", "t.json", "--split", "x{}"],
        ),
        (pyswarmopt_llm.cli.app.main, ["eval", "--bas{}", "B"]),
        (pyswarmopt_llm.cli.app.main, ["{}"]),
        (pyswarmopt.cli.main, ["run", "sphere{}"]),
        (pyswarmopt.cli.main, ["run", "sphere", "--recipe", "{}"]),
        (pyswarmopt.cli.main, ["run", "sphere", "--{}"]),
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
    monkeypatch.setattr(generate, "answer_turn", lambda *args, **more: iter(said))
    monkeypatch.setattr("pyswarmopt_llm.cli.use.check_model", lambda name: None)
    out: Any = io.StringIO()
    out.isatty = lambda: terminal
    with contextlib.redirect_stdout(out):
        assert run(pyswarmopt_llm.cli.app.main, "generate", "--base", "B", "?") == 0
    assert out.getvalue() == shown + "\n"


def test_warnings_are_single_visible_lines_and_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    assert run(pyswarmopt_llm.cli.app.main, "--version") == 0
    assert logging.lastResort is not None
    capsys.readouterr()
    for _ in range(2):
        logging.lastResort.handle(
            logging.makeLogRecord({"msg": f"{RED}%s", "args": ("a\nb",), "levelno": 30})
        )
    assert capsys.readouterr().err == "\\x1b[31ma b\n"


def test_the_commands_print_in_no_other_way() -> None:
    """Rich's own console is for the help, `typer.echo` for JSON, which escapes what is not
    ASCII.
    """
    for file in [
        *(ROOT / "pyswarmopt" / "cli").glob("*.py"),
        *(ROOT / "pyswarmopt_llm" / "cli").glob("*.py"),
    ]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called not in ("print", "sys.stderr.write"), (file, node.lineno)
            assert called != "Console" or file.name == "help.py", (file, node.lineno)
            assert called != "typer.echo" or "json.dumps" in ast.unparse(node), (file, node.lineno)


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
        (MemoryError(), "out of memory; "),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory; "),
        (OSError(28, "No space left on device", "out/x"), "out/x: No space left on device; "),
        (OSError(5, "Input/output error"), "a file: Input/output error; "),
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


def test_another_error_is_not_hidden(fails: Callable[[Exception], None]) -> None:
    fails(RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        app.main(["search"])


@pytest.mark.parametrize("scoring", ["likelihood", "letter", "generate"])
def test_eval_says_how_far_it_is_and_finds_the_same(
    scoring: str, tiny_base: Path, tmp_path: Path
) -> None:
    task = write_task(tmp_path / "words.json", questions(12, 1), questions(20, 2))
    seen: list[tuple[int, int]] = []
    options = {"scoring": scoring, "threads": 1, "test": 9}
    model = (str(tiny_base), None, str(task))
    found = evaluate_model(*model, on_items=lambda *numbers: seen.append(numbers), **options)
    assert found.score == evaluate_model(*model, **options).score
    done = [number for number, _ in seen]
    assert done == sorted(set(done)) and seen[-1] == (9, 9) and {total for _, total in seen} == {9}
