"""Names that are in no table, extras that are not installed, addresses that are none."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from line_rules import tree_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from search_helpers import louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.extras import EXTRAS

ROOT = Path(__file__).parents[3]


def packages(extra: str) -> set[str]:
    """The distributions of an extra."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    return {canonicalize_name(Requirement(line).name) for line in extras[extra]}


@pytest.mark.parametrize("module", sorted(EXTRAS))
def test_the_extra_installs_the_module(module: str) -> None:
    owners = {canonicalize_name(name) for name in packages_distributions().get(module, [module])}
    if module == "pyarrow":
        owners = {"datasets"}  # which cannot do without it
    if module == "llama_cpp":
        owners = {"llama-cpp-python"}  # compiles for minutes, so it is in no test's environment
    assert owners & packages(EXTRAS[module])


def test_the_extra_llm_installs_what_is_imported_at_the_top_of_a_module() -> None:
    tops = [node for file in (ROOT / "pyswarmopt_llm").rglob("*.py") for node in tree_of(file).body]
    named = [alias.name for node in tops if isinstance(node, ast.Import) for alias in node.names]
    named += [str(node.module) for node in tops if isinstance(node, ast.ImportFrom)]
    owners = packages_distributions()
    modules = {name.partition(".")[0] for name in named} & set(owners)
    own = {"numpy", "pyswarmopt", "markupsafe", "networkx"}  # of every install; jinja2's, torch's
    here = packages("llm") | packages("torch") | own
    assert {name for name in modules if not {*map(canonicalize_name, owners[name])} & here} == set()


def test_a_search_needs_no_extra(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, without: Callable[..., None]
) -> None:
    without(*(module for module, extra in EXTRAS.items() if extra != "llm"))
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(8, 2))
    config = small(tiny_base, louder(tiny_experts, tmp_path / "loud"), [task], tmp_path / "run")
    assert search(config).result["evaluations"] > 0
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_search_is_refused_before_anything_is_written(
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    without: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    without("nevergrad")
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(8, 2))
    words = ["search", "--base", tiny_base, "--experts", *tiny_experts, "--task", task]
    words += ["--out", tmp_path / "run"]
    code, _, err = swarm_llm(capsys, *words, "--optimizer", "nevergrad:CMA")
    assert code == 2 and err.count("\n") == 1 and 'install the extra "nevergrad"' in err
    assert not (tmp_path / "run").exists()
