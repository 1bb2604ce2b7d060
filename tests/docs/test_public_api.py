"""Public names are a contract: those of `pyswarmopt` are listed in tests/frozen/names.json, and
documents import public names of `pyswarmopt_llm` only.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from pathlib import Path

import pytest

import pyswarmopt
import pyswarmopt_llm as sl

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.py"),
         *(ROOT / "examples").rglob("*.ipynb")]  # fmt: skip


def test_a_public_name_of_the_optimiser_goes_on_purpose() -> None:
    listed = json.loads((ROOT / "tests" / "frozen" / "names.json").read_text(encoding="utf-8"))
    assert sorted(pyswarmopt.__all__) == listed.pop("pyswarmopt")
    for module, names in listed.items():
        assert (
            sorted(operator.attrgetter(module.removeprefix("pyswarmopt."))(pyswarmopt).__all__)
            == names
        )


def test_type_checkers_see_every_public_name() -> None:
    tree = ast.parse(Path(str(sl.__file__)).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname or alias.name for node in imports for alias in node.names}
    assert seen == set(sl.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        sl.serach  # noqa: B018


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documents_import_public_names_only(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    # Parts that a reader's space is made of.
    extending = {f"pyswarmopt_llm.{name}" for name in ("mix", "mix.delta", "mix.one_base")}
    found = set(re.findall(r"(?:from|import) (pyswarmopt_llm\.[\w.]+)", text))
    # training items and reward models of the examples
    examples = {
        f"pyswarmopt_llm.{name}"
        for name in ("published.builtin", "external.classifiers", "scores.metrics.metric")
    }
    assert found <= examples | extending
