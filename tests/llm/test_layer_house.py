"""The plan of the LLM layer as rules: what a search does not load, and what only the commands say.

That imports go downwards is checked by import-linter (pyproject.toml, `make lint`).
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import networkx
import pytest
from line_rules import files_that_spell_options, tree_of, users_of_the_cores_commands

import pyswarmopt_groups
import pyswarmopt_llm
import pyswarmopt_rivals

ROOT = Path(pyswarmopt_llm.__file__).parent
LAYER = "pyswarmopt_llm"
# Rooms that a search does not pass unless they are chosen.
SIDE = ("tokens", "published", "external", "tools", "formats")


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Dotted name below the package -> syntax tree."""
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), tree_of(file)


NAMES = frozenset(name for name, _ in modules())


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules of the layer that a tree imports, wherever the statement stands: at the top, in
    functions, for types. ``from package import module`` is an import of that module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(LAYER):
            package = (node.module or "").removeprefix(LAYER).removeprefix(".")
            for alias in node.names:
                module = f"{package}.{alias.name}".removeprefix(".")
                yield module if module in NAMES else package
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix(LAYER).removeprefix(".")
                for alias in node.names
                if alias.name.startswith(LAYER)
            )


# Rules


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_side_rooms_are_imported_inside_functions() -> None:
    """At the top of a file, or of a class, the import would load the room with the file."""
    loading = {
        (name, other)
        for name, tree in modules()
        for other in imported(without_functions(tree))
        if name and room_of(other) in SIDE and room_of(name) not in SIDE
    }
    assert loading == set()


def without_functions(tree: ast.Module) -> ast.Module:
    """What runs when a module is imported."""

    class Outside(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

    return Outside().visit(copy.deepcopy(tree))


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = networkx.DiGraph()
    for name, tree in modules():
        graph.add_edges_from((name, other) for other in imported(tree) if other != name)
    assert [c for c in networkx.strongly_connected_components(graph) if len(c) > 1] == []


# Tables of commands, and the public names: what `--help` and `import pyswarmopt_llm` do not load.
TABLES = ("", "cli.build")


def test_no_string_stands_for_an_import() -> None:
    """A module that is named in a string is unseen by checkers, by readers, and by these rules."""
    rooms = "|".join({room_of(name) for name in NAMES} - {""})
    named = re.compile(rf"(?:{LAYER}\.)?(?:{rooms})\.[\w.]+:\w+")
    found = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and named.fullmatch(node.value)
    }
    assert found <= set(TABLES), found


# What only `cli/` says and imports, here and in the packages above

SPELL_OPTIONS = {
    "common/options.py": "puts the dashes before the name of a setting in a command",
    "report/against.py": "says on a terminal where the rest of a list is",
    "experts/quantised.py": "an option of pip",
    "tools/blind.py": "names the command that wrote a key",
}
PACKAGES = [
    (pyswarmopt_llm, set(SPELL_OPTIONS)),
    (pyswarmopt_groups, set()),
    (pyswarmopt_rivals, set()),
]


@pytest.mark.parametrize(("package", "spell"), PACKAGES)
def test_only_the_commands_spell_options_and_import_the_cores_commands(
    package: ModuleType, spell: set[str]
) -> None:
    """Elsewhere a message names the setting, in backticks; `cli/` shows it as it is typed
    (`UserError.spelled`).
    """
    assert files_that_spell_options(package) == spell
    assert users_of_the_cores_commands(package) == set()


@pytest.mark.parametrize("name", dir(pyswarmopt_llm))
def test_each_public_name_is_there(name: str) -> None:
    """Those of packages beside it, which are loaded on first use, too."""
    assert getattr(pyswarmopt_llm, name) is not None
