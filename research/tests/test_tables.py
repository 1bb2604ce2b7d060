"""Tables and chart of the documentation say what the outcomes in research/evidence say."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from laboratory import ROOT, script
from scipy import stats

from pyswarmopt_llm.common.statistics import compare_paired

chart = script("chart")
experts_tables = script("experts_tables")
evidence = script("outcomes")
tables = script("tables")
written_tables = script("written_tables")

MARKED = [page for page in tables.pages() if "<!-- table: " in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", MARKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tables_of_a_page_are_those_of_the_outcomes(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert tables.written(text) == text, "python research/tools/tables.py writes them"


def test_every_table_stands_on_a_page_and_every_marker_is_closed() -> None:
    texts = [page.read_text(encoding="utf-8") for page in MARKED]
    names = [name for text in texts for name in re.findall(r"<!-- table: ([\w-]+) -->", text)]
    assert set(names) == set(tables.TABLES)
    for text in texts:
        assert (
            text.count("<!-- table: ")
            == text.count("<!-- end -->")
            == len(tables.MARK.findall(text))
        )


def test_results_and_readme_have_no_table_of_figures_without_outcomes() -> None:
    for name in ("README.md", "docs/explanation/results.md"):
        text = tables.MARK.sub("", (ROOT / name).read_text(encoding="utf-8"))
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert not [row for row in rows if re.search(r"\d\.\d{2,}", row)]


def test_an_accuracy_is_the_share_of_ones() -> None:
    lines = [
        json.loads(line)
        for line in (ROOT / "research/evidence/present.jsonl").read_text().splitlines()
    ]
    (row,) = [
        line for line in lines if (line["task"], line["method"]) == ("graph", "finetune-best-once")
    ]
    read = evidence.outcomes("present")
    assert read.accuracy("finetune-best-once", "graph") == row["test"].count("1") / len(row["test"])
    assert f"| {row['test'].count('1') / 500:.3f} |" in tables.real_tasks()


def test_a_difference_is_that_of_items_gained_and_lost_and_its_p_that_of_a_sign_test() -> None:
    """Where items are right or wrong, random signs are a binomial test on the items that differ."""
    read = evidence.outcomes("fifty")
    pair = compare_paired(*read.pairs(tables.FIRST, "finetune-once", tables.FIVE))
    assert (pair.gained, pair.lost, pair.n) == (231, 166, 2500)
    exact = stats.binomtest(pair.gained, pair.gained + pair.lost).pvalue
    assert pair.p_value == pytest.approx(exact, abs=0.001)
    assert pair.difference == pytest.approx((231 - 166) / 2500)


def test_answers_that_readme_and_results_call_the_same_are_the_same() -> None:
    read = evidence.outcomes("present")
    tasks = (*evidence.HELD_OUT, *evidence.CHOSEN_ON)
    differ = [read.differ("item-model+dev", "finetune-best-once", task) for task in tasks]
    mixture = [read.differ("item-model", "best-single", task) for task in tasks]
    assert differ.count(0) == 4 and mixture.count(0) == 5
    for name in ("README.md", "docs/explanation/results.md"):
        text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
        assert re.search("four of (the )?six (real )?tasks", text), name


def test_the_faq_names_the_differences_of_the_outcomes() -> None:
    read = evidence.outcomes("present")
    text = " ".join((ROOT / "docs" / "explanation" / "faq.md").read_text(encoding="utf-8").split())
    for tasks, sentence in (
        ((*evidence.HELD_OUT, *evidence.CHOSEN_ON), "{} points ahead of"),
        (evidence.HELD_OUT, "{} (p"),
    ):
        pair = compare_paired(*read.pairs(tables.SEARCH, tables.BASE, tasks))
        assert sentence.format(f"{100 * pair.difference:.1f}") in text
        assert f"({tables.p_value(pair.p_value)})" in text


def test_a_difference_varies_with_items_and_with_seeds(keep: Any) -> None:
    """Seeds that differ alike are one; where only seeds differ, the error is that of their mean."""
    half = "10" * 100
    rows = [
        *(("a", "alike", half) for _ in range(4)),
        *(("b", "alike", "0" * 200) for _ in range(4)),
        *(("a", "scattered", sign * 200) for sign in "1101"),
        *(("b", "scattered", "0" * 200) for _ in range(4)),
    ]
    keep("x", [{"method": m, "task": task, "test": test} for m, task, test in rows])
    read = evidence.Outcomes("x")
    alike = compare_paired(*read.pairs("a", "b", ["alike"]))
    assert read.difference("a", "b", ["alike"]) == (0.5, *alike.interval)
    # Student's, of three of four seeds and of 200 items that are alike, with a pseudo-item either way
    seeds = stats.sem([1, 1, 0, 1]) * stats.t.ppf(0.975, 3)
    items = stats.sem([0.75] * 200 + [0.5**0.5, -(0.5**0.5)]) * stats.t.ppf(0.975, 201)
    low = 0.75 * 200 / 202 - np.hypot(seeds, items)
    assert read.difference("a", "b", ["scattered"]) == pytest.approx((0.75, low, 1.0))


def test_names_of_former_methods_are_translated() -> None:
    for name, renamed in evidence.NAMES.items():
        methods = evidence.outcomes(name).methods()
        assert not set(methods) & set(renamed)
        assert set(renamed.values()) <= set(methods)


def test_two_files_give_a_method_its_first_outcomes(keep: Any) -> None:
    for name, test in (("a", "10"), ("b", "11")):
        keep(name, [{"task": "t", "method": "m", "seed": 0, "test": test, "items": 4}])
    read = evidence.Outcomes("a", "b")
    assert np.array_equal(read.scores["m", "t"], [[1.0, 0.0]]) and read.items["m", "t"] == 4


def test_a_method_without_a_label_has_a_row_before_the_default(
    keep: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two files; one has a method of which a task is missing."""
    tasks = (*written_tables.CHOSEN_ON, *written_tables.HELD_OUT)
    rows = {
        "written": [("default", task, "10") for task in tasks],
        "written-more": [("new", "t1", "11")],
    }
    for name, parts in rows.items():
        keep(
            name, [{"method": m, "task": task, "seed": 0, "test": test} for m, task, test in parts]
        )
    monkeypatch.setattr(written_tables, "RESEARCH", tmp_path)
    monkeypatch.setattr(written_tables, "outcomes", evidence.Outcomes)
    first, second = written_tables.written_answers().splitlines()[2:]
    assert first == f"| new | 1.000 |{' not run |' * 6}"
    assert second == f"| {written_tables.LABELS['default']} |{' 0.500 |' * 7}"
    assert written_tables.written_differences().splitlines()[2:] == ["| new |  |  |"]


def test_the_chart_was_drawn_from_the_outcomes() -> None:
    pytest.importorskip("matplotlib")
    expected = chart.accuracies()
    for theme in ("light", "dark"):
        picture = (ROOT / "docs" / "pictures" / f"results-{theme}.svg").read_text(encoding="utf-8")
        (drawn,) = re.findall(r"<dc:description>(.*?)</dc:description>", picture, flags=re.DOTALL)
        assert json.loads(html.unescape(drawn)) == expected, "pictures.py chart draws it"


@pytest.mark.parametrize(
    ("p", "text"), [(1e-4, "p < 0.001"), (0.0018, "p = 0.002"), (0.04, "p = 0.04"), (1, "p = 1.00")]
)
def test_a_p_value_is_written_with_two_or_three_places(p: float, text: str) -> None:
    assert tables.p_value(p) == text


def test_gains_by_the_number_of_dev_examples_are_means_over_tasks() -> None:
    rows = [
        row
        for row in evidence.lines("dev-size")
        if (row["size"], row["method"]) == (1000, "cma-es")
    ]
    assert len({row["task"] for row in rows}) == len(rows) == 6
    gains = [
        row["best"]["test"].count("1") / 500 - row["best_single"]["test"].count("1") / 500
        for row in rows
    ]
    half = stats.sem(gains) * stats.t.ppf(0.975, 5)
    cell = f"{100 * np.mean(gains):+.1f} ± {100 * half:.1f}"
    assert "| 1,000, CMA-ES, weight changes |" in experts_tables.dev_size()
    assert cell in experts_tables.dev_size()


def test_an_ablation_is_beside_the_whole_algorithm_on_the_same_tasks_and_seed() -> None:
    def gains(method: str) -> list[float]:
        rows = [
            row
            for row in evidence.lines("dev-size")
            if (row["size"], row["method"], row["seed"]) == (200, method, 1)
        ]
        return [
            row["best"]["test"].count("1") - row["best_single"]["test"].count("1")
            for row in sorted(rows, key=lambda row: row["task"])
        ]

    without, whole = gains("no inertia"), gains("model-swarms")
    differences = [(a - b) / 5 for a, b in zip(without, whole, strict=True)]
    half = stats.sem(differences) * stats.t.ppf(0.975, 5)
    (line,) = [
        line for line in experts_tables.dev_size_ablations().splitlines() if "no inertia" in line
    ]
    assert len(differences) == 6
    assert line.split(" | ")[2] == f"{np.mean(differences):+.1f} ± {half:.1f}"


def test_two_files_of_a_task_count_by_their_harmonic_mean_and_differ_by_all_items() -> None:
    (row,) = [row for row in evidence.lines("several-experts") if "graph" in row["task"]]
    found = row["outcomes"]["best-single"]
    banking, graph = (items.count("1") / len(items) for items in found.values())
    assert f"{2 * banking * graph / (banking + graph):.3f}" in experts_tables.several_experts()
    ours = "".join(row["outcomes"]["item-model+dev"].values())
    theirs = "".join(found.values())
    pair = compare_paired([*map(int, ours)], [*map(int, theirs)])
    assert f"{100 * pair.difference:+.1f} [" in experts_tables.several_experts_differences()
