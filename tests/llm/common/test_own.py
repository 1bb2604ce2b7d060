"""What users write themselves: named in settings as objects, files, or by packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from search_helpers import MakeSearch

import pyswarmopt as pso
import pyswarmopt_llm.common.own as own_module
from pyswarmopt_groups.config import DistillConfig
from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.other_optimizers import check_other, other_recipe
from pyswarmopt_llm.common.own import fingerprint, named, own
from pyswarmopt_llm.common.registry import plugins
from pyswarmopt_llm.report.run import resume, search
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_rivals.comparison.config import CompareConfig


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Objects are known to one test alone."""
    yield
    own_module._HERE.clear()


def test_a_text_or_a_path_is_one_of_several() -> None:
    config = SearchConfig("b", Path("x"), "quiz.json", Path("run"), metrics="f1", columns=["a=b"])
    assert (config.experts, config.tasks, config.out) == (("x",), ("quiz.json",), "run")
    assert (config.metrics, config.columns) == (("f1",), ("a=b",))
    compared = CompareConfig(
        "b", ("x", "y"), "t", "o", methods="ties", data=(("x", "chats.jsonl"),)
    )
    assert (compared.methods, compared.data) == (("ties",), (("x", "chats.jsonl"),))
    assert EvalConfig(base=Path("b"), task=Path("t.csv")).task == "t.csv"


def test_a_dictionary_is_its_names_and_values() -> None:
    config = SearchConfig(
        "b", ("x",), ("t",), "r", columns={"question": "body"}, settings={"step": 0.5}
    )  # type: ignore[arg-type]
    assert config.columns == ("question=body",) and config.settings == ("step=0.5",)


@pytest.mark.parametrize(
    ("config", "wrong", "right"),
    [
        (SearchConfig, "task", "tasks"),
        (EvalConfig, "splits", "split"),
        (CompareConfig, "method", "methods"),
        (DistillConfig, "xyz", None),
    ],
)
def test_a_wrong_name_of_a_setting_is_answered_with_the_nearest(
    config: Callable[..., Any], wrong: str, right: str | None
) -> None:
    name = config.__name__
    hint = f"did you mean {right}?" if right else f"help({name}) lists them"
    with pytest.raises(TypeError, match=re.escape(f"{name}() has no argument {wrong}; {hint}")):
        config(**{wrong: "x"})


def test_an_object_has_a_name_and_a_function_of_a_file_that_of_its_file() -> None:
    def mine() -> None: ...

    recipe = pso.compose([pso.inertia(0.5)], name="very calm")
    config = SearchConfig("b", ("x", "y"), ("t",), "r", metrics=mine, optimizer=recipe)
    assert config.metrics == ("notebook.py:mine",) and own("metric", config.metrics[0]) is mine
    assert own("optimizer", config.optimizer) is recipe
    name = named(find_metric)
    assert name.endswith("by_name.py:find_metric") and Path(name.rpartition(":")[0]).is_file()
    assert EvalConfig(metric=mine).metric == "notebook.py:mine"


def test_a_fingerprint_is_of_the_source() -> None:
    def first(reply: str) -> int:
        return len(reply)

    before = fingerprint(named(first))

    def first(reply: str) -> int:
        return -len(reply)

    assert fingerprint(named(first)) != before


@pytest.mark.parametrize("imported", ["weights.py", "rules/length.py", "units.py"])
def test_a_fingerprint_is_of_what_is_imported_from_beside_the_file_too(
    tmp_path: Path, imported: str
) -> None:
    (tmp_path / "rules").mkdir()
    score = "import weights, json\nfrom rules.length import count\n"
    sources = {"mine.py": score, "weights.py": "import units", "rules/length.py": "import mine"}
    for name, source in {**sources, "units.py": "", "other.py": ""}.items():
        (tmp_path / name).write_text(source)
    before = fingerprint(f"{tmp_path}/mine.py:score")
    (tmp_path / "other.py").write_text("W = 2")
    assert fingerprint(f"{tmp_path}/mine.py:score") == before
    (tmp_path / imported).write_text("W = 2")
    assert fingerprint(f"{tmp_path}/mine.py:score") != before


def test_a_search_takes_a_function_and_goes_on_with_it(
    words_search: MakeSearch, tmp_path: Path
) -> None:
    def vowels(reply: str) -> float:
        return float(sum(map(reply.count, "aeiou")))

    config = words_search(6, 6, metrics=vowels, scoring="auto", max_new_tokens=4, max_iter=0)
    found = search(config).result
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(UserError, match=r"allow notebook\.py:vowels"):
        resume(tmp_path / "run")
    assert resume(tmp_path / "run", allowed=[vowels]).result["best_dev"] == found["best_dev"]


@pytest.fixture
def installed(importable: Callable[[Path], None], tmp_path: Path) -> Iterator[None]:
    """What is written to this folder is a package that pip has installed."""
    importable(tmp_path)
    plugins.cache_clear()
    yield
    plugins.cache_clear()


@pytest.mark.usefixtures("installed")
def test_packages_add_names(tmp_path: Path) -> None:
    """By the entry points in their metadata."""
    (tmp_path / "their_package.py").write_text(
        "import pyswarmopt as pso\n"
        "def polite(reply): return reply.count('please')\n"
        "def calm(): return pso.compose([pso.inertia(0.25), pso.cognitive(1.0)])\n"
    )
    metadata = tmp_path / "their_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[swarm_llm.metrics]\npolite = their_package:polite\n"
        "[swarm_llm.optimizers]\ncalm = their_package:calm\n"
    )
    metric = find_metric("polite")
    assert metric.rate(["?"], ["please, please"], [Item("1", "?", None, None)]) == [{"": 2.0}]
    check_other("calm")
    assert other_recipe("calm", 5, 3).velocity.terms[0].weight == 0.25
