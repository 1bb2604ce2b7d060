"""Options are data: one line in a configuration, and help, init, range check, run.json and the
message know it.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from pyswarmopt_llm.cli.build import as_command, flag, options_in
from pyswarmopt_llm.cli.options import Config, SwarmCommand
from pyswarmopt_llm.cli.runs import init
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import GROUPS, Option, check_options, options_of
from pyswarmopt_llm.report.commands import command_line
from pyswarmopt_llm.searching.scoring.run_directory import about_run


@dataclass(frozen=True)
class Longer(SearchConfig):
    """A search with one more option: this line is all there is to it."""

    swing: Annotated[
        float, Option("Swing, below `particles`.", "W", GROUPS[2], least=0, below=1)
    ] = 0.5


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A program of two commands, `search` with the longer configuration and `init`:
    (configurations, output).
    """
    monkeypatch.setenv("COLUMNS", "100")
    seen: list[Longer] = []

    def search(settings: Longer, config: Config = None) -> None:
        """Look for something."""
        seen.append(settings)

    app = typer.Typer()
    app.command("search", cls=SwarmCommand)(as_command(search))
    app.command("init", cls=SwarmCommand)(as_command(init.command))

    def run(*words: str) -> tuple[list[Longer], str]:
        app(args=[*words], standalone_mode=False)
        return seen, capsys.readouterr().out

    return run


NEEDED = ("search", "--experts", "x", "y", "--task", "t", "--out", "r")


def test_the_help_shows_a_new_option_in_its_group_with_its_default(
    call: Callable[..., Any],
) -> None:
    lines = call("search", "--help")[1].splitlines()
    (row,) = [number for number, line in enumerate(lines) if "--swing W" in line]
    assert lines[row].rstrip().endswith("Swing, below --particles. [0.5]")
    assert [line.strip() for line in lines[:row] if line.strip() in GROUPS][-1] == "Machine"


def test_a_new_option_reaches_the_configuration_and_run_json(call: Callable[..., Any]) -> None:
    (config,), _ = call(*NEEDED, "--swing", "0.25")
    assert config == Longer("", ("x", "y"), ("t",), "r", swing=0.25)
    about = json.loads(json.dumps(about_run(config, {})))
    assert about["config"]["swing"] == 0.25 and list(about["config"]) == list(asdict(config))


def test_init_explains_a_new_option_and_its_file_is_read(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call("init", "search.toml")
    text = Path("search.toml").read_text()
    assert "# Swing, below --particles.\n# swing = 0.5\n" in text
    Path("mine.toml").write_text(text.replace("# swing = 0.5", "swing = 0.75"))
    assert tomllib.loads(Path("mine.toml").read_text())["swing"] == 0.75
    (config,), _ = call("search", "--config", "mine.toml")
    assert config.swing == 0.75


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), float("inf")])
def test_a_new_option_out_of_range_is_refused_by_library_and_command(
    value: float, call: Callable[..., Any]
) -> None:
    with pytest.raises(InvalidOption) as library:
        check_options(Longer("b", ("x", "y"), ("t",), "r", swing=value))
    with pytest.raises(InvalidOption) as command:
        call(*NEEDED, f"--swing={value}")
    assert str(library.value) == str(command.value)
    wanted = "a finite number" if value == math.inf else "at least 0 and less than 1"
    assert str(library.value) == f"swing {value:g}: out of range; give {wanted}"


@pytest.mark.parametrize(
    ("name", "refused", "taken"),
    [
        ("particles", [0, 10**6 + 1], [1, 10**6]),
        ("max_iter", [-1, 10**9 + 1], [0, 10**9]),
        ("seed", [-1, 2**63], [0, 2**63 - 1]),
        ("threads", [0, 4097], [1, 4096, None]),
        ("dev", [0, -3], [1, None]),
        ("drop_k", [-1e-9, 1.0, float("inf")], [0.0, 0.999]),
        ("budget_minutes", [0.0, float("nan")], [1e-9, 1e9, None]),
        ("compat", ["", "Paper"], ["paper", "reference"]),
        ("scoring", ["letters"], ["auto", "generate"]),
    ],
)
def test_the_bounds_of_a_search(name: str, refused: list[Any], taken: list[Any]) -> None:
    config = SearchConfig("b", ("x", "y"), ("t",), "r")
    for value in taken:
        check_options(replace(config, **{name: value}))
    for value in refused:
        with pytest.raises(InvalidOption, match=f"^{name}"):
            check_options(replace(config, **{name: value}))


def test_messages_call_options_as_they_are_typed_where_they_are_typed() -> None:
    error = InvalidOption(
        "no_rivals", True, "not with `optimizer` pycma or `tasks`; see `nothing of ours`"
    )
    options = options_of(SearchConfig)
    assert str(error) == "no_rivals: not with optimizer pycma or tasks; see `nothing of ours`"
    typed = "--no-rivals: not with --optimizer pycma or --task; see `nothing of ours`"
    assert error.spelled(lambda field: flag(field, options)) == typed


def test_every_option_of_a_configuration_is_typed_as_the_model_card_writes_it(
    call: Callable[..., Any],
) -> None:
    """The command of a card, run again, is the same configuration."""
    config = SearchConfig(
        "B", ("x", "y"), ("t", "u"), "r", metrics=("f1",), settings=("inertia=0.1",), no_rivals=True
    )
    program, _, *words = command_line(config).split()
    (read,), _ = call("search", *words)
    assert program == "swarm-llm" and read == Longer(**asdict(config))


def test_pairs_commas_and_parameters_of_their_own() -> None:
    @dataclass(frozen=True)
    class Small:
        names: Annotated[tuple[str, ...], Option("Names.", "N,N", commas=True)] = ("all",)
        data: Annotated[tuple[tuple[str, str], ...], Option("Data.", "NAME=D")] = ()
        size: Annotated[int, Option("", least=1)] = 3

    seen: list[Any] = []

    def command(small: Small, least: Annotated[int, Option("Least.", "N", least=1)] = 1) -> None:
        seen.append((small, least))

    command.__annotations__ = {
        "small": Small,
        "least": Annotated[int, Option("Least.", "N", least=1)],
    }
    app = typer.Typer()
    app.command()(as_command(command))
    for words in ([], ["--names", "a, b,", "--data", "x=1", "--data", "y=2=3", "--least", "2"]):
        app(args=words, standalone_mode=False)
    assert seen == [(Small(), 1), (Small(("a", "b"), (("x", "1"), ("y", "2=3"))), 2)]
    assert "size" not in options_in(command)
    with pytest.raises(InvalidOption, match=r"^data x: write NAME=D"):
        app(args=["--data", "x"], standalone_mode=False)
    with pytest.raises(InvalidOption, match=r"^least 0: out of range"):
        app(args=["--least", "0"], standalone_mode=False)
