"""What users write themselves, named in settings by its file."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyswarmopt as pso
from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.own import fingerprint
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.use.config import EvalConfig


def test_paths_become_texts_and_objects_are_refused() -> None:
    config = EvalConfig(base=Path("b"), columns=["label=mood"])  # type: ignore[arg-type]
    assert (config.base, config.columns) == ("b", ("label=mood",))
    for other in (find_metric, pso.compose([pso.inertia(0.5)]), {"quiz": "f1"}):
        with pytest.raises(UserError, match=r"metrics \w+ is not a text; use FILE.py:NAME"):
            SearchConfig("b", ("x", "y"), ("t",), "r", metrics=other)  # type: ignore[arg-type]


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
