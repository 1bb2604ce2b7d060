"""Rules about the lines of a package: what only its folder ``cli/`` says and imports, and how many
names a line has.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

_FLAG = re.compile(r"(?<![\w-])--([a-z]|$)")  # the latter before a field of an f-string


def below_cli(package: ModuleType) -> Iterator[tuple[str, ast.Module]]:
    """File below the package -> syntax tree, without those of a folder ``cli/``."""
    root = Path(str(package.__file__)).parent
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root)
        if "cli" not in name.parts and name.stem != "__main__":
            yield name.as_posix(), tree_of(file)


@cache
def tree_of(file: Path) -> ast.Module:
    """The syntax tree of a file, parsed once for all rules."""
    return ast.parse(file.read_text(encoding="utf-8"))


def files_that_spell_options(package: ModuleType) -> set[str]:
    """Files with a text that has an option as the command line does, ``--out``, but for whole
    `swarm-llm` commands.
    """
    return {file for file, tree in below_cli(package) if any(_spelled(tree))}


def _spelled(tree: ast.Module) -> Iterator[str]:
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
        if isinstance(text, str) and "swarm-llm " not in text and _FLAG.search(text):
            yield text


def users_of_the_cores_commands(package: ModuleType) -> set[str]:
    """Files that import `pyswarmopt.cli`."""
    return {
        file for file, tree in below_cli(package) if any(map(_imports_commands, ast.walk(tree)))
    }


def _imports_commands(node: ast.AST) -> bool:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    return any(f"{name}.".startswith("pyswarmopt.cli.") for name in names)
