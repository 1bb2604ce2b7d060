"""Several values after one option, configuration files, exit codes, and a help that answers without
torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_helpers import questions, write_task

from pyswarmopt_llm.cli.app import COMMANDS, main
from pyswarmopt_llm.cli.options import spread
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError

WORDS = st.lists(st.from_regex(r"[a-z0-9/.]{1,6}", fullmatch=True), min_size=1, max_size=5)


def run(*argv: str) -> int:
    """The exit code of `swarm-llm argv`."""
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    code = exit_info.value.code
    return 0 if code is None else int(code)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[SearchConfig]:
    """Configurations that reach the search, which stops there with a UserError."""
    configs: list[SearchConfig] = []

    def search(config: SearchConfig, on_event: object = None) -> None:
        configs.append(config)
        raise UserError("reached")

    monkeypatch.setattr("pyswarmopt_llm.cli.runs.search.check_files", lambda config, specs: None)
    monkeypatch.setattr("pyswarmopt_llm.report.run.search", search)
    return configs


@given(experts=WORDS, out=WORDS)
def test_spread_gives_every_value_its_option(experts: list[str], out: list[str]) -> None:
    args = spread(["--base", "b", "--experts", *experts, "--out", out[0], "tail"], ["--experts"])
    assert args.count("--experts") == len(experts)
    assert [args[i + 1] for i, a in enumerate(args) if a == "--experts"] == experts
    assert args[-3:] == ["--out", out[0], "tail"]


@pytest.mark.parametrize(
    ("given_args", "expected"),
    [
        (["--experts=a", "b"], ["--experts=a", "--experts", "b"]),
        (
            ["--experts", "a", "--experts", "b", "c"],
            ["--experts", "a", "--experts", "b", "--experts", "c"],
        ),
        (["--task", "a", "b"], ["--task", "a", "b"]),
        (["PROMPT", "-h"], ["PROMPT", "-h"]),
    ],
)
def test_spread_by_hand(given_args: list[str], expected: list[str]) -> None:
    assert spread(given_args, ["--experts"]) == expected


def test_the_defaults_of_the_command_are_those_of_the_config(seen: list[SearchConfig]) -> None:
    code = run(
        "search", "--base", "B", "--experts", "x", "y", "--task", "t1", "--task", "t2", "--out", "r"
    )
    assert code == 2
    assert seen == [SearchConfig(base="B", experts=("x", "y"), tasks=("t1", "t2"), out="r")]


def test_every_option_of_search_reaches_its_field(seen: list[SearchConfig]) -> None:
    run(
        *(
            "search",
            "--base",
            "B",
            "--experts",
            "x",
            "--task",
            "t",
            "--out",
            "r",
            "--space",
            "delta",
        ),
        *(
            "--optimizer",
            "pso",
            "--particles",
            "7",
            "--max-iter",
            "8",
            "--patience",
            "9",
            "--dev",
            "10",
        ),
        *(
            "--test",
            "11",
            "--seed",
            "12",
            "--dtype",
            "float32",
            "--device",
            "cpu",
            "--threads",
            "13",
        ),
        *("--compat", "reference", "--scoring", "letter", "--allow-overlap"),
    )
    assert seen == [
        SearchConfig(
            *("B", ("x",), ("t",), "r"),
            space="delta",
            optimizer="pso",
            particles=7,
            max_iter=8,
            patience=9,
            dev=10,
            test=11,
            seed=12,
            dtype="float32",
            device="cpu",
            threads=13,
            compat="reference",
            scoring="letter",
            allow_overlap=True,
        )
    ]


def test_what_the_help_only_names_is_an_option_like_others(
    seen: list[SearchConfig], tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text('samples = 2\nno-rivals = true\ntemplate = ["{question}"]\n')
    words = ["search", "--base", "B", "--experts", "x", "y", "--task", "t", "--out", "r"]
    run(*words, "--config", str(tmp_path / "c.toml"), "--samples", "3", "--set", "inertia=0.1")
    run(*words, "--samples=3", "--no-rivals", "--template", "{question}", "--set", "inertia=0.1")
    config = SearchConfig("B", ("x", "y"), ("t",), "r", samples=3, settings=("inertia=0.1",))
    assert seen[0] == seen[1] == replace(config, no_rivals=True, template=("{question}",))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--confrim", "3"], "--confirm"),
        (["--confirm", "few"], "'--confirm': Input should be a valid integer"),
        (["--samples", "0"], "--samples 0: out of range"),
    ],
)
def test_what_cannot_be_set_is_one_line(
    words: list[str], message: str, seen: list[SearchConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run("search", "--base", "B", "--experts", "x", "y", "--task", "t", "--out", "r", *words)
        == 2
    )
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not seen


TOML = """
base = "B"
experts = ["x", "y"]
task = "t"
out = "r"
particles = 6
max-iter = 4
no-rivals = true
"""


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_config_file_gives_defaults_and_the_command_line_wins(
    suffix: str, tmp_path: Path, seen: list[SearchConfig]
) -> None:
    import tomllib

    path = tmp_path / f"c{suffix}"
    path.write_text(TOML if suffix == ".toml" else json.dumps(tomllib.loads(TOML)))
    # The option stands last: the file must not overwrite what came before it.
    run("search", "--particles", "5", "--config", str(path))
    assert seen == [
        SearchConfig(
            base="B",
            experts=("x", "y"),
            tasks=("t",),
            out="r",
            particles=5,
            max_iter=4,
            no_rivals=True,
        )
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("c.toml", "partcles = 3\n", ["partcles", "particles"]),
        ("c.toml", "particles = \n", ["c.toml", "line 1"]),
        ("c.json", '{"particles": 3,\n "seed": }', ["c.json", "line 2"]),
        ("c.json", "[1, 2]", ["table"]),
        ("c.yaml", "particles: 3", [".toml", ".json"]),
        ("c.toml", 'config = "other.toml"\n', ["config"]),
        ("absent.toml", None, ["absent.toml", "cannot be read"]),
    ],
)
def test_a_bad_config_file_is_one_line_and_exit_2(
    name: str,
    text: str | None,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    seen: list[SearchConfig],
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    assert run("search", "--config", str(path)) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert all(word in err for word in words)
    assert seen == []


def test_a_config_value_of_the_wrong_type_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seen: list[SearchConfig]
) -> None:
    path = tmp_path / "c.toml"
    path.write_text(TOML.replace("particles = 6", 'particles = "many"'))
    assert run("search", "--config", str(path)) == 2
    assert "particles" in capsys.readouterr().err
    assert seen == []


@pytest.mark.parametrize(
    ("argv", "suggestion"),
    [
        (["search", "--partcles", "3"], "--particles"),
        (["serch"], "search"),
        (["search", "--base", "B"], "--experts"),
        (["search", "--particles", "none"], "--particles"),
        (
            "search --base B --experts x --task t --out r --particles 0".split(),
            "--particles",
        ),
    ],
)
def test_what_the_parser_refuses_exits_2_and_says_what(
    argv: list[str], suggestion: str, capsys: pytest.CaptureFixture[str], seen: list[SearchConfig]
) -> None:
    assert run(*argv) == 2
    assert suggestion in capsys.readouterr().err
    assert seen == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_screen_and_has_an_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert run(name, "--help") == 0
    out = capsys.readouterr().out
    assert f"Example: swarm-llm {name}" in out
    assert out.count("\n") <= 42  # with the names of the options that few need


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
    "argv", [("inspect", "x", "--base", ""), ("inspect", "--base="), ("search", "--task", "", "x")]
)
def test_an_empty_value_is_refused_in_a_line(
    argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv) == 2
    name = "--task" if "--task" in argv else "--base"
    assert (
        capsys.readouterr().err
        == f"error: {name}: is empty; give it a value, or leave the option out\n"
    )


@pytest.mark.parametrize(
    "argv",
    [
        ("inspect",),
        ("inspect", "--base", "BASE"),
        ("search", "--base", "BASE", "--task", "TASK", "--out", "r", "--experts"),
        ("search", "--task", "TASK", "--out", "r", "--experts"),
        ("merge", "--base", "BASE", "--method", "ties", "--out", "r", "--experts"),
        ("compare", "--base", "BASE", "--task", "TASK", "--out", "r", "--experts"),
        ("ensemble", "--task", "TASK", "--out", "r", "--members"),
    ],
)
def test_a_pattern_that_nothing_matches_is_named(
    argv: tuple[str, ...],
    tiny_base: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(8, 2))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert (
        run(
            *({"BASE": str(tiny_base), "TASK": str(task)}.get(word, word) for word in argv),
            "adapters/*",
        )
        == 2
    )
    *_, last = capsys.readouterr().err.splitlines()
    assert last == "error: adapters/* does not exist; check the path and the folder you are in"
    assert not list(Path().iterdir())
