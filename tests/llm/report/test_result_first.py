"""The result of a search is on disk before anything that is written for people, and stands whatever
becomes of that.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from search_helpers import MakeSearch, lasting

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.report.write import write_report


@pytest.fixture
def settings(make_search: MakeSearch, tmp_path: Path) -> SearchConfig:
    return make_search(tmp_path, 6, 6, particles=3, max_iter=1, out=tmp_path / "run")


def test_what_could_not_be_written_for_people_is_written_later(
    settings: SearchConfig,
) -> None:
    found = search(settings)
    card = found.run / "best" / "README.md"
    card.unlink()
    (found.run / "report.html").unlink()
    card.mkdir()
    with pytest.raises(OSError):
        resume(found.run)
    assert json.loads((found.run / "result.json").read_text()) == found.result
    card.rmdir()
    assert lasting(resume(found.run).result) == lasting(found.result)
    whole = [(found.run / name).read_text() for name in ("best/README.md", "report.html")]
    assert all("ant" in text and "words" in text for text in whole)
    (found.run / "best" / "README.md").unlink()
    write_report(found.run)
    assert [(found.run / name).read_text() for name in ("best/README.md", "report.html")] == whole


def test_nothing_is_written_through_a_best_that_leads_elsewhere(
    settings: SearchConfig, tmp_path: Path
) -> None:
    run, elsewhere = search(settings).run, tmp_path / "elsewhere"
    (run / "best").rename(elsewhere)
    (elsewhere / "README.md").unlink()
    (run / "best").symlink_to(elsewhere)
    with pytest.raises(UserError, match="symbolic link"):
        write_report(run)
    with pytest.raises(UserError, match="symbolic link"):
        resume(run)
    assert not (elsewhere / "README.md").exists()
