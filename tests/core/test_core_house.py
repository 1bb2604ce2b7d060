"""The plan of the core: no circles of files, and public modules that list the names of users.

That rooms import only from rooms below is checked by import-linter (pyproject.toml, `make lint`).
"""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pyswarmopt

ROOT = Path(pyswarmopt.__file__).parent
# The package itself imports the rooms; these ask it for its version.
ASK_THE_PACKAGE = {
    "pyswarmopt.cli.app", "pyswarmopt.driver.result", "pyswarmopt.driver.multi.front",
    "pyswarmopt.teaching.lesson",
}  # fmt: skip


def trees() -> dict[str, ast.Module]:
    """Every module's name and source; a package is its `__init__`."""
    found = {}
    for file in ROOT.rglob("*.py"):
        name = ".".join(("pyswarmopt", *file.relative_to(ROOT).with_suffix("").parts))
        found[name.removesuffix(".__init__")] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def imports(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """What each module imports of the package, anywhere in its source."""
    found: dict[str, set[str]] = {}
    for module, tree in trees.items():
        names = found[module] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names if alias.name in trees}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{module}: a relative import"
                of = [f"{node.module}.{alias.name}" for alias in node.names]
                names |= {name if name in trees else str(node.module) for name in of} & trees.keys()
    return found


def test_no_files_import_each_other_in_a_circle():
    graph = imports(trees())
    for module in ASK_THE_PACKAGE:
        graph[module].discard("pyswarmopt")
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_public_modules_list_the_names_of_users_only():
    modules = [getattr(pyswarmopt, name) for name in pyswarmopt._MODULES]
    interop = pyswarmopt.interop
    for module in modules + [getattr(interop, name) for name in interop.__all__]:
        name = module.__name__
        assert {*dir(module)} == {*module.__all__}, name
