"""Tables and chart of the documentation say what the outcomes in research/evidence say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from laboratory import ROOT, script
from scipy import stats

from pyswarmopt_llm.common.paired import compare_paired

chart = script("chart")
evidence = script("outcomes")
few_tables = script("few_tables")
front_tables = script("front_tables")
tables = script("tables")
trial_tables = script("trial_tables")

MARKED = [page for page in tables.pages() if "<!-- table: " in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", MARKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tables_of_a_page_are_those_of_the_outcomes(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert tables.written(text) == text, "python research/tools/tables.py writes them"


def test_every_table_stands_on_a_page_and_every_marker_is_closed() -> None:
    texts = [page.read_text(encoding="utf-8") for page in MARKED]
    names = [name for text in texts for name in re.findall(r"<!-- table: ([\w-]+) -->", text)]
    assert set(tables.TABLES) <= set(names)
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


def test_a_difference_is_that_of_items_gained_and_lost_and_its_p_that_of_a_sign_test() -> None:
    """Where items are right or wrong, random signs are a binomial test on the items that differ."""
    read = evidence.outcomes("fifty")
    pair = compare_paired(*read.pairs(tables.FIRST, "finetune-once", tables.FIVE))
    assert (pair.gained, pair.lost, pair.n) == (231, 166, 2500)
    exact = stats.binomtest(pair.gained, pair.gained + pair.lost).pvalue
    assert pair.p_value == pytest.approx(exact, abs=0.001)
    assert pair.difference == pytest.approx((231 - 166) / 2500)


@pytest.mark.parametrize("form", ["choices", "written"])
def test_the_front_leaves_no_stronger_control_out(form: str) -> None:
    """Nothing in the trial that is not the search itself has more on the claimed tasks."""
    scores: dict[str, dict[tuple[int, str], float]] = {}
    for line in evidence.lines("trial"):
        if line["form"] == form and line["task"] in ("t4", "t5", "t6") and line["build"] < 3:
            right = np.mean([float(value) for value in line["test"]])
            scores.setdefault(line["row"], {})[line["build"], line["task"]] = right
    controls = {
        row: np.mean(list(found.values()))
        for row, found in scores.items()
        if len(found) == 9 and not row.startswith("default")
    }
    assert {"best expert", "greedy-soup", "swarm delta segments", "data-merge"} <= set(controls)
    shown = float(trial_tables.beside_strongest(form)[1].split(",")[0])
    assert shown == pytest.approx(max(controls.values()), abs=0.0005)


def test_a_point_beside_a_rival_is_chosen_on_dev_and_compared_on_test() -> None:
    """By hand: point 2 has the shortest replies of those within a point of style."""

    def of(name: str, dev: list[float], style: str, tokens: list[int]) -> dict[str, object]:
        return {"model": name, "dev": dev, "style": style, "tokens": tokens}

    models = [
        of("knob/0", [0.1, 9.0], "00", [50, 50]),
        of("knob/0.5", [0.6, 30.0], "44", [30, 30]),
        of("knob/1", [0.5, 20.0], "44", [20, 20]),
        of("front/1", [0.7, 25.0], "88", [25, 25]),
        of("front/2", [0.595, 12.0], "64", [10, 10]),
        of("front/3", [0.45, 5.0], "00", [1, 1]),
    ]
    for rival, name in ((front_tables.EXPERT, "knob/1"), (front_tables.STRONGEST, "knob/0.5")):
        pair = front_tables.style_pair(models, rival)
        assert [one["model"] for one in pair] == [name, "front/2"]
    values = np.array([front_tables.on_test(one) for one in pair])
    style, shorter = front_tables.changes(values)
    assert style.startswith("+12.5 [+0.0, +25.0]")
    assert shorter == "67% [67%, 67%]"


def test_a_difference_over_draws_is_that_of_a_normal_approximation() -> None:
    """Of one draw, the bootstrap's interval is the mean plus and minus 1.96 standard errors."""
    ours, theirs = np.random.default_rng(0).integers(0, 2, (2, 1, 400)).astype(float)
    middle, low, high = map(
        float, re.findall(r"[+-][\d.]+", few_tables.difference([*ours], [*theirs]))
    )
    pair = 100 * (ours - theirs)[0]
    error = 1.96 * pair.std() / pair.size**0.5
    assert middle == pytest.approx(pair.mean(), abs=0.06)
    assert [low, high] == pytest.approx([middle - error, middle + error], abs=0.4)


def test_with_fewer_labels_than_training_needs_the_search_is_its_mixture() -> None:
    """With 16 labels, not with 32: by the stored lines."""
    lines = [json.loads(line) for line in few_tables.EVIDENCE.read_text().splitlines()]
    for labels, method in ((16, "item-model"), (32, "search")):
        key = {"task": "desks", "labels": labels, "method": method}
        stored = [line["test"] for line in lines if line.items() >= key.items()]
        right = sum(test.count("1") for test in stored) / sum(map(len, stored))
        cell = few_tables.cells()[few_tables.SMALL, "desks", labels]
        assert few_tables.mean(cell["search"]) == pytest.approx(right)
