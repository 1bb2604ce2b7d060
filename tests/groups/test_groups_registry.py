"""The registry of strategies: every entry runs, its needs are checked, and looking at it loads no model code."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
from member_helpers import Scripted, quiz

from pyswarmopt_groups.config import CouncilConfig, StrategySettings
from pyswarmopt_groups.registry import NEGOTIATIONS, VOTES, Strategy, load_strategy
from pyswarmopt_groups.validate import check_settings, usable
from pyswarmopt_llm.common.errors import UserError

EVERY = [*VOTES.values(), *NEGOTIATIONS.values()]


@pytest.mark.parametrize("strategy", EVERY, ids=lambda strategy: strategy.name)
def test_every_strategy_names_a_function(strategy: Strategy) -> None:
    for path in filter(None, (strategy.function, strategy.measure)):
        module, name = path.split(":")
        found = getattr(import_module(f"pyswarmopt_groups.{module}"), name)
        assert callable(found) and found.__doc__, path
    assert strategy.text and strategy.source


def test_the_names_are_known_without_model_code() -> None:
    code = "import sys; import pyswarmopt_groups.registry; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "said"), [("bordo", "did you mean borda?"), ("society:x:d", "society:cce:ddr")])
def test_an_unknown_name_is_a_user_error(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said.replace("?", r"\?")):
        load_strategy(name)


def skipped(skip: bool = True, task: str = "t.json", options: bool = True, **settings: object) -> dict[str, str]:
    """Name -> why it is skipped, for two members without likelihoods."""
    config = CouncilConfig(("a", "b"), (), task, settings=StrategySettings(**settings), skip=skip)  # type: ignore[arg-type]
    items = quiz("AB", 1) if options else [one.__class__("0", "Question 0?", None, "x") for one in quiz("A", 0)]
    return usable(EVERY, config, items, [Scripted("a"), Scripted("b")])[1]


def test_what_a_strategy_needs_decides_whether_it_is_skipped() -> None:
    silent = {"route-likelihood", "game"}  # no likelihoods
    elsewhere = {"nearest", "route-neighbours"}  # no model in this process, which could embed
    fitted = {name for name in ("weighted", "confidence", "nearest", "cascade", "route-neighbours")}
    fitted |= {"route-likelihood", "stackelberg", "coalition", "stacked", "trust"}
    assert set(skipped(reward="R")) == silent | elsewhere
    assert set(skipped()) == silent | elsewhere | {"reward"}
    assert set(skipped(reward="R", task="")) == silent | elsewhere | fitted
    choosing = {"cascade", "stackelberg", "stacked"}
    assert set(skipped(reward="R", options=False)) == silent | elsewhere | choosing
    assert set(skipped(reward="R", temperature=0.0)) == silent | elsewhere | {"self-consistency"}
    assert "samples would be one" in skipped(temperature=0.0)["self-consistency"]
    with pytest.raises(UserError, match="strategy nearest: embeddings need a model in this process"):
        skipped(skip=False, temperature=0.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rounds": 0}, "rounds 0: out of range; give at least 1"),
        ({"temperature": 100.0}, "temperature 100: out of range; give at least 0 and less than 100"),
        ({"passed": "loud"}, "passed loud: unknown; use supported or different"),
        ({"quorum": 1}, "quorum 1: of 2 members, give more than half and at most all"),
    ],
)
def test_settings_of_a_python_call_are_checked_as_those_of_the_command_line(
    settings: dict[str, Any], said: str
) -> None:
    check_settings(CouncilConfig(("a", "b"), settings=StrategySettings(quorum=2)))
    with pytest.raises(UserError) as found:
        check_settings(CouncilConfig(("a", "b"), settings=StrategySettings(**settings)))
    assert said in str(found.value)
