"""Code runs only when the person at the keyboard names it on this command line."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from search_helpers import MakeSearch, Shell, files, search_words

import pyswarmopt
from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.run.directory import About, RunDirectory


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder with a module and a metric of `evaluate`, whose code makes the file ``sprung``."""
    folder = tmp_path / "trap"
    folder.mkdir()
    spring = f"open({str(folder / 'sprung')!r}, 'w').close()\n"
    (folder / "trapdoor.py").write_text(f"{spring}def score(engine):\n    return 0.5\n")
    (folder / "trap.py").write_text(f"{spring}import evaluate\nclass Trap(evaluate.Metric): pass\n")
    (folder / "task.yaml").write_text(
        f"task: x\ndoc_to_text: !function trapdoor.score\n{'#' * 9}\n"
    )
    return folder


def sprung(trap: Path) -> bool:
    return (trap / "sprung").exists()


def stopped(config: SearchConfig, path: Path) -> Path:
    """A run that a stranger made: begun, and never scored."""
    RunDirectory.create(path, About(config, {"base": "0", "experts": {}, "tasks": {}}))
    return path


@pytest.mark.parametrize(
    "spec",
    [
        "evaluate:./trap",
        "evaluate:{}",
        "./trap/trapdoor.py:score",
        "reward:some/model",
        "judge:/etc/hostname",
    ],
)
@pytest.mark.parametrize("command", ["eval", "search"])
def test_a_task_file_names_a_metric_by_its_plain_name_only(
    spec: str, command: str, trap: Path, words_search: MakeSearch, shell: Shell
) -> None:
    config = words_search(6, 6, metric=spec.format(trap))
    words = ["--base", config.base, "--task", *config.tasks]
    if command == "search":
        words += ["--experts", *config.experts, "--out", config.out, "--quiet"]
    assert f"add --metric {spec.format(trap)}" in shell.refused(command, *words)
    assert not sprung(trap) and not Path(config.out).exists()


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        ({"tasks": ("lm-eval:task.yaml",)}, "--allow lm-eval:task.yaml"),
        ({"tasks": ("lm-eval:task.yaml#acc",)}, "--allow 'lm-eval:task.yaml#acc'"),
        ({"metrics": ("evaluate:./",)}, "--allow evaluate:./"),
        ({"metrics": ("words=evaluate:./",)}, "--allow words=evaluate:./"),
        ({"metrics": ("words=evaluate:./x=y",)}, "--allow words=evaluate:./x=y"),
        ({"metrics": ("trapdoor.py:score",)}, "--allow trapdoor.py:score"),
        ({"metrics": ("words=./trapdoor.py:score",)}, "--allow words=./trapdoor.py:score"),
        ({"optimizer": "trapdoor.py:score", "max_iter": 1}, "--allow trapdoor.py:score"),
        ({"workers": "ray://198.51.100.1:10001"}, "--allow ray://198.51.100.1:10001"),
    ],
)
@pytest.mark.parametrize("where", ["the run", "its parent"])
def test_a_strangers_run_is_not_resumed_with_its_code(
    setting: dict[str, tuple[str, ...] | str],
    option: str,
    where: str,
    trap: Path,
    words_search: MakeSearch,
    shell: Shell,
) -> None:
    run = stopped(replace(words_search(6, 6), **setting), trap / "run")  # type: ignore[arg-type]
    for file in ("trapdoor.py", "trap.py", "task.yaml"):
        shutil.copy(trap / file, run)
    with contextlib.chdir(run if where == "the run" else trap):
        before = files(run)
        assert option in shell.refused("resume", run, "--quiet")
        assert not sprung(trap) and "trapdoor" not in sys.modules
        assert files(run) == before


def test_a_run_with_a_function_is_resumed_where_the_option_is_given_again(
    words_search: MakeSearch, tmp_path: Path, here: Path, shell: Shell
) -> None:
    (tmp_path / "own_again.py").write_text("def f(reply):\n    return 0.25\n")
    own = {"metrics": ("own_again.py:f",), "particles": 3, "max_iter": 1, "out": "run"}
    own |= {"scoring": "auto", "max_new_tokens": 1}
    whole = search(replace(words_search(6, 6), **own)).result  # type: ignore[arg-type]
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(UserError, match=r"add allow own_again\.py:f"):
        resume("run")
    with pytest.raises(UserError, match=r"started with other\.py:f"):
        resume("run", allowed=["own_again.py:f", "other.py:f"])
    shell("resume", "run", "--allow", "own_again.py:f", "--quiet")
    assert json.loads(Path("run/result.json").read_text())["best_dev"] == whole["best_dev"]


def test_looking_at_a_run_imports_nothing_that_it_names(
    trap: Path, words_search: MakeSearch, shell: Shell
) -> None:
    run = trap / "run"
    config = words_search(6, 6, particles=3, max_iter=1, out=run)
    search(config)
    about = json.loads((run / "run.json").read_text())
    about["config"] |= {"optimizer": "trapdoor.py:score", "metrics": ["evaluate:./"]}
    about["config"] |= {"tasks": [*config.tasks, "lm-eval:task.yaml"]}
    (run / "run.json").write_text(json.dumps(about))
    with contextlib.chdir(trap):
        shell("report", run)
        shell("resume", run, "--quiet")
        shell("generate", "--run", run, "--max-new-tokens", 1, "hello")
        shell("eval", "--base", config.base, "--adapter", run / "best", "--task", *config.tasks)
        assert "--allow trapdoor.py:score" in shell.refused("analyse", run)
        assert not sprung(trap)


# Processes


def hostile_place(folder: Path, names: list[str]) -> Path:
    """A directory whose modules bear the names of others, and say so when they are imported."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}.py").write_text(
            f"open({str(folder)!r} + '/sprung-{name}', 'w').close()\n"
        )
    return folder


# Worker processes import the script that started them.
GUARDED = """
from pyswarmopt_llm.cli.app import main
if __name__ == "__main__":
    main({words!r})
"""


def python_at(here: Path, script: str) -> str:
    """What a script prints that is run as an installed command is: its own directory is on the
    path, not `here`; nothing there may be imported.
    """
    file = here.with_name("script.py")
    file.write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(pyswarmopt.__file__).parents[1])}
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(
        [sys.executable, file], cwd=here, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not [*here.glob("sprung-*")]
    return done.stdout


@pytest.mark.model
def test_workers_do_not_import_from_the_current_directory(
    words_search: MakeSearch, tmp_path: Path
) -> None:
    here = hostile_place(
        tmp_path / "here", ["filelock", "struct", "multiprocessing", "safetensors", "yaml", "torch"]
    )
    words = [*search_words(words_search(6, 6, max_iter=1, particles=3)), "--workers", "2"]
    python_at(here, GUARDED.format(words=words))
