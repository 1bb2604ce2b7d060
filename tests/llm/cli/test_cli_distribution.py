"""The distribution's own files agree with each other."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return loaded


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_dependency_is_bounded_on_both_sides_and_pinned_within(
    project: dict[str, Any],
) -> None:
    extras = project["optional-dependencies"]
    listed = [
        *project["dependencies"],
        *(line for name in extras if name != "all" for line in extras[name]),
    ]
    known = pins()
    for requirement in map(Requirement, listed):
        if requirement.name == project["name"]:  # another extra
            continue
        signs = {spec.operator for spec in requirement.specifier}
        assert signs == {">=", "<"}, requirement
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(known[name]), requirement


def test_all_means_all_extras_but_those_that_are_large(
    project: dict[str, Any],
) -> None:
    extras = project["optional-dependencies"]
    (everything,) = map(Requirement, extras["all"])
    assert everything.name == project["name"]
    # Ray is large, and llama.cpp is compiled for minutes
    assert everything.extras == set(extras) - {"all", "ray", "llama-cpp"}


def test_every_command_of_the_reference_exists() -> None:
    from pyswarmopt_llm.cli.app import COMMANDS

    page = (ROOT / "docs" / "reference" / "index.md").read_text(encoding="utf-8")
    table = [line for line in page.splitlines() if line.startswith("| `swarm-llm")]
    assert {line.split("`")[1].split()[1] for line in table} == set(COMMANDS)
