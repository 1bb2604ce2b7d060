"""Options are data: one line in a configuration, and help, range check, run.json and the message
know it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import pytest
import typer

from pyswarmopt_llm.cli.app import COMMANDS
from pyswarmopt_llm.cli.build import Command, with_flags
from pyswarmopt_llm.cli.options import Config, SwarmCommand
from pyswarmopt_llm.common.config import SearchConfig, search_command
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.options import MACHINE, RARE, Option, check_options, documented
from pyswarmopt_llm.run.directory import About


@documented
@dataclass(frozen=True)
class Longer(SearchConfig):
    """A search with two more options: these lines are all there is to them."""

    swing: Annotated[float, Option("Swing, below `particles`.", "W", MACHINE, least=0, below=1)] = (
        0.5
    )
    sway: Annotated[int | None, Option("Sway.", "N", RARE, least=1)] = None


seen: list[Longer] = []


def search(settings: Longer, config: Config = None) -> None:
    """Look for something."""
    seen.append(settings)


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: Callable[[int], None],
) -> Callable[..., Any]:
    """The command `search` with the longer configuration: (configurations, output)."""
    columns(100)
    monkeypatch.setitem(COMMANDS, "search", f"{__name__}:search")
    seen.clear()
    program = typer.Typer()
    program.command("search", cls=SwarmCommand)(Command(search))
    program.callback()(lambda: None)

    def run(*words: str) -> tuple[list[Longer], str]:
        program(args=[*words], standalone_mode=False)
        return seen, capsys.readouterr().out

    return run


NEEDED = ("search", "--experts", "x", "y", "--task", "t", "--out", "r")


def test_an_option_reaches_the_configuration_and_run_json(call: Callable[..., Any]) -> None:
    words = ["--swing", "0.25", "--set", "sway=3", "--set", "inertia=0.1", "--set", "no-rivals"]
    (config,), _ = call(*NEEDED, *words)
    expected = Longer("", ("x", "y"), ("t",), "r", swing=0.25, sway=3, no_rivals=True)
    assert config == replace(expected, settings=("inertia=0.1",))
    about = json.loads(json.dumps(asdict(About(config, {}))))
    assert about["config"]["swing"] == 0.25 and list(about["config"]) == list(asdict(config))


@pytest.mark.parametrize("value", ["few", "1.5", ""])
def test_a_rare_setting_has_a_type(value: str, call: Callable[..., Any]) -> None:
    with pytest.raises((typer.TyperException, InvalidOption, UserError)):
        call(*NEEDED, "--set", f"sway={value}")
    assert not seen


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
        ("scoring", ["letters"], ["auto", "generate"]),
    ],
)
def test_the_bounds_of_a_search(name: str, refused: list[Any], taken: list[Any]) -> None:
    config = SearchConfig("b", ("x", "y"), ("t",), "r")
    for value in taken:
        check_options(replace(config, **{name: value}))
    for value in refused:
        with pytest.raises(InvalidOption) as error:
            check_options(replace(config, **{name: value}))
        assert error.value.field == name


def test_messages_call_options_as_they_are_typed_where_they_are_typed() -> None:
    error = InvalidOption(
        "no_rivals", True, ": not with `optimizer` nevergrad:CMA, `tasks` or `draws`"
    )
    assert str(error) == "no_rivals: not with optimizer nevergrad:CMA, tasks or draws"
    typed = "--no-rivals: not with --optimizer nevergrad:CMA, --task or --draws"
    assert with_flags(error.text) == typed


def test_every_option_of_a_configuration_is_typed_as_the_model_card_writes_it(
    call: Callable[..., Any],
) -> None:
    """The command of a card, run again, is the same configuration."""
    config = SearchConfig(
        *("B", ("x", "y"), ("t", "u"), "r"),
        **{"metrics": ("f1",), "columns": ("question=a", "label=b"), "test": 0},
        **{"settings": ("inertia=0.1",), "no_rivals": True, "max_new_tokens": 5, "draws": 3},
    )
    program, _, *words = search_command(config).split()
    (read,), _ = call("search", *words)
    assert program == "swarm-llm" and read == Longer(**asdict(config))
