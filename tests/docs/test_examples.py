"""The examples of the public API that need files are run in the documentation's folder, on models of
a few thousand weights. Their outcomes depend on the model and are not compared; those of examples
without files are, by doctest.
"""

from __future__ import annotations

import contextlib
import doctest
import inspect
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from test_documentation import stage, world  # noqa: F401

import pyswarmopt_llm as sl

ROOT = Path(__file__).parents[2]
PARSER = doctest.DocTestParser()


def examples_of(name: str) -> list[doctest.Example]:
    return PARSER.get_examples(inspect.getdoc(getattr(sl, name)) or "")


def needs_files(example: doctest.Example) -> bool:
    return example.options.get(doctest.SKIP, False)


EXPORTS = [name for name in sl.__all__ if not inspect.ismodule(getattr(sl, name))]
FUNCTIONS = [name for name in EXPORTS if inspect.isfunction(getattr(sl, name))]
WITH_FILES = [name for name in EXPORTS if any(map(needs_files, examples_of(name)))]


@pytest.fixture(scope="module")
def first(stage: Path) -> Path:  # noqa: F811
    """A finished run on a table of tickets: ``runs/first``."""
    experts = ("adapters/math", "adapters/science")
    columns = ("question=body", "label=team")
    with contextlib.chdir(stage):
        config = sl.SearchConfig(
            "my/base", experts, ("tickets.csv",), "runs/first", columns=columns, train="off"
        )
        return stage / sl.search(config).run


@pytest.fixture
def reward(world: Path, tiny_base: Path) -> Path:  # noqa: F811
    """A reward model of random weights, as ``my/reward``."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    folder = world / "my" / "reward"
    config = LlamaConfig.from_pretrained(tiny_base, num_labels=1)
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_has_an_example(name: str) -> None:
    assert examples_of(name), f"{name}: its docstring has no example"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_takes_returns_and_raises(name: str) -> None:
    text = inspect.getdoc(getattr(sl, name)) or ""
    parameters = inspect.signature(getattr(sl, name)).parameters.values()
    assert "Returns:" in text and ("Raises:" in text or name == "interval")
    assert "Args:" in text or not parameters
    for parameter in parameters:
        if parameter.kind is not parameter.VAR_KEYWORD:
            assert re.search(rf"\b{parameter.name}\b", text), parameter.name


@pytest.mark.parametrize("name", WITH_FILES)
def test_example_runs(name: str, first: Path, reward: Path, world: Path) -> None:  # noqa: F811
    if not (world / "runs" / "first").exists():
        shutil.copytree(first, world / "runs" / "first")
    home = sys.modules[getattr(sl, name).__module__]
    public = {export: getattr(sl, export) for export in EXPORTS}
    names: dict[str, Any] = {"sl": sl, **public, **vars(home)}
    for example in examples_of(name):
        exec(compile(example.source, f"<example of {name}>", "single"), names)


def test_a_script_of_the_gallery_has_at_most_60_lines_and_a_page() -> None:
    page = (ROOT / "docs" / "tutorials" / "gallery.md").read_text(encoding="utf-8")
    for script in (ROOT / "examples" / "gallery").glob("*.py"):
        assert len(script.read_text(encoding="utf-8").splitlines()) <= 60
        assert f"<!-- gallery: {script.stem} -->" in page
