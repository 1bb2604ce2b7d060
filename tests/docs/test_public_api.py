"""The public Python API of `pyswarmopt_llm`: `__all__` is complete and all that documents
import.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pyswarmopt_llm as sl

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.py"),
         *(ROOT / "examples").rglob("*.ipynb")]  # fmt: skip
PROMISED = (
    "search resume SearchConfig evaluate generate merge compare vote open_model load_task UserError"
).split()


def test_the_names_of_the_design_are_public() -> None:
    assert set(PROMISED) <= set(dir(sl))
    assert all(getattr(sl, name).__doc__ for name in PROMISED)


def test_type_checkers_see_every_public_name() -> None:
    tree = ast.parse(Path(str(sl.__file__)).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname or alias.name for node in imports for alias in node.names}
    assert seen == set(sl.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        sl.serach  # noqa: B018


def test_importing_the_package_loads_no_torch() -> None:
    code = (
        "import sys, pyswarmopt_llm; sys.exit('torch' in sys.modules or 'transformers' in "
        "sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documents_import_public_names_only(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    # Parts that a reader's space is made of.
    extending = {f"pyswarmopt_llm.{name}" for name in ("mix", "mix.delta", "mix.one_base")}
    found = set(re.findall(r"(?:from|import) (pyswarmopt_llm\.[\w.]+)", text))
    generators = {"pyswarmopt_llm.published.builtin"}  # training items of the examples
    assert found <= generators | extending
