"""What is typed: several values after one option, configuration files, refusals in a line, and a help
that answers without torch.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_helpers import questions, swarm_llm, write_task

from pyswarmopt_llm.cli.options import spread
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError

WORDS = st.lists(st.from_regex(r"[a-z0-9/.]{1,6}", fullmatch=True), min_size=1, max_size=5)
NEEDED = "search --base B --experts x y --task t --out r".split()
CONFIG = SearchConfig("B", ("x", "y"), ("t",), "r")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[SearchConfig]:
    """Configurations that reach the search, which stops there with a UserError."""
    configs: list[SearchConfig] = []

    def search(config: SearchConfig, on_event: object = None) -> None:
        configs.append(config)
        raise UserError("reached")

    monkeypatch.setattr("pyswarmopt_llm.cli.search.check_files", lambda config, specs: None)
    monkeypatch.setattr("pyswarmopt_llm.report.run.search", search)
    return configs


@given(experts=WORDS, out=WORDS)
def test_spread_gives_every_value_its_option(experts: list[str], out: list[str]) -> None:
    args = spread(["--base", "b", "--experts", *experts, "--out", out[0], "tail"], ["--experts"])
    assert [args[i + 1] for i, a in enumerate(args) if a == "--experts"] == experts
    assert args[-3:] == ["--out", out[0], "tail"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--experts=a", "b"], ["--experts=a", "--experts", "b"]),
        (["--experts", "a", "--experts", "b", "c"], [*["--experts", "a"], *["--experts", "b"], *["--experts", "c"]]),
        (["--task", "a", "b"], ["--task", "a", "b"]),
        (["PROMPT", "-h"], ["PROMPT", "-h"]),
    ],
)  # fmt: skip
def test_spread_by_hand(words: list[str], expected: list[str]) -> None:
    assert spread(words, ["--experts"]) == expected


def test_every_option_of_search_reaches_its_field(
    seen: list[SearchConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    swarm_llm(capsys, *NEEDED)
    words = "--optimizer pso --particles 7 --max-iter 8 --patience 9 --dev 10 --test 11 --seed 12"
    more = "--device cpu --threads 13 --scoring letter --set samples=3 --set inertia=0.1"
    swarm_llm(capsys, *NEEDED, *words.split(), *more.split(), "--template", "{question}")
    expected = replace(
        CONFIG,
        **{"optimizer": "pso", "particles": 7, "max_iter": 8, "patience": 9, "dev": 10, "test": 11},
        **{"seed": 12, "device": "cpu", "threads": 13, "scoring": "letter", "samples": 3},
        **{"settings": ("inertia=0.1",), "template": ("{question}",)},
    )
    assert seen == [CONFIG, expected]


def test_a_config_file_gives_defaults_and_the_command_line_wins(
    tmp_path: Path, seen: list[SearchConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = 'base = "B"\nexperts = ["x", "y"]\ntask = "t"\nout = "r"\nparticles = 6\nmax-iter = 4\n'
    (tmp_path / "c.toml").write_text(f'{lines}set = ["no-rivals", "samples=2"]\n')
    # The option stands last: the file must not overwrite what came before it.
    swarm_llm(capsys, "search", "--particles", "5", "--config", tmp_path / "c.toml")
    assert seen == [replace(CONFIG, particles=5, max_iter=4, no_rivals=True, samples=2)]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("c.toml", b"partcles = 3\n", "option partcles: unknown; did you mean particles?"),
        ("c.toml", b'config = "other.toml"\n', "option config: unknown"),
        ("c.toml", b'particles = "many"\n', "particles"),
        ("c.toml", b"particles = \n", "line 1"),
        ("c.toml", b"\xff = 1\n", "not UTF-8"),
        ("c.toml", b"a = " + 100_000 * b"[", "c.toml: nested too deeply"),
        ("c.yaml", b"particles: 3", ".toml"),
        ("absent.toml", None, "absent.toml: cannot be read"),
    ],
)
def test_a_bad_config_file_is_one_line(
    name: str,
    content: bytes | None,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    seen: list[SearchConfig],
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, _, err = swarm_llm(capsys, *NEEDED, "--config", tmp_path / name)
    assert (code, err.count("\n"), seen) == (2, 1, []) and told in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*NEEDED, "--partcles", "3"], "--particles"),
        ([*NEEDED, "--particles", "none"], "'--particles': Input should be a valid integer"),
        ([*NEEDED, "--particles", "0"], "--particles 0: out of range"),
        ([*NEEDED, "--set", "samples=0"], "--set samples=0: out of range"),
        (["serch"], "search"),
        (["search", "--base", "B"], "--experts"),
        (["inspect", "x", "--base", ""], "--base: is empty; give it a value, or leave"),
        (["inspect", "--base="], "--base: is empty"),
        (["eval", "--set", "sampels=2"], "--set sampels: unknown; did you mean samples?"),
    ],
)
def test_what_cannot_be_typed_is_one_line(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str], seen: list[SearchConfig]
) -> None:
    code, _, err = swarm_llm(capsys, *words)
    assert (code, err.count("\n"), seen) == (2, 1, []) and told in err


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
    "words",
    [
        "inspect",
        "search --base {base} --task {task} --out r --experts",
        "merge --base {base} --method ties --out r --experts",
        "ensemble --task {task} --out r --members",
    ],
)
def test_a_pattern_that_nothing_matches_is_named(
    words: str,
    tiny_base: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(8, 2))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    typed = words.format(base=tiny_base, task=task).split()
    code, _, err = swarm_llm(capsys, *typed, "adapters/*")
    assert code == 2 and err.splitlines()[-1].startswith("error: adapters/* does not exist; check")
    assert not list(Path().iterdir())
