"""The site of several runs: rows that say what their files say, pages that are their own, nothing half-written."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import needs_browser, visit
from search_helpers import louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.jobs.search.loop import search
from pyswarmopt_llm.reporting.report.bundle import Entry, render_index
from pyswarmopt_llm.reporting.verdict import Verdict, verdict


@pytest.fixture(scope="module")
def made(tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two finished runs, the second not scored on test."""
    folder = tmp_path_factory.mktemp("bundle")
    experts = louder(tiny_experts, folder / "loud")
    tasks = [
        write_task(folder / "words.json", questions(8, 1), questions(6, 2)),
        write_task(folder / "dev-only.json", questions(8, 3), questions(6, 4)),
    ]
    runs = [folder / "one", folder / "two"]
    for task, run, test in zip(tasks, runs, (None, 0), strict=True):
        search(small(tiny_base, experts, [task], run, max_iter=1, test=test))
    return runs


@pytest.fixture
def runs(made: list[Path], tmp_path: Path) -> list[Path]:
    """Copies of the runs that a test may spoil."""
    return [shutil.copytree(run, tmp_path / "runs" / run.name) for run in made]


class Table(HTMLParser):
    """The cells of a page's table as texts, and the addresses of its links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        self._inside = self._inside or tag in ("td", "th")
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


def test_the_index_says_what_the_results_say_and_links_to_the_runs_own_reports(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.utime(runs[0] / "result.json", (1_700_000_000, 1_700_000_000))  # 2023-11-14, 22:13 UTC
    site = tmp_path / "site"
    code, out, err = swarm_llm(capsys, "bundle", *runs, "--out", site)
    assert (code, err) == (0, "") and out == f"wrote {site / 'index.html'} and 2 reports\n"
    assert sorted(path.name for path in site.iterdir()) == ["index.html", "one.html", "two.html"]
    page = Table((site / "index.html").read_text(encoding="utf-8"))
    _, first, second = page.rows
    result, other = (json.loads((run / "result.json").read_text()) for run in runs)
    low, high = result["intervals"]["best_test"]
    assert first[:3] == ["one", "words", verdict(result).sentence]
    assert first[3] == f"{result['best_test']:.3f} [{low:.3f}, {high:.3f}]"
    assert first[4].startswith(f"{result['best_single_test']:.3f} [") and first[5] == "2023-11-14"
    assert second[:5] == ["two", "dev-only", verdict(other).sentence, "-", "-"]
    assert page.links == ["one.html", "two.html"]
    for run in runs:
        assert (site / f"{run.name}.html").read_bytes() == (run / "report.html").read_bytes()


def test_what_is_wrong_with_one_run_is_one_line_and_nothing_is_written(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, last = tmp_path / "site", runs[1]
    secret = tmp_path / "secret.html"
    secret.write_text("secret")

    def refused(said: str) -> None:
        code, out, err = swarm_llm(capsys, "bundle", *runs, "--out", site)
        assert (code, out) == (2, "") and said in err and err.count("\n") == 1
        assert not site.exists()

    (last / "report.html").unlink()
    refused(f"report.html: cannot be read (No such file or directory); write it with: swarm-llm report {last}")
    (last / "report.html").symlink_to(secret)
    refused("report.html: is a symbolic link")
    (last / "result.json").unlink()
    refused(f"{last}: is not finished; finish it with: swarm-llm resume {last}")
    shutil.rmtree(last)
    refused(f"{last}: not a run directory")


def test_an_existing_site_is_not_overwritten(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")
    code, _, err = swarm_llm(capsys, "bundle", *runs, "--out", site)
    assert code == 2 and "exists already and is not overwritten" in err
    assert [path.read_text() for path in site.iterdir()] == ["mine"]


def test_runs_of_one_name_get_a_page_each_and_odd_names_stay_text(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = shutil.copytree(runs[0], tmp_path / "elsewhere" / "ONE")
    odd = shutil.copytree(runs[0], tmp_path / "<b>&index")
    code, _, _ = swarm_llm(capsys, "bundle", runs[0], again, odd, runs[0], "--out", tmp_path / "site")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == [
        *("ONE-2.html", "b-index.html", "index.html", "one.html")
    ]
    hostile = "</td><script>alert(1)</script>"
    text = render_index([Entry("x", [hostile], Verdict("better", hostile), "-", "-", "2026-01-01", "")])
    assert "<script" not in text and text.count(html.escape(hostile)) == 2
    assert "unseen items: 1 of 1." in text


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 500])  # 500 is Chromium's narrowest; phones have the same layout
def test_no_column_of_the_index_is_cut(width: int, tmp_path: Path) -> None:
    long = "Better than the best single expert, banking, by 0.081 (95% interval 0.052 to 0.110) on 1,000 unseen items: "
    score = "0.677 [0.648, 0.706]"
    name, tasks = "a-run-with-a-long-name", ["banking77", "tickets"]
    entry = Entry(name, tasks, Verdict("better", long), score, score, "2026-11-21", "")
    look = """<script>addEventListener("load", () => {
      const hidden = (node) => node.scrollWidth > node.clientWidth;
      const boxes = [document.documentElement, document.querySelector(".wide")];
      document.documentElement.dataset.seen = JSON.stringify(boxes.map(hidden));
    })</script>"""
    text = re.sub(r"<meta http-equiv[^>]*>", "", render_index([entry] * 3)).replace("</body>", f"{look}</body>")
    path = tmp_path / "index.html"
    path.write_text(text, encoding="utf-8")
    done = visit(path.as_uri(), tmp_path / "profile", "--dump-dom", f"--window-size={width},900")
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    assert json.loads(html.unescape(found[1])) == [False, False]
