"""The tests stand as the packages do: a room's tests are in the folder of its name."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGES = {
    "core": "pyswarmopt",
    "llm": "pyswarmopt_llm",
    "groups": "pyswarmopt_groups",
    "rivals": "pyswarmopt_rivals",
}


def rooms(folder: Path) -> set[str]:
    """The packages in a folder."""
    return {path.parent.name for path in folder.glob("*/__init__.py")}


def rooms_with_tests(folder: Path) -> set[str]:
    """The folders with tests, at any depth."""
    return {path.relative_to(folder).parts[0] for path in folder.glob("*/**/test_*.py")}


@pytest.mark.parametrize("name", PACKAGES)
def test_each_room_has_its_folder_of_tests_and_each_folder_its_room(name: str) -> None:
    package = TESTS.parent / PACKAGES[name]
    folders = rooms_with_tests(TESTS / name)
    assert rooms(package) <= folders
    modules = {path.stem for path in package.glob("*.py")}  # a room may be one file
    assert folders <= rooms(package) | modules


@pytest.mark.parametrize("name", PACKAGES)
def test_tests_within_a_room_stand_with_its_parts(name: str) -> None:
    for test in (TESTS / name).glob("*/*/**/test_*.py"):
        place = test.parent.relative_to(TESTS / name)
        assert (TESTS.parent / PACKAGES[name] / place / "__init__.py").exists()
