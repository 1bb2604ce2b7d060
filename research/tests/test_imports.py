"""Scripts that no other test runs import names that exist."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    path for folder in ("research", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)


def imported(script: Path) -> Iterator[tuple[str, str]]:
    """Module and name of what a script imports from our packages, wherever in it that stands."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pyswarmopt"):
            for alias in node.names:
                yield str(node.module), alias.name


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_imports_from_the_packages_exists(script: Path) -> None:
    for module, name in imported(script):
        home = importlib.import_module(module)
        assert hasattr(home, name) or importlib.util.find_spec(f"{module}.{name}"), (module, name)
