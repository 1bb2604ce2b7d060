"""The command `swarm-llm`, assembled from the functions in `COMMANDS`.

This package imports no torch at module level, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt.cli.terminal import complain, run_app, version_option
from pyswarmopt_llm.cli.build import COMMANDS, SECTIONS, Command, with_flags
from pyswarmopt_llm.cli.options import SwarmCommand
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.registry import load, unknown

REPEAT = "fix that, then resume the run or repeat the command"
NO_ROOM = (
    f"out of memory; close other programs, or use a smaller base model or fewer workers; {REPEAT}"
)
# For libraries, before torch is loaded.
_ENVIRONMENT = {
    # advice and progress bars would disturb the live display
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "KMP_BLOCKTIME": "0",
    # child processes must not import from the current directory, which may be a stranger's
    "PYTHONSAFEPATH": "1",
}
MORE = "--help-all also shows the advanced options."


class Commands(TyperGroup):
    """The commands; each is loaded when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name.

        Raises:
            UserError: there is none; suggests the nearest name.
        """
        if cmd_name not in COMMANDS:
            advice = did_you_mean(cmd_name, COMMANDS, f"use one of: {', '.join(COMMANDS)}")
            raise unknown("the command", cmd_name, COMMANDS, advice)
        section = next(name for name, commands in SECTIONS.items() if cmd_name in commands)
        function = Command(load(COMMANDS[cmd_name]))
        single = typer.Typer(add_completion=False)
        single.command(cmd_name, cls=SwarmCommand, rich_help_panel=section, epilog=MORE)(function)
        return typer.main.get_command(single)


app = typer.Typer(
    name="swarm-llm",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="COMMAND --help shows a command's options; --help-all also shows the advanced ones. "
    "Exit codes: 0 success, 1 faulty or lost adapter (check, inspect), 2 invalid input, 130 interrupted.",
)


@app.callback()
def swarm_llm(version: Annotated[bool, version_option("pyswarmopt_llm")] = False) -> None:
    """Model Swarms: search for a better combination of language-model experts."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `swarm-llm` and exit: 0 success, 2 invalid input (one line on stderr), 130 interrupted.

    Args:
        argv: arguments without the program's name; None: from `sys.argv`.
    """
    for name, value in _ENVIRONMENT.items():  # explicit settings are kept
        os.environ.setdefault(name, value)
    # On two cores, threads that sleep at once at a barrier take a sixth longer than threads that spin
    # 2,000 times first; threads that spin on take 3.6 times the CPU time beside other programs.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    arguments = (sys.argv[1:] if argv is None else list(argv)) or ["--help"]
    try:
        code = run_app(app, "swarm-llm", arguments)
    except UserError as error:
        code = complain(with_flags(error.text))
    except OSError as error:
        code = complain(f"{error.filename or 'a file'}: {error.strerror or error}; {REPEAT}")
    except (MemoryError, RuntimeError) as error:
        from pyswarmopt_llm.common.hardware import out_of_memory

        if not out_of_memory(error):
            raise
        code = complain(NO_ROOM)
    raise SystemExit(code)
