"""What is typed: several values after one option, configuration files, refusals in a line, and a help
that answers without torch.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_helpers import swarm_llm

from pyswarmopt_llm.cli.options import spread
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError

WORDS = st.lists(st.from_regex(r"[a-z0-9/.]{1,6}", fullmatch=True), min_size=1, max_size=5)
CONFIG = SearchConfig("B", ("x", "y"), ("t",), "r")


@pytest.fixture
def seen(install: Callable[..., None]) -> list[SearchConfig]:
    """Configurations that reach the search, which stops there with a UserError."""
    configs: list[SearchConfig] = []

    def search(config: SearchConfig, on_event: object = None) -> None:
        configs.append(config)
        raise UserError("reached")

    install(search=search)
    return configs


@given(experts=WORDS, out=WORDS)
def test_spread_gives_every_value_its_option(experts: list[str], out: list[str]) -> None:
    args = spread(["--base", "b", "--experts", *experts, "--out", out[0], "tail"], ["--experts"])
    assert [args[i + 1] for i, a in enumerate(args) if a == "--experts"] == experts
    assert args[-3:] == ["--out", out[0], "tail"]


def test_a_config_file_gives_defaults_and_the_command_line_wins(
    tmp_path: Path, seen: list[SearchConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = 'base = "B"\nexperts = ["x", "y"]\ntask = "t"\nout = "r"\nparticles = 6\nmax-iter = 4\n'
    (tmp_path / "c.toml").write_text(f"{lines}no-rivals = true\ndraws = 2\n")
    # The option stands last: the file must not overwrite what came before it.
    swarm_llm(capsys, "search", "--particles", "5", "--config", tmp_path / "c.toml")
    assert seen == [replace(CONFIG, particles=5, max_iter=4, no_rivals=True, draws=2)]


def test_no_help_loads_torch_or_transformers() -> None:
    script = """
import sys
from pyswarmopt_llm.cli.app import COMMANDS, main
for argv in [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]:
    try:
        main(argv)
    except SystemExit as end:
        if end.code not in (0, None):
            sys.exit(f"{argv}: exit code {end.code}")
heavy = {"torch", "transformers", "peft", "numpy"} & set(sys.modules)
sys.exit(f"loaded {heavy}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("line", "wrong"),
    [("dev = true", "dev"), ("no-rivals = 2", "no-rivals"), ("dev = {a = 1}", "dev"), ("devv = 3", "devv")],
)  # fmt: skip
def test_a_config_file_of_wrong_types_is_refused(
    line: str, wrong: str, tmp_path: Path, seen: list[SearchConfig], capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    (tmp_path / "c.toml").write_text(f'experts = ["x", "y"]\nout = "r"\n{line}\n')
    code, _, error = swarm_llm(capsys, "search", "--config", tmp_path / "c.toml")
    assert code == 2 and wrong in error and not seen
