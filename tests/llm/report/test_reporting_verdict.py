"""The verdict: what it claims is what the paired outcomes support, and what to do next can be
done.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from result_helpers import about_of, pair, result_of

from pyswarmopt_llm.cli.app import COMMANDS
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.paired import compare_paired
from pyswarmopt_llm.report.commands import near, next_steps
from pyswarmopt_llm.report.findings import remarks
from pyswarmopt_llm.report.verdict import verdict
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.result import Result

OUT = "runs/a b"


def result(
    test: dict[str, Any] | None = None, dev: dict[str, Any] | None = None, **more: Any
) -> Result:
    found = {split: pair for split, pair in (("dev", dev), ("test", test)) if pair}
    scores = {"best_single_test": 0.6, "coefficients": {"x": 0.63, "y": -0.61}}
    leads = {("best_single", split): pair for split, pair in found.items()}
    paired = {split: {"t": pair} for split, pair in found.items()}
    more["leads"] = leads | more.get("leads", {})
    return result_of(**{**scores, "paired": paired, **more})


@pytest.mark.parametrize(
    ("test", "kind", "sentence"),
    [
        (
            pair(0.1, 0.08, 0.01),
            "better",
            "Better than the best single expert, x: 0.620 against 0.600 on 200 unseen items, +0.100 "
            "(95% interval +0.020 to +0.180, p = 0.010).",
        ),
        (
            pair(-0.15, 0.05, 0.01),
            "worse",
            "Worse than the best single expert, x: 0.620 against 0.600 on 200 unseen items, -0.150 "
            "(95% interval -0.200 to -0.100, p = 0.010). Keep x.",
        ),
        (
            pair(0.02, 0.1, 0.6, 1),
            "level",
            "Not significantly different from the best single expert, x: 0.620 against 0.600 on 1 "
            "unseen item, +0.020 (95% interval -0.080 to +0.120, p = 0.60).",
        ),
    ],
)
def test_the_sentence_claims_what_the_paired_outcomes_support(
    test: dict[str, Any], kind: str, sentence: str
) -> None:
    found = verdict(result(test))
    assert (found.kind, found.sentence) == (kind, sentence)


@pytest.mark.parametrize(("gained", "lost", "kind"), [(21, 10, "level"), (25, 9, "better")])
def test_the_words_the_interval_and_p_agree(gained: int, lost: int, kind: str) -> None:
    """21 gained and 10 lost of 200: a bootstrap's interval starts at 0.005, McNemar's p is 0.071."""
    same = 200 - gained - lost
    ours = [1.0] * gained + [0.0] * lost + [1.0] * same
    theirs = [0.0] * gained + [1.0] * lost + [1.0] * same
    found = compare_paired(ours, theirs)
    assert (found.p_value < 0.05) is (found.interval[0] > 0) is (kind == "better")
    said = verdict(result(found.record()))
    assert said.kind == kind and f"p = {found.p_value:.3f}" in said.sentence


def test_several_tasks_are_judged_by_the_difference_of_their_combined_scores() -> None:
    lead = pair(0.02, 0.01, 0.01, 80)
    tasks = {
        name: {"best_dev": 0.5, "best_single_dev": 0.4, "scoring": "likelihood"} for name in "tu"
    }
    two = result(leads={("best_single", "test"): lead}, tasks=tasks)
    assert verdict(two).sentence == (
        "Better than the best single expert, x: 0.620 against 0.600 on 80 unseen items, +0.020 "
        "(95% interval +0.010 to +0.030, p = 0.010)."
    )
    # one of the two has no items, so that nothing is known of the combined score
    items = {f"{name}_test": "1100" for name in ("best", "best_single")}
    assert verdict(result(items=items)).kind == "level"
    assert verdict(result(items=items, tasks=tasks)).kind == "unpaired"


def test_an_expert_itself_is_called_so() -> None:
    same = pair(0.0, 0.0, 1.0, gained=0, lost=0)
    found = verdict(result(same, coefficients={"x": 1.0, "y": 0.0}))
    assert found.kind == "same" and found.sentence.startswith("This is expert x itself")
    # Of a graph coefficients are not all that a candidate is.
    assert verdict(result(same, coefficients={"x": 1.0, "y": 0.0}, graph="x -> y")).kind == "level"


def test_weights_that_are_all_zero_are_the_base() -> None:
    found = verdict(result(pair(-0.1, 0.02, 0.001), coefficients={"x": 0.0, "y": 0.0}))
    assert found.kind == "same" and found.sentence.startswith("This is the base itself")


def test_without_test_items_nothing_is_claimed_about_them() -> None:
    found = verdict(result(best_test=None, best_single_test=None))
    assert (
        found.kind == "untested"
        and "there is no test split" in found.sentence
        and "unseen" in found.sentence
    )
    assert verdict(result()).kind == "unpaired"


TRAINED = {
    "trained": True,
    "mixture_dev": 0.5,
    "mixture_test": 0.5,
    "trained_dev": 0.6,
    "trained_test": 0.7,
}
ON_TEST = {"leads": {("mixture", "test"): pair(0.2, 0.1, 0.001)}}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (
            {**TRAINED, **ON_TEST},
            "It is a mixture of your experts, trained on your 80 examples; without training 0.500, "
            "+0.200 [+0.100, +0.300], p = 0.001.",
        ),
        (TRAINED, "It is a mixture of your experts, trained on your 80 examples."),
        (
            {**TRAINED, "coefficients": {"x": 1.0, "y": 0.0}},
            "It is x, trained on your 80 examples.",
        ),
        (
            {**TRAINED, "coefficients": {"x": 0.0, "y": 0.0}},
            "It is the base, trained on your 80 examples.",
        ),
        (
            {**TRAINED, **ON_TEST, "trained": False},
            (
                "Training a mixture of your experts on your 80 examples made it worse on dev; it "
                "scores 0.700 on test."
            ),
        ),
        (
            {**TRAINED, "trained": False, "coefficients": {"x": 1.0, "y": 0.2}},
            "Training a mixture of your experts on your 80 examples made it worse on dev.",
        ),
        ({}, None),
    ],
)
def test_what_training_on_the_examples_did_is_the_first_reason(
    more: dict[str, Any], reason: str | None
) -> None:
    for kind, gained in (("better", 0.3), ("level", 0.0), ("worse", -0.3)):
        swarm, dev = pair(gained, 0.1, 0.9 if kind == "level" else 0.001), pair(0.0, 0.1, 0.9, 80)
        found = verdict(result(swarm, dev, **more))
        assert found.kind == kind
        if reason is None:
            assert not any("rain" in one for one in found.reasons)
        else:
            assert found.reasons[0] == reason


EXPERTS = {"experts": {"x": 0.6, "y": 0.4}}


@pytest.mark.parametrize(
    ("test", "dev", "experts", "words"),
    [
        (
            pair(0.01, 0.05, 0.7),
            pair(0.1, 0.04, 0.01),
            {},
            "The gain on dev, +0.100, does not hold on test",
        ),
        (
            pair(-0.1, 0.05, 0.01),
            None,
            {"ahead": pair(0.2, 0.1, 0.001)},
            "The best expert, x, is ahead of the next, y, on dev: 0.600 against 0.400, +0.200",
        ),
        (
            pair(0.02, 0.05, 0.7, needed=900),
            pair(0.02, 0.05, 0.7),
            {},
            (
                "200 dev and 200 test items are too few to show a difference of 0.020: it takes "
                "about "
                "900 test items (80%"
            ),
        ),
    ],
)
def test_the_reason_is_what_the_figures_show(
    test: dict[str, Any], dev: dict[str, Any] | None, experts: dict[str, Any], words: str
) -> None:
    (reason,) = verdict(result(test, dev, **EXPERTS, **experts)).reasons
    assert words in reason


def test_the_headroom_is_a_line_of_the_remarks_and_no_cause_is_guessed() -> None:
    """What the best expert of each item would score is measured; why is not."""
    items = {"best_dev": "1110000000"}
    experts = {"x": "1100000000", "y": "1011000000"}
    found = result(pair(0.0, 0.1, 1.0), best_single="y", items=items, experts=experts)
    assert verdict(found).reasons == ()
    assert remarks(found)[1] == (
        "On dev the best expert of each item would score 0.400, the best expert alone 0.300: the "
        "result, 0.300, goes 0% of that way."
    )
    nowhere = result(items=items, experts={"x": "1100000000", "y": "11????????"})
    assert "alone 1.000 (2 items)." in remarks(nowhere)[0]


@pytest.mark.parametrize(
    "test",
    [
        pair(0.001, 0.05, 0.9, needed=90_000),  # not a number of items that anybody collects
        pair(-0.02, 0.05, 0.7, needed=900),  # more items would show a loss
        pair(0.1, 0.05, 0.01, needed=120),  # it is shown already
    ],
)
def test_power_is_spoken_of_only_where_it_means_something(test: dict[str, Any]) -> None:
    assert not any("too few" in reason for reason in verdict(result(test, **EXPERTS)).reasons)


@pytest.mark.parametrize(
    ("test", "more", "config", "words"),
    [
        (
            pair(0.1, 0.08, 0.01),
            {},
            {},
            ["hf upload YOUR-NAME/YOUR-MODEL 'runs/a b/best'", "export 'runs/a b' --f"],
        ),
        (
            pair(0.1, 0.08, 0.01),
            {},
            {"test": 50},
            ["eval --base org/base --adapter 'runs/a b/best'", "hf upload"],
        ),
        (pair(0.0, 0.08, 1.0), {}, {}, ["--seed 1", "--out 'runs/a b-seed1'"]),
        (pair(0.0, 0.08, 1.0), {}, {"dev": 40}, ["--dev 80", "--out 'runs/a b-more'"]),
        (
            pair(0.0, 0.08, 1.0),
            {},
            {"test": 50},
            ["--adapter 'runs/a b/best' --task t.json --against e/x"],
        ),
        (pair(-0.1, 0.05, 0.01), {}, {}, ["--adapter e/x --task t.json", "--seed 1"]),
        (
            pair(-0.1, 0.05, 0.01),
            {},
            {"columns": ["label=team"], "split_seed": 3},
            ["label=team --set split-seed=3"],
        ),
        (pair(-0.1, 0.05, 0.01), TRAINED, {}, ["--adapter e/x --task t.json"]),
    ],
)
def test_the_next_steps_are_commands_with_the_paths_of_the_run(
    test: dict[str, Any], more: dict[str, Any], config: dict[str, Any], words: list[str]
) -> None:
    outcome = result(test, **more)
    steps = list(next_steps(verdict(outcome).kind, about_of(out=OUT, **config), outcome))
    assert 1 <= len(steps) <= 2
    everything = "\n".join(command for _, command in steps)
    assert all(word in everything for word in words), everything
    for _, line in steps:
        program, command, *_ = shlex.split(line)
        assert program == "hf" or command in COMMANDS


def test_more_dev_items_get_what_so_many_are_worth() -> None:
    # With 20 items `auto` trains nothing, with 40 it does; what it chose it is left to choose
    # again.
    level, about = result(pair(0.0, 0.08, 1.0)), about_of(dev=20, budget_items=800, train="off")
    *_, (_, line) = next_steps("level", replace(about, chosen={"train": "off"}), level)
    assert "--dev 40" in line and "--budget-items 1600" in line and "--set train" not in line
    *_, (_, line) = next_steps("level", about, level)
    assert "--dev 40" in line and "--set train=off" in line  # that was the user's own choice


FORM = Form("body", {"A": "card", "B": "loan"}, None, "Where is my card?")


@pytest.mark.parametrize(
    ("forms", "left", "purposes"),
    [
        ({"t": FORM}, 0, ["label a question", "publish it"]),
        ({"t": FORM}, 3, ["label a question", "score it on all test items", "publish it"]),
        ({"t": replace(FORM, example="")}, 0, ["label new rows", "publish it"]),
        ({"t": replace(FORM, choices=None)}, 0, ["label new rows", "publish it"]),
        ({}, 0, ["run it in llama.cpp or Ollama", "publish it"]),
        ({}, 3, ["score it on all test items", "publish it"]),
    ],
)
def test_labels_are_predicted_and_what_is_scored_is_not_scored_again(
    forms: dict[str, Any], left: int, purposes: list[str]
) -> None:
    outcome = result(pair(0.1, 0.08, 0.01), scoring="letter" if forms else "generate")
    more = {"fingerprints": {"tasks": {"t": "x"}}, "forms": forms, "left": {"t": left}}
    steps = dict(next_steps("better", about_of(more, out=OUT, test=98), outcome))
    assert list(steps) == purposes
    if "label a question" in steps:
        assert (
            steps["label a question"]
            == "swarm-llm predict --run 'runs/a b' --text 'Where is my card?'"
        )


def test_commands_are_of_paths_as_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = SearchConfig(
        "org/base", (str(tmp_path / "e"), "/elsewhere/f"), (), str(tmp_path / "runs" / "a")
    )
    assert near(config).out == "runs/a" and near(config).experts == ("e", "/elsewhere/f")
    assert near(replace(config, base=str(tmp_path))).base == str(tmp_path)
