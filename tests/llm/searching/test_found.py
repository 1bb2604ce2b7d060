"""What a notebook shows of a finished search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyswarmopt_llm import SearchResult

RUN = Path(__file__).parents[2] / "frozen" / "runs" / "several" / "finished"


@pytest.fixture
def found() -> SearchResult:
    return SearchResult(RUN, json.loads((RUN / "result.json").read_text("utf-8")))


def test_a_result_is_a_line_and_its_table_has_the_numbers_of_the_file(found: SearchResult) -> None:
    assert len(
        repr(found).replace(str(RUN), "")
    ) < 100 and f"{found.result['best_test']:.3f}" in repr(found)
    rows = {row["model"]: row for row in found.table}
    assert rows.keys() == found.result["models"].keys()
    for name, model in found.result["models"].items():
        assert rows[name]["dev"] == model["dev"]["value"]
        assert [rows[name]["test_low"], rows[name]["test_high"]] == model["test"]["interval"]


def test_a_notebook_shows_verdict_and_table_escaped(found: SearchResult) -> None:
    models = {"<b>": found.result["models"]["best"]}
    trap = SearchResult(Path("<script>"), {**found.result, "models": models}, "Better than <i>.")
    page = trap._repr_html_()
    assert "<script>" not in page and "&lt;b&gt;" in page and "Better than &lt;i&gt;." in page
    assert f"{found.result['best_dev']:.3f}" in found._repr_html_()
