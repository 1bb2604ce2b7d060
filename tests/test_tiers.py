"""The list of the second tier names tests that exist: a renamed test would run in the first."""

from __future__ import annotations

import ast
from pathlib import Path

from tiers import SLOW, slow_tests

ROOT = Path(__file__).parents[1]


def functions(file: Path) -> set[str]:
    """Names of functions and classes, wherever they stand in the file."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def exists(line: str) -> bool:
    """Whether a line of the list is a file with tests, or a test or doctest in it."""
    name, _, test = line.partition("::")
    file = ROOT / name
    if not file.is_file():
        return False
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return test in ("", module) or test.rpartition(".")[2] in functions(file)


def test_every_line_of_the_list_is_a_test() -> None:
    lines = SLOW.read_text(encoding="utf-8").split()
    assert [line for line in lines if not exists(line)] == []
    assert len(lines) == len(set(lines))


def test_a_test_is_slow_if_a_call_takes_more_than_a_second() -> None:
    many = [f"0.{9 - i}s call     tests/a.py::test_many[{i}]" for i in range(9)]
    lines = [
        "1.20s call     tests/a.py::test_long",
        "0.90s setup    tests/a.py::test_short",
        "2.00s call     tests/a.py::test_cases[a b]",
        "0.30s call     tests/a.py::test_short",
    ]
    assert sum(float(line[:4].rstrip("s")) for line in many) < 5
    assert slow_tests("\n".join(lines + many)) == [
        "tests/a.py::test_cases",
        "tests/a.py::test_long",
    ]
