"""What users write themselves: named in settings as objects, files, or by packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pyswarmopt as pso
from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.optimizers import check_optimizer, other_recipe
from pyswarmopt_llm.common.own import fingerprint, own
from pyswarmopt_llm.common.registry import plugins
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.use.config import EvalConfig


def test_a_function_of_a_file_is_named_by_it_and_an_object_of_no_file_is_refused() -> None:
    def mine() -> None: ...

    name = EvalConfig(metric=find_metric).metric
    assert name is not None and own("metric", name).__name__ == "find_metric"
    assert Path(name.rpartition(":")[0]).is_file()
    for other in (mine, pso.compose([pso.inertia(0.5)])):
        with pytest.raises(UserError, match="is not in a file"):
            SearchConfig("b", ("x", "y"), ("t",), "r", optimizer=other)  # type: ignore[arg-type]


def test_a_fingerprint_is_of_what_is_imported_from_beside_the_file_too(
    tmp_path: Path,
) -> None:
    (tmp_path / "rules").mkdir()
    score = "import weights, json\nfrom rules.length import count\n"
    sources = {"mine.py": score, "weights.py": "import units", "rules/length.py": "import mine"}
    for name, source in {**sources, "units.py": "", "other.py": ""}.items():
        (tmp_path / name).write_text(source)
    before = fingerprint(f"{tmp_path}/mine.py:score")
    (tmp_path / "other.py").write_text("W = 2")
    assert fingerprint(f"{tmp_path}/mine.py:score") == before
    (tmp_path / "units.py").write_text("W = 2")
    assert fingerprint(f"{tmp_path}/mine.py:score") != before


@pytest.fixture
def installed(importable: Callable[[Path], None], tmp_path: Path) -> Iterator[None]:
    """What is written to this folder is a package that pip has installed."""
    importable(tmp_path)
    plugins.cache_clear()
    yield
    plugins.cache_clear()


@pytest.mark.usefixtures("installed")
def test_packages_add_names(
    tmp_path: Path, importable: Callable[[Path], None], request: pytest.FixtureRequest
) -> None:
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
    importable(tmp_path)
    plugins.cache_clear()  # read once in a process
    request.addfinalizer(plugins.cache_clear)
    metric = find_metric("polite")
    assert metric.rate(["?"], ["please, please"], [Item("1", "?", None, None)]) == [{"": 2.0}]
    check_optimizer("calm")
    assert other_recipe("calm", 5, 3).velocity.terms[0].weight == 0.25
