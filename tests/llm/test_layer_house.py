"""The plan of the LLM layer as rules: imports downwards, and what only the commands say."""

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
# The rooms of the main road, from the lowest to the highest.
ROAD = ("common", "experts", "engine", "mix", "scores", "searching", "report", "cli", "__main__")
# What the main road does not pass: imported when it is chosen.
SIDE = ("tokens", "servers", "published", "tools", "formats")
# What the main road takes from the side rooms: file -> modules. The import stands in the function
# that uses it, so that a search loads no room that it has not chosen.
ASIDE = {
    "cli.evaluate": {"tools.blind"},
    "cli.inspect": {"formats", "formats.survival", "tools.check"},
    "cli.tools": {"tools.analyse", "tools.export"},
    "mix": {"tokens.space"},
    "scores.metrics.by_name": {
        "published.abstention",
        "published.classifiers",
        "published.judge",
        "published.nlgraph",
    },
    "scores.metrics.objectives": {"published.lm_eval"},
    "scores.tasks.load": {"published.builtin", "published.datasets"},
    "searching.find": {"servers.workers"},
    "searching.training.examples": {"published.builtin"},
    "searching.use.evaluate": {"published.lm_eval"},
}


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


def crossing() -> Iterator[tuple[str, str]]:
    """Imports of a module of another room, by those of the main road."""
    for name, tree in modules():
        yield from (
            (name, other) for other in imported(tree) if room_of(other) != room_of(name) in ROAD
        )


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_imports_go_downwards() -> None:
    level = {room: number for number, room in enumerate(ROAD)}
    upwards = {
        (name, other)
        for name, other in crossing()
        if room_of(other) in ROAD and level[room_of(other)] > level[room_of(name)]
    }
    assert upwards == set()


def from_side_rooms(tree: ast.AST) -> set[str]:
    return {other for other in imported(tree) if room_of(other) in SIDE}


def test_the_main_road_imports_side_rooms_where_the_table_says() -> None:
    road = {name: tree for name, tree in modules() if room_of(name) in ROAD}
    found = {name: from_side_rooms(tree) for name, tree in road.items()}
    assert {name: others for name, others in found.items() if others} == ASIDE


def test_side_rooms_are_imported_inside_functions() -> None:
    """At the top of a file, or of a class, the import would load the room with the file."""
    for name, tree in modules():
        if name in ASIDE:
            assert from_side_rooms(without_functions(tree)) == set(), name


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
    named = re.compile(rf"(?:{LAYER}\.)?(?:{'|'.join((*ROAD, *SIDE))})\.[\w.]+:\w+")
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
