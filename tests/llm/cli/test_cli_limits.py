"""Numbers that are too large for anything are refused in one line that says the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer.main

import pyswarmopt.cli
import pyswarmopt.cli.app
import pyswarmopt_llm.cli.app
from pyswarmopt.base.words import largest

APPS = (
    (pyswarmopt.cli.app.app, pyswarmopt.cli.main),
    (pyswarmopt_llm.cli.app.app, pyswarmopt_llm.cli.app.main),
)


def integer_options() -> Iterator[Any]:
    """(main, command line, option, name) of every option that takes an integer, with the required
    ones filled in.
    """
    for app, main in APPS:
        group: Any = typer.main.get_command(app)
        for name in group.list_commands(None):
            command = group.get_command(None, name)
            needed: list[str] = []
            for param in command.params:
                if param.required:
                    needed += [param.opts[0], "x"] if param.opts[0].startswith("-") else ["1"]
            for param in command.params:
                if param.opts[0].startswith("-") and param.type_descriptor.annotation is int:
                    yield pytest.param(
                        main,
                        [name, *needed],
                        param.opts[0],
                        param.name,
                        id=f"{name}{param.opts[0]}",
                    )


@pytest.mark.parametrize(("main", "words", "option", "name"), list(integer_options()))
def test_every_integer_option_has_an_upper_bound(
    main: Callable[..., None],
    words: list[str],
    option: str,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for value in (largest(name) + 1, 2**64, 10**30):
        with pytest.raises(SystemExit) as exit_info:
            main([*words, option, str(value)])
        err = capsys.readouterr().err
        assert exit_info.value.code == 2 and err.count("\n") == 1, err
        assert option in err and (str(largest(name)) in err or "at most" in err), err


def test_a_swarm_beyond_memory_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        pyswarmopt.cli.main(
            [*"run sphere --dim 1000000 --particles 1000000 --recipe constriction".split()]
        )
    assert exit_info.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: 1000000 x 1000000 numbers") and err.count("\n") == 1
