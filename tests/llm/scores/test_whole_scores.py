"""Scores of all replies together, and of the model itself: value, interval and difference by hand,
and what a search, `eval` and `compare` make of them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_reference import load_tiny
from fake_engine import FakeEngine
from scipy.stats import t as student
from search_helpers import Shell, louder, questions, write_task
from sklearn.metrics import f1_score

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.paired import compare_whole
from pyswarmopt_llm.common.statistics import Score, resample, score_interval
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.metrics import metric
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.metrics.model import ScoredModel
from pyswarmopt_llm.scores.tasks import Item

FUNCTIONS = '''
def macro_f1(replies, items):
    pairs = [(item.answer, reply) for item, reply in zip(items, replies)]
    return sum(f1(pairs, label) for label in "xy") / 2


def f1(pairs, label):
    found = [pair.count(label) for pair in pairs]
    return 2 * found.count(2) / max(sum(found), 1)


def two(replies):
    return {"short": 0.5, "calm": len(set(replies)) / 10}


def undefined(replies):
    return float("nan") if len(set(replies)) < 2 else 1.0


def letters(replies):
    """Of all replies together: the share of letters that some reply has."""
    return len(set("".join(replies))) / 300


def model(engine, prompts):
    return sum(value for row in engine.loglikelihood(prompts, [["yes"]] * len(prompts)) for value in row)


def each(engine, replies, prompts):
    return [yes - no for yes, no in engine.loglikelihood(prompts, [["yes", "no"]] * len(prompts))]
'''
N = 30
RIGHT = random.Random(1).choices("xxxy", k=N)
SAID = [random.Random(k).choices("xxxy", k=N) for k in (2, 3)]


@pytest.fixture
def mine(here: Path, importable: Callable[[Path], None]) -> Path:
    (here / "whole.py").write_text(FUNCTIONS)
    importable(here)
    return here


def scored(name: str, replies: Sequence[str], right: Sequence[str] = RIGHT) -> Score:
    """The score of these replies."""
    items = [Item(str(k), f"number {k}?", None, answer) for k, answer in enumerate(right)]
    engine = FakeEngine(texts={f"number {k}?": reply for k, reply in enumerate(replies)})
    return find_metric(f"whole.py:{name}").on(items, "generate", engine.chat, None)(engine)


# By hand


def test_value_and_interval_are_those_of_a_bootstrap_by_hand(mine: Path) -> None:
    score = scored("macro_f1", SAID[0])

    def by_hand(sample: Sequence[int]) -> float:
        pairs = [(RIGHT[k], SAID[0][k]) for k in sample]
        return float(f1_score(*zip(*pairs, strict=True), labels=["x", "y"], average="macro"))

    again = [by_hand(sample) for sample in resample(N)]
    error = np.std(again, ddof=1)
    half = student.ppf(0.975, N - 1) * error
    assert score.whole is not None
    assert (score.value, score.n, score.per_item) == (by_hand(range(N)), N, ())
    assert score.whole.resampled == pytest.approx(again, abs=1e-6)
    assert score.stderr == pytest.approx(error)
    assert score_interval(score) == pytest.approx((score.value - half, score.value + half))


def test_two_models_are_compared_on_the_same_samples(mine: Path) -> None:
    first, second = (scored("macro_f1", said) for said in SAID)
    assert first.whole and second.whole
    changes = np.subtract(first.whole.resampled, second.whole.resampled)
    error = np.std(changes, ddof=1)
    pair = compare_whole(first, second)
    assert pair is not None and pair.difference == first.value - second.value
    assert pair.p_value == pytest.approx(2 * student.sf(abs(pair.difference) / error, N - 1))
    half = student.ppf(0.975, N - 1) * error
    assert pair.interval == pytest.approx((pair.difference - half, pair.difference + half))
    same = compare_whole(first, first)
    assert same is not None and (same.p_value, same.sign) == (1.0, 0)


def test_questions_are_drawn_with_all_their_items() -> None:
    for sample in resample(5, ["a", "b", "a", "c", "c"]):
        counts = np.bincount(sample, minlength=5)
        assert counts[0] == counts[2] and counts[3] == counts[4]
        assert counts[0] + counts[1] + counts[3] == 3


def test_a_dict_of_numbers_is_averaged_and_named(mine: Path) -> None:
    score = scored("two", SAID[0])
    assert (score.value, score.named) == (0.35, {"short": 0.5, "calm": 0.2})


def test_no_interval_where_a_sample_has_no_score_or_the_function_is_slow(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    almost = ["x"] * (N - 1) + ["y"]  # a third of the samples lack the last
    assert scored("undefined", almost).value == 1.0
    assert score_interval(scored("undefined", almost)) is None
    with pytest.raises(UserError, match="got nan"):
        scored("undefined", ["x"] * N)
    monkeypatch.setattr(metric, "PATIENCE", 0.0)
    slow = scored("macro_f1", SAID[0])
    assert score_interval(slow) is None and compare_whole(slow, slow) is None


# The model


def test_the_model_of_a_function_is_the_one_in_plain_transformers(tiny_base: Path) -> None:
    model, tokenizer = load_tiny(tiny_base)
    scored_model = ScoredModel(TransformersEngine(model, tokenizer))
    prompts = ["amber birch", "cedar"]
    found = scored_model.loglikelihood(prompts, [["delta", "ember fjord"], ["grove"]], chat=False)
    assert [len(row) for row in found] == [2, 1]

    def by_hand(context: str, text: str) -> float:
        known = tokenizer(context)["input_ids"]
        ids = torch.tensor([[*known, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
        with torch.no_grad():
            nats = model(ids).logits[0].log_softmax(-1)
        return float(sum(nats[k - 1, ids[0, k]] for k in range(len(known), ids.shape[1])))

    assert found[0][1] == pytest.approx(by_hand("amber birch", "ember fjord"), rel=1e-4)
    (chatted,) = scored_model.loglikelihood(["cedar"], [["grove"]])
    asked = scored_model._engine.chat("cedar")
    assert chatted == scored_model.loglikelihood([asked], [["grove"]], chat=False)[0] != found[1]
    whole = scored_model.generate([asked], 4, chat=False)
    assert scored_model.generate(["cedar"], max_new_tokens=4) == whole


@pytest.mark.parametrize(
    ("prompts", "options", "error"),
    [("ab", [["c"]], TypeError), (["ab"], ["c"], TypeError), (["ab"], [], ValueError)],
)
def test_what_a_function_may_not_ask_of_the_model(
    prompts: list[str], options: list[list[str]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ScoredModel(FakeEngine()).loglikelihood(prompts, options)  # type: ignore[arg-type]


# Commands


@pytest.fixture
def words(mine: Path, tiny_base: Path, tiny_experts: list[Path]) -> list[object]:
    """Base, task and length of replies."""
    write_task(mine / "task.json", questions(12, 1), questions(12, 2))
    return ["--base", tiny_base, "--task", "task.json", "--max-new-tokens", "6", "--threads", "1"]


def test_a_search_has_interval_and_verdict_and_says_what_is_left_out(
    words: list[object], mine: Path, tiny_experts: list[Path], shell: Shell
) -> None:
    experts = louder(tiny_experts, mine / "experts")
    more = ["--metric", "whole.py:letters", "--train", "on", "--dev", "12"]
    shell("search", *words, *more, "--experts", *experts, "--out", "run")
    result = json.loads((mine / "run" / "result.json").read_text())
    assert any(
        note.startswith("whole.py:letters: one number for all replies")
        and note.endswith("nothing is trained on replies")
        for note in result["notes"]
    )
    assert not result["trained"]
    low, high = result["intervals"]["best_test"]
    assert low < result["best_test"] < high
    found = shell.json("eval", "--run", "run", "--metric", "whole.py:letters", "--against", "base")
    assert found["value"] == result["best_test"]
    assert found["against"]["value"] == pytest.approx(result["base_test"])
    assert found["paired"]["n"] == 12 and found["gained"] == []


def test_a_score_of_the_model_has_no_interval_and_one_of_each_item_has(
    words: list[object], tiny_experts: list[Path], shell: Shell
) -> None:
    pair = ["--adapter", tiny_experts[0], "--against", "base"]
    whole = shell("eval", *words[:4], *pair, "--metric", "whole.py:model", "--threads", "1")
    assert whole.startswith("Not known whether they differ") and "better on" not in whole
    each = shell.json("eval", *words, "--metric", "whole.py:each")
    assert each["n"] == 12 and each["interval"][0] < each["value"] < each["interval"][1]


def test_methods_are_not_compared_by_one_number(
    words: list[object], tiny_experts: list[Path], shell: Shell
) -> None:
    more = ["--experts", *tiny_experts, "--methods", "uniform-soup", "--out", "compared"]
    said = shell.refused(
        "compare", *words, *more, "--metric", "whole.py:letters", "--budget-items", "12", "--quiet"
    )
    assert "--metric whole.py:letters gives one number for all replies" in said
