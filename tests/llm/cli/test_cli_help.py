"""What the help promises: one screen, groups, nothing hidden without a trace; completion; --json
everywhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import typer

from pyswarmopt_llm.cli.app import COMMANDS, app, main
from pyswarmopt_llm.common.options import GROUPS

WITHOUT_JSON = {"init", "report"}  # they write files that are none


def shown(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *argv: str,
    columns: int = 100,
) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = list(argv) if argv[-1:] == ("--help-all",) else [*argv, "--help"]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert not end.value.code
    return capsys.readouterr().out


def parser(name: str) -> Any:
    group: Any = typer.main.get_command(app)
    return group.commands[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_fits_a_screen_and_ends_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(capsys, monkeypatch, name, columns=80)
    lines = text.rstrip().splitlines()
    assert len(lines) <= 40 and lines[-1].startswith(f"Example: swarm-llm {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_stands_in_the_help_under_one_heading_or_is_named_at_its_end(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(capsys, monkeypatch, name)
    table, _, more = text.partition("\nMore")
    everything = shown(capsys, monkeypatch, name, "--help-all")
    headings = [
        line.strip() for line in table.splitlines() if line.strip() in ("Arguments", *GROUPS)
    ]
    assert headings == [heading for heading in ("Arguments", *GROUPS) if heading in headings]
    command = parser(name)
    assert set(command.only_named) <= set(more.split())
    for param in command.params:
        if param.param_type_name == "argument":
            assert any(line.split()[:1] == [param.metavar] for line in table.splitlines())
            continue
        long = max(param.opts, key=len)
        hidden = getattr(param, "hidden", False)
        assert hidden == (long in command.only_named) and hidden == (f"  {long} " not in table)
        (row,) = [
            line
            for line in everything.splitlines()
            if line.startswith("  ") and long in line.split()[:2]
        ]
        assert ("(required)" in row) == param.required
        assert param.help.split()[0] in row


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_JSON))
def test_what_prints_a_result_prints_it_as_json_too(name: str) -> None:
    assert {"--json", "--json-lines"} & {
        option for param in parser(name).params for option in param.opts
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("swarm-llm se", "search"),
        ("swarm-llm search --part", "--particles"),
        ("swarm-llm ini", "init"),
    ],
)
def test_the_shell_completes_commands_and_options(words: str, expected: str) -> None:
    asked = {
        "_SWARM_LLM_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    script = "from pyswarmopt_llm.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [expected], done.stderr


def test_completion_can_be_installed(tmp_path: Any) -> None:
    script = "from pyswarmopt_llm.cli.app import main; main(['--install-completion', 'bash'])"
    home = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = [
        path for path in tmp_path.rglob("*") if path.is_file() and "swarm-llm" in path.read_text()
    ]
    assert written, done.stdout
