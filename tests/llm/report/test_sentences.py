"""All sentences about invented results, in one golden file: what a terminal says of each, what its
report says of the search, and the commands to copy.

    python tests/frozen/make.py snapshots

writes ``tests/frozen/sentences.txt`` anew. Read the diff.
"""

from __future__ import annotations

import io
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from result_helpers import about_of, pair, result_of
from rich.console import Console

from pyswarmopt_llm.cli.app import COMMANDS
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.statistics import compare_paired
from pyswarmopt_llm.report.commands import usage, with_relative_paths
from pyswarmopt_llm.report.findings import findings
from pyswarmopt_llm.report.report import render_report
from pyswarmopt_llm.report.terminal import print_findings
from pyswarmopt_llm.report.verdict import verdict
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.record import Row

GOLDEN = Path(__file__).parents[2] / "frozen" / "sentences.txt"
OUT = "runs/a b"
BETTER, WORSE = pair(0.1, 0.08, 0.01), pair(-0.15, 0.05, 0.01)
LEVEL, SAME = pair(0.02, 0.1, 0.6, 1), pair(0.0, 0.0, 1.0, gained=0, lost=0)
POWER = pair(0.02, 0.05, 0.7, needed=900)
EXPERTS = {"x": 0.6, "y": 0.4}
TRAINED = {
    **{"trained": True, "mixture_dev": 0.5, "mixture_test": 0.5, "trained_dev": 0.6},
    **{"trained_test": 0.7, "leads": {("mixture", "test"): pair(0.2, 0.1, 0.001)}},
}
RIVALS = {
    **{"base_dev": 0.5, "base_test": 0.5, "base_tuned_dev": 0.6, "base_tuned_test": 0.776},
    **{"trained": True, "trained_dev": 0.7, "mixture_dev": 0.6},
}
BEHIND = {("base", "test"): pair(0.306, 0.1, 0.001), ("base_tuned", "test"): WORSE}
AT_BASE = {("base", "test"): pair(0.0, 0.1, 1.0), ("base_tuned", "test"): BETTER}
TASKS = {n: {"best_dev": 0.5, "best_single_dev": 0.4, "scoring": "likelihood"} for n in "tu"}
ITEMS = {f"{name}_test": "1100" for name in ("best", "best_single")}
DEV = {"best_dev": "1110000000"}
NAMED = {
    "best_single_test": {"short": 0.5, "polite": 1.0},
    "best_test": {"short": 0.75, "polite": 1.0},
}
FALLS = {
    "best_single_test": {"short": 0.5, "polite": 0.7},
    "best_test": {"short": 0.75, "polite": 0.5},
}
RMSE = {"best_single_test": {"rmse": 0.5}, "best_test": {"rmse": 0.4}}
ONE = {"judge": {"judge": {"requests": 1, "prompt_tokens": 1, "completion_tokens": 0}}}
FORM = Form("body", {"A": "card", "B": "loan"}, None, "Where is my card?")
LABELS = {"fingerprints": {"tasks": {"t": "x"}}, "forms": {"t": FORM}, "left": {"t": 0}}
AUTO = {"chosen": {"train": "off"}}
CHOOSE = {"fingerprints": {"tasks": {"t": "x"}}, "left": {"t": 3}}
EVEN, FIRST, NONE = {"x": 0.5, "y": 0.5}, {"x": 1.0, "y": 0.0}, {"x": 0.0, "y": 0.0}

# name -> the comparison on test and on dev, other fields of the result, of run.json, settings
Case = tuple[Any, Any, dict[str, Any], dict[str, Any], dict[str, Any]]
CASES: dict[str, Case] = {
    "better": (BETTER, None, {}, {}, {}),
    "better, part of test": (BETTER, None, {}, {}, {"test": 50}),
    "worse": (WORSE, None, {}, {}, {}),
    "worse, with columns": (WORSE, None, {}, {}, {"columns": ["label=team"], "split_seed": 3}),
    "level": (LEVEL, None, {}, {}, {}),
    "level, part of dev": (LEVEL, None, {}, {}, {"dev": 40}),
    "level, part of test": (LEVEL, None, {}, {}, {"test": 50}),
    "the user trains nothing": (LEVEL, None, {}, {}, {"dev": 20, "budget_items": 800, "train": "off"}),
    "auto trains nothing": (LEVEL, None, {}, AUTO, {"dev": 20, "budget_items": 800, "train": "off"}),
    "several tasks": (BETTER, None, {"tasks": TASKS}, {}, {}),
    "one of them kept": (BETTER, None, {"tasks": TASKS, "combine": "keep:0.35"}, {}, {}),
    "one task's items": (None, None, {"items": ITEMS, "tasks": TASKS}, {}, {}),
    "items alone": (None, None, {"items": ITEMS}, {}, {}),
    "nothing paired": (None, None, {}, {}, {}),
    "no test": (None, None, {"best_test": None, "best_single_test": None}, {}, {}),
    "an expert": (SAME, None, {"coefficients": FIRST}, {}, {}),
    "a graph of one": (SAME, None, {"coefficients": FIRST, "graph": "x -> y"}, {}, {}),
    "the base": (WORSE, None, {"coefficients": NONE}, {}, {}),
    "the average": (LEVEL, None, {"coefficients": EVEN, "uniform_dev": 0.5, "space": "delta"}, {}, {}),
    "the sum": (LEVEL, None, {"coefficients": {"x": 1.0, "y": 1.0}}, {}, {}),
    "trained": (BETTER, pair(0.0, 0.1, 0.9, 80), TRAINED, {}, {}),
    "trained, no lead": (BETTER, pair(0.0, 0.1, 0.9, 80), {**TRAINED, "leads": {}}, {}, {}),
    "an expert, trained": (LEVEL, pair(0.0, 0.1, 0.9, 80), {**TRAINED, "coefficients": FIRST}, {}, {}),
    "the base, trained": (WORSE, pair(0.0, 0.1, 0.9, 80), {**TRAINED, "coefficients": NONE}, {}, {}),
    "trained in vain": (LEVEL, pair(0.0, 0.1, 0.9, 80), {**TRAINED, "trained": False}, {}, {}),
    "rivals": (BETTER, None, {**RIVALS, "leads": BEHIND}, {}, {}),
    "rivals, level": (BETTER, None, {**RIVALS, "leads": AT_BASE}, {}, {}),
    "a rival itself": (BETTER, None, {**RIVALS, "coefficients": NONE}, {}, {}),
    "trained and behind": (BETTER, None, {**RIVALS, "trained": False}, {}, {}),
    "dev only": (pair(0.01, 0.05, 0.7), pair(0.1, 0.04, 0.01), {"experts": EXPERTS}, {}, {}),
    "ahead": (WORSE, None, {"experts": EXPERTS, "ahead": pair(0.2, 0.1, 0.001)}, {}, {}),
    "too few": (POWER, pair(0.02, 0.05, 0.7), {"experts": EXPERTS}, {}, {}),
    "far too few": (pair(0.001, 0.05, 0.9, needed=90_000), None, {"experts": EXPERTS}, {}, {}),
    "a loss": (pair(-0.02, 0.05, 0.7, needed=900), None, {"experts": EXPERTS}, {}, {}),
    "shown already": (pair(0.1, 0.05, 0.01, needed=120), None, {"experts": EXPERTS}, {}, {}),
    "headroom": (LEVEL, None, {"items": DEV, "best_single": "y",
                               "experts": {"x": "1100000000", "y": "1011000000"}}, {}, {}),
    "dropped": (None, None, {"items": DEV, "experts": {"x": "1100000000", "y": "11????????"}}, {}, {}),
    "named": (None, None, {"named": NAMED, "task": "letters"}, {}, {}),
    "one falls": (None, None, {"named": FALLS, "task": "letters"}, {}, {}),
    "one falls, and the score": (None, None, {"named": FALLS, "best_test": 0.5}, {}, {}),
    "the only one falls": (None, None, {"named": RMSE, "task": "letters"}, {}, {}),
    "one of each": (pair(0.1, 0.2, 0.5, 1), None, {"evaluations": 1, **ONE,
                    "stop": {"max_iter": 1}, "front": {"points": [{}]}}, {}, {}),
    "no proposal": (None, None, {"stop": {"proposals": 0}}, {}, {}),
    "two proposals": (None, None, {"stop": {"proposals": 2}}, {}, {}),
    "dev below test": (None, None, {"best_dev": 0.5, "best_test": 0.6}, {}, {}),
    "labels": (BETTER, None, {"scoring": "letter"}, LABELS, {"test": 98}),
    "labels, part of test": (BETTER, None, {"scoring": "letter"}, {**LABELS, "left": {"t": 3}}, {"test": 98}),
    "labels, no example": (BETTER, None, {"scoring": "letter"},
                           {**LABELS, "forms": {"t": replace(FORM, example="")}}, {}),
    "labels, own choices": (BETTER, None, {"scoring": "letter"},
                            {**LABELS, "forms": {"t": replace(FORM, choices=None)}}, {}),
    "texts, part of test": (BETTER, None, {"scoring": "generate"}, CHOOSE, {"test": 98}),
    "whole models": (BETTER, None, {}, {}, {"space": "full"}),
    "side by side": (BETTER, None, {}, {}, {"space": "token"}),
}  # fmt: skip

WHOLE = (
    "one of them kept",
    "better",
    "trained",
    "one of each",
    "no proposal",
    "two proposals",
    "labels",
    "whole models",
)


def result(case: Case) -> Any:
    test, dev, fields, _, _ = case
    found = {split: found for split, found in (("dev", dev), ("test", test)) if found}
    leads = {("best_single", split): pair for split, pair in found.items()}
    given = {"best_single_test": 0.6, "coefficients": {"x": 0.63, "y": -0.61}, **fields}
    given["leads"] = leads | fields.get("leads", {})
    return result_of(paired={split: {"t": pair} for split, pair in found.items()}, **given)


def said(name: str) -> str:
    """Verdict, models, remarks and steps; of some the whole text of a terminal, and the code to copy."""
    case = CASES[name]
    about, outcome, out = about_of(case[3], out=OUT, **case[4]), result(case), io.StringIO()
    found = findings(about, outcome)
    if name in WHOLE:
        print_findings(Console(file=out, width=110), Path(OUT), found)
        uses = [f"{purpose}: {code}" for purpose, code in usage(about, outcome)]
        return "\n".join([found.verdict.kind, out.getvalue().rstrip(), *uses])
    lines = [found.verdict.sentence, *found.verdict.reasons, *found.rows, *found.about_dev]
    steps = [f"To {purpose}: {command}" for purpose, command in found.steps]
    return "\n".join([found.verdict.kind, *lines, *found.remarks, *steps])


def row(particle: int, iteration: int, weights: list[float], items: str, **more: Any) -> Row:
    key, value = f"{particle} {iteration}", items.count("1") / len(items)
    found = Row("search", iteration, particle, key, weights, value, len(items), 1.0, {"t": items})
    return replace(found, **more)


BEGUN = [
    row(0, 0, [1.0, 0.0], "1100"),
    row(1, 0, [0.0, 1.0], "0100"),
    row(2, 0, [1.0, 1.0], "1110"),
]
PROPOSED, MARGINS = row(3, 1, [0.9, 1.1], "1111"), {"t": [[0.5]] * 4}
HISTORIES = {
    "nothing proposed": (BEGUN, (1.0, 1.0)),
    "a proposal that did not win": ([*BEGUN, PROPOSED], (1.0, 1.0)),
    "a proposal that won": ([*BEGUN, PROPOSED], (0.9, 1.1)),
    "by the item model": ([*BEGUN, replace(PROPOSED, margins=MARGINS)], (0.9, 1.1)),
    "particles that moved": ([*BEGUN, row(0, 1, [0.8, 1.2], "1111")], (0.8, 1.2)),
}


def of_search(history: list[Row], weights: tuple[float, float]) -> str:
    """What a report says of a search."""
    given = {"coefficients": dict(zip("xy", weights, strict=True)), "trained": True}
    page = render_report(about_of(), result_of(**given, stop={"proposals": 1}), history)
    section = page.partition('<h2 id="search">')[2].partition("</section>")[0]
    words = re.sub("<svg.*?</svg>|<[^>]*>", " ", section, flags=re.DOTALL)
    return " ".join(words.split())


def text() -> str:
    """The golden file."""
    parts = [f"== {name}\n{said(name)}\n" for name in CASES]
    parts += [f"== {name}\n{of_search(*history)}\n" for name, history in HISTORIES.items()]
    return "\n".join(parts)


def test_the_sentences_are_those_of_the_golden_file() -> None:
    golden, found = (
        dict(part.split("\n", 1) for part in whole.split("== ")[1:])
        for whole in (GOLDEN.read_text(encoding="utf-8"), text())
    )
    assert {name: words for name, words in found.items() if golden.get(name) != words} == {}
    assert golden.keys() == found.keys()


@pytest.mark.parametrize("name", CASES)
def test_every_step_is_a_command(name: str) -> None:
    case = CASES[name]
    steps = findings(about_of(case[3], out=OUT, **case[4]), result(case)).steps
    assert 1 <= len(steps) <= 3
    for _, line in steps:
        program, command, *_ = shlex.split(line)
        assert program == "hf" or command in COMMANDS


@pytest.mark.parametrize(("gained", "lost", "kind"), [(21, 10, "level"), (25, 9, "better")])
def test_the_words_the_interval_and_p_agree(gained: int, lost: int, kind: str) -> None:
    """21 gained and 10 lost of 200: a bootstrap's interval starts at 0.005, McNemar's p is 0.071."""
    same = 200 - gained - lost
    ours = [1.0] * gained + [0.0] * lost + [1.0] * same
    theirs = [0.0] * gained + [1.0] * lost + [1.0] * same
    found = compare_paired(ours, theirs)
    assert (found.p_value < 0.05) is (found.interval[0] > 0) is (kind == "better")
    said = verdict(result((found.record(), None, {}, {}, {})))
    assert said.kind == kind and f"p = {found.p_value:.3f}" in said.sentence


def test_commands_are_of_paths_as_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = SearchConfig(
        "org/base", (str(tmp_path / "e"), "/elsewhere/f"), (), str(tmp_path / "runs" / "a")
    )
    assert with_relative_paths(config).out == "runs/a" and with_relative_paths(config).experts == (
        "e",
        "/elsewhere/f",
    )
    assert with_relative_paths(replace(config, base=str(tmp_path))).base == str(tmp_path)
