"""The configuration file that `swarm-llm init` writes: it is read back, and says what the defaults
are.
"""

from __future__ import annotations

import re
import sys
import tomllib
import types
from pathlib import Path

import pytest
import typer
from search_helpers import swarm_llm

from pyswarmopt_llm.cli.app import app
from pyswarmopt_llm.cli.runs.init import EXAMPLES
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[SearchConfig]:
    """Configurations that reach the search."""
    configs: list[SearchConfig] = []

    def search(config: SearchConfig, on_event: object = None) -> None:
        configs.append(config)
        raise UserError("reached")

    monkeypatch.setattr("pyswarmopt_llm.cli.runs.search.check_files", lambda config, specs: None)
    module = types.ModuleType("pyswarmopt_llm.report.run")
    module.search = search  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyswarmopt_llm.report.run", module)
    return configs


def written(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code, out, err = swarm_llm(capsys, "init", *words)
    assert code == 0, err
    return Path(out.split(";")[0].removeprefix("wrote ")).read_text()


@pytest.mark.parametrize("command", ["search", "compare"])
def test_every_option_is_there_with_its_meaning(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = written(capsys, f"{command}.toml", "--for", command)
    parser = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    assert set(tomllib.loads(text)) == set(EXAMPLES) & {
        param.opts[0].removeprefix("--") for param in parser.params
    }
    for param in parser.params:
        name = max(param.opts, key=len).removeprefix("--")
        if name not in ("config", "help"):
            assert re.search(
                rf"^# {re.escape(param.help)}\n(# )?{name} = ", text, flags=re.MULTILINE
            ), name
    assert "\n# split-seed = " in text


def test_what_is_commented_out_is_the_default(
    capsys: pytest.CaptureFixture[str], seen: list[SearchConfig]
) -> None:
    lines = written(capsys).splitlines()
    # Values that a person has to think of are capital letters there, which no TOML value is.
    told = [line.removeprefix("# ") for line in lines if re.match(r"(# )?[a-z-]+ = [^A-Z]*$", line)]
    Path("all.toml").write_text("\n".join(told))
    swarm_llm(capsys, "search", "--config", "search.toml")
    swarm_llm(capsys, "search", "--config", "all.toml")
    expected = SearchConfig(
        base="embedded:smollm2-135m",
        experts=("adapters/one", "adapters/two"),
        tasks=("questions.json",),
        out="runs/first",
    )
    assert len(told) > 20 and seen == [expected, expected]


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("search.toml").write_text("mine")
    code, _, err = swarm_llm(capsys, "init")
    assert code == 2 and "search.toml: exists already" in err
    assert Path("search.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["x.json"], "end in .toml"),
        (["x.toml", "--for", "serch"], "did you mean search?"),
        (["x.toml", "--for", "eval"], "use one of: search, "),
        (["absent/x.toml"], "absent/x.toml: cannot be written"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = swarm_llm(capsys, "init", *words)
    assert (code, out, err.count("\n")) == (2, "", 1) and told in err
    assert list(Path().iterdir()) == []
