"""What the help promises: one screen, an example, with --help-all every option; completion. The texts
themselves stand in ``tests/frozen``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import typer
from search_helpers import swarm_llm

from pyswarmopt_llm.cli.app import COMMANDS, app


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_fits_a_screen_and_ends_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str], columns: Callable[[int], None]
) -> None:
    columns(80)
    code, text, _ = swarm_llm(capsys, name, "--help")
    lines = text.rstrip().splitlines()
    assert code == 0 and len(lines) <= 40 and lines[-1].startswith(f"Example: swarm-llm {name}")
    group: Any = typer.main.get_command(app)
    options = [param for param in group.commands[name].params if param.opts[0].startswith("-")]
    _, everything, _ = swarm_llm(capsys, name, "--help-all")
    rows = [word for line in everything.splitlines() for word in line.split()[:2]]
    assert {max(option.opts, key=len) for option in options} <= set(rows)


def in_a_process(call: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"from pyswarmopt_llm.cli.app import main; {call}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("swarm-llm se", "search"),
        ("swarm-llm search --part", "--particles"),
        ("swarm-llm dem", "demo"),
    ],
)
def test_the_shell_completes_commands_and_options(words: str, expected: str) -> None:
    asked = {
        "_SWARM_LLM_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = in_a_process("main()", asked)
    assert done.stdout.split() == [expected], done.stderr
