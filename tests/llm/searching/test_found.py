"""What a notebook shows of a finished search."""

from __future__ import annotations

import inspect
import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from search_helpers import MakeSearch

from pyswarmopt_llm import SearchConfig, SearchResult
from pyswarmopt_llm.report.run import search
from pyswarmopt_llm.searching.use.config import EvalConfig

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


def test_a_notebook_shows_progress_and_what_a_search_found(
    words_search: MakeSearch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """IPython's display writes to stdout where no notebook is."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    config = words_search(6, 6, max_iter=1)
    found = search(config)
    out = capsys.readouterr().out
    assert out.count("JupyterRenderable") > 3  # a line each
    report = (Path(config.out) / "report.html").read_text()
    assert found.verdict and found.verdict.split(",")[0] in report
    stored = json.loads((Path(config.out) / "run.json").read_text())
    assert shlex.split(stored["command"])[:2] == ["swarm-llm", "search"]
    assert "--max-iter 1" in stored["command"] and "--space" not in stored["command"]
    assert search(replace(config, out=f"{config.out}-2"), lambda event: None).verdict
    assert capsys.readouterr().out == ""


def test_signatures_have_types_alone() -> None:
    for config in (SearchConfig, EvalConfig):
        signature = str(inspect.signature(config))
        assert "Option(" not in signature and "base: str" in signature
    assert "experts: tuple[str, ...]" in str(inspect.signature(SearchConfig))
