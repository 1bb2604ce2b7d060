"""A finished search as a value: its line and its table."""

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
