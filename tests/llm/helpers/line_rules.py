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


def in_one_line(tree: ast.Module) -> Iterator[ast.AST]:
    """Where several things that have names stand in one line: ``a, b = x, y``, and what is written
    out to be unpacked at once, ``*(x, y)``, ``**{"a": x}``.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            several = any(isinstance(target, ast.Tuple | ast.List) for target in node.targets)
            if several and isinstance(node.value, ast.Tuple | ast.List):
                yield node
        elif isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple | ast.List):
            yield node
        elif isinstance(node, ast.keyword) and node.arg is None:
            if isinstance(node.value, ast.Dict):
                yield node
        elif isinstance(node, ast.Dict):
            unpacked = (value for key, value in zip(node.keys, node.values, strict=True) if not key)
            yield from (value for value in unpacked if isinstance(value, ast.Dict))
