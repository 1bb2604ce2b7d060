"""The commands, and the handling of their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from pyswarmopt.cli import compare, lesson, run_function, show
from pyswarmopt.cli.help import HelpCommand, HelpGroup, run_app, version_option
from pyswarmopt.cli.terminal import complain, tame_warnings, unreadable

COMMANDS: dict[str, Callable[..., None]] = {
    "lesson": lesson.command,
    "run": run_function.command,
    "compare": compare.command,
    "list": show.command,
}

app = typer.Typer(
    name="pyswarmopt",
    cls=HelpGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""
COMMAND --help explains a command; also: --version, --install-completion
Example: pyswarmopt run rastrigin --dim 2 --recipe constriction --seed 1 --animate swarm.gif
Exit codes: 0 done, 2 wrong input (one line on stderr, nothing written), 130 interrupted.""",
)
for _name, _function in COMMANDS.items():
    app.command(_name, cls=HelpCommand)(_function)


@app.callback()
def pyswarmopt(version: Annotated[bool, version_option("pyswarmopt")] = False) -> None:
    """Particle swarms on test functions: run one, watch it, compare recipes, open the lesson.

    In Python `minimize` takes any function: a Gaussian process and descents by default, particle
    swarms by name.
    """


def run(arguments: list[str]) -> int:
    """Run a command line; return the exit code. Bad input (ValueError in the library) becomes one
    line on stderr.
    """
    tame_warnings()
    if problem := unreadable(arguments):
        return complain(problem)
    try:
        return run_app(app, "pyswarmopt", arguments or ["--help"])
    except (ValueError, OSError) as error:
        return complain(str(error), arguments)
    except ImportError as error:
        return complain(f"{error.name or error} is needed for this: install the extra 'toy'")
    except (MemoryError, RuntimeError) as error:
        # PyTorch's error for it
        if not isinstance(error, MemoryError) and "allocate memory" not in str(error):
            raise
        return complain("does not fit into memory; lower --dim or --particles")
