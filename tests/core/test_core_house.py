"""The plan of the core: folders in one order, no circles of files, small folders, short argument
lists.
"""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pyswarmopt

ROOT = Path(pyswarmopt.__file__).parent
# Every room imports only from rooms before it, and from itself.
ROOMS = (
    "base", "parts", "algorithms", "hybrid", "engine", "swarm", "driver", "_minimize", "inspect",
    "interop", "teaching", "cli",
)  # fmt: skip
# The package itself imports the rooms; these ask it for its version.
ASK_THE_PACKAGE = {"pyswarmopt.cli.app", "pyswarmopt.teaching.lesson"}
MOST_ENTRIES = 12
MOST_ARGUMENTS = 8
# Signatures that users rely on.
LONG = {
    "minimize_multi", "Swarm.__init__", "compose", "model_swarms", "surrogate",
    "SwarmSearchCV.__init__",
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


def room(module: str) -> str:
    return f"{module}.".split(".")[1]


def test_rooms_import_only_from_rooms_before_them():
    wrong = []
    for module, names in imports(trees()).items():
        if module == "pyswarmopt":
            continue
        for name in names:
            if not room(name):
                wrong += [] if module in ASK_THE_PACKAGE else [f"{module} imports the package"]
            elif ROOMS.index(room(name)) > ROOMS.index(room(module)):
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_every_file_is_in_a_room():
    assert {room(module) for module in trees()} - {""} == set(ROOMS)


def test_no_files_import_each_other_in_a_circle():
    graph = imports(trees())
    for module in ASK_THE_PACKAGE:
        graph[module].discard("pyswarmopt")
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_no_folders_import_each_other_in_a_circle():
    """Not only the rooms: the folders inside them, too."""
    folders: dict[str, set[str]] = {}
    known = trees()
    packages = {name for name in known if any(other.startswith(f"{name}.") for other in known)}
    for module, names in imports(known).items():
        if module in {"pyswarmopt", *ASK_THE_PACKAGE}:
            continue
        here = module if module in packages else module.rpartition(".")[0]
        there = {name if name in packages else name.rpartition(".")[0] for name in names}
        folders.setdefault(here, set()).update(there - {here, "pyswarmopt"})
    folders.pop("pyswarmopt", None)  # single files, which the rooms' order covers
    list(TopologicalSorter(folders).static_order())


FOLDERS = [
    ROOT,
    *(path for path in ROOT.rglob("*") if path.is_dir() and path.name != "__pycache__"),
]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_folder_has_few_entries(folder):
    beside = {"__init__.py", "py.typed", "__pycache__"}
    entries = [path.name for path in folder.iterdir() if path.name not in beside]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def public_functions(body: list[ast.stmt], owner: str = "") -> list[tuple[str, ast.FunctionDef]]:
    found = []
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found += public_functions(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef) and (
            node.name == "__init__" or not node.name.startswith("_")
        ):
            found.append((owner + node.name, node))
    return found


def test_public_functions_have_few_arguments():
    long = set()
    for module, tree in trees().items():
        for name, function in public_functions(tree.body):
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            if len([a for a in arguments if a.arg not in ("self", "cls")]) > MOST_ARGUMENTS:
                long.add((module, name))
    assert {name for _, name in long} == LONG, sorted(long)


def test_nothing_passes_its_local_variables_on():
    calls = [
        module
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("locals", "globals")
    ]
    assert not calls
