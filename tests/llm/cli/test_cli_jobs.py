"""search, resume and demo: what goes to stdout and stderr, and what Ctrl-C leaves."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from result_helpers import RESULT as FLAT
from result_helpers import nested
from search_helpers import exit_code

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.run.directory import About

RESULT = nested(FLAT)
SEARCH = "search --base B --experts x --task t --out".split()


Install = Callable[..., None]


@pytest.fixture(autouse=True)
def run_of_a_stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """The searches here write no run.json, in which the configuration is."""
    monkeypatch.setattr(
        "pyswarmopt_llm.run.directory.read_about",
        lambda run: About(SearchConfig("B", ("x", "y"), ("t",), str(run), space="delta"), {}),
    )


def finished(out: str | Path) -> types.SimpleNamespace:
    return types.SimpleNamespace(run=Path(out), result=RESULT)


@pytest.mark.parametrize("begun", [True, False])
def test_ctrl_c_says_how_to_go_on_if_there_is_something_to_go_on_with(
    begun: bool, tmp_path: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my run"

    def search(config: Any, on_event: Any) -> Any:
        if begun:
            out.mkdir()
            (out / "run.json").write_text("{}")
        raise KeyboardInterrupt

    install(search=search)
    assert exit_code(*SEARCH, str(out)) == 130
    err = capsys.readouterr().err
    assert (f"swarm-llm resume '{out}'" in err) == begun
    assert ("nothing has been written" in err) != begun


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Install) -> list[Any]:
    """A checkout with adapters by name only; the configurations of the searches that are run
    there.
    """
    adapters = "experts/b experts/a others/c letters/experts/e".split()
    for name in ("experts/no-expert", *adapters):
        (tmp_path / "examples" / name).mkdir(parents=True)
    for name in adapters:
        (tmp_path / "examples" / name / "adapter_config.json").write_text("{}")
    monkeypatch.setattr("pyswarmopt_llm.cli.demo.PACKAGE", tmp_path / "pyswarmopt_llm")
    configs: list[Any] = []
    install(search=lambda config, on_event=None: configs.append(config) or finished(config.out))
    return configs


def test_demo_searches_over_the_experts_of_the_checkout(
    checkout: list[Any], tmp_path: Path
) -> None:
    assert exit_code("demo", "--out", str(tmp_path / "run"), "--seed", "3") == 0
    (config,) = checkout
    assert [Path(expert).name for expert in config.experts] == ["a", "b", "c"]
    assert (config.base, config.tasks, config.seed) == (
        "embedded:smollm2-135m",
        ("builtin:five-desks:3",),
        3,
    )
    assert config.out == str(tmp_path / "run")
    assert (config.dev, config.test) == (32, 100)


def test_the_full_demo_has_more_labels(checkout: list[Any], tmp_path: Path) -> None:
    assert exit_code("demo", "--full", "--out", str(tmp_path / "run")) == 0
    (config,) = checkout
    assert (config.dev, config.test) == (100, 200)
