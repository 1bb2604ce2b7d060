"""The wheel, not the tree: built, installed into an empty environment, and used as its users would;
and editable.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from search_helpers import louder, questions, write_task

ROOT = Path(__file__).parents[2]
PACKAGES = {"pyswarmopt", "pyswarmopt_llm", "pyswarmopt_groups", "pyswarmopt_rivals"}


def called(*words: object, where: Path) -> subprocess.CompletedProcess[str]:
    """A command, run without this process's own import path."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {
        "OMP_NUM_THREADS": "1"
    }
    return subprocess.run(
        [str(word) for word in words],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run(*words: object, where: Path) -> str:
    """Standard output of a command that has to succeed."""
    done = called(*words, where=where)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copied(folder: Path) -> Path:
    """What is built, in a folder of its own, so that the checkout stays clean."""
    (folder / "examples").mkdir(parents=True, exist_ok=True)
    files = ("pyproject.toml", "README.md", "LICENSE")
    examples = [f"examples/{name}" for name in ("experts", "others", "letters", "unlike")]
    for name in (*files, *examples, *PACKAGES):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def installed(folder: Path, *what: object) -> Path:
    """An environment that holds it; what it depends on is borrowed from this one, the checkout is
    not.
    """
    venv.create(folder, with_pip=False)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
    (site,) = folder.glob("lib/python*/site-packages")
    # A path added like this is not searched for .pth files, which is how an editable checkout would
    # come back.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    how = "--no-deps --no-index --no-build-isolation --ignore-installed".split()
    run(*pip, "install", *how, *what, where=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    folder = copied(tmp_path_factory.mktemp("wheel"))
    words = "-m pip wheel --no-deps --no-build-isolation -w dist .".split()
    run(sys.executable, *words, where=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel."""
    return installed(tmp_path_factory.mktemp("environment") / "venv", wheel)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an editable install is of: a copy of the checkout; its environment is beside it."""
    folder = tmp_path_factory.mktemp("editable")
    installed(folder / "venv", "-e", copied(folder / "clone"))
    return folder / "clone"


def test_the_wheel_is_small_and_holds_what_it_should(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    # source, the texts of builtin:requests, the lesson's recordings, a base and ten adapters of a toy
    assert wheel.stat().st_size < 4_200_000
    assert len([name for name in names if name.endswith(".safetensors")]) == 11
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    sources = {str(p.relative_to(ROOT)) for top in PACKAGES for p in (ROOT / top).rglob("*.*")}
    missing = {name for name in sources if "__pycache__" not in name} - set(names)
    assert not missing


def test_the_optimiser_of_the_readme_runs_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    python = environment / "bin" / "python"
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    assert blocks
    for block in blocks:
        run(python, "-c", block, where=tmp_path)
    where = run(python, "-c", "import pyswarmopt; print(pyswarmopt.__file__)", where=tmp_path)
    assert Path(where.strip()).is_relative_to(environment)


def test_without_a_clone_a_demo_says_where_its_models_are(
    environment: Path, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "examples" / "unlike", tmp_path / "examples" / "unlike")
    done = called(environment / "bin" / "swarm-llm", "demo", "--token", where=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert "run make demo" in done.stderr and "or swarm-llm demo --quick" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_quick_demo_needs_no_clone(environment: Path, tmp_path: Path) -> None:
    words = "demo --quick --json --out run".split()
    done = called(environment / "bin" / "swarm-llm", *words, where=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["best_test"] > found["best_single_test"]


DEMOS = """
from pathlib import Path
from pyswarmopt_llm.cli.demo import demo_search, letters_search, token_search
letters, token = letters_search(0, Path("r")), token_search(0, Path("r"))
print(*demo_search(0, Path("r")).experts, *letters.experts, letters.tasks[0][8:], letters.metrics[0][:-6], sep="\\n")
print(*token.experts, *token.tasks, sep="\\n")
"""


def test_a_search_runs_from_the_wheel(
    environment: Path, tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(8, 2))
    experts = louder(tiny_experts, tmp_path / "loud")
    command = environment / "bin" / "swarm-llm"
    asked = ("--base", tiny_base, "--task", task, "--scoring", "likelihood", "--quiet", "--json")
    words = ("--experts", *experts, "--out", "run", "--particles", 3, "--max-iter", 1)
    found = json.loads(run(command, "search", *asked, *words, where=tmp_path))
    assert found["best_dev"] >= found["best_single_dev"]
    assert (tmp_path / "run" / "best" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "run" / "report.html").is_file()


def test_the_demos_find_their_files_in_the_clone_that_is_installed(
    clone: Path, tmp_path: Path
) -> None:
    python = clone.with_name("venv") / "bin" / "python"
    files = [Path(line) for line in run(python, "-c", DEMOS, where=tmp_path).splitlines()]
    assert all(path.is_relative_to(clone) and path.exists() for path in files)
    pools = [
        sorted((ROOT / "examples" / name).iterdir())
        for name in ("experts", "others", "letters/experts")
    ]
    names = [path.name for pool in pools for path in pool]
    unlike = ["llama", "gpt2", "gemma3", "task.json"]
    assert [path.name for path in files] == [*names, "prompts.jsonl", "check.py", *unlike]
