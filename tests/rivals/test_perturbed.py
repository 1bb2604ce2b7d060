"""`swarm-llm perturb`: one model on the same items with typos."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_helpers import questions, swarm_llm, write_task

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import paired_test
from pyswarmopt_llm.scores.tasks import Item, load_task
from pyswarmopt_llm.searching.use.evaluate import evaluate_model
from pyswarmopt_rivals.perturbed import with_typos


@given(
    st.text("abc12 .?", min_size=1, max_size=60).filter(str.strip),
    st.integers(0, 99),
    st.floats(0.01, 1),
)
def test_typos_leave_digits_options_and_answer_alone(text: str, seed: int, rate: float) -> None:
    item = Item("1", text, {"A": "one", "B": "two"}, "B")
    found = with_typos(item, random.Random(seed), rate)
    digits = [character for character in text if character.isdigit()]
    assert [character for character in found.question if character.isdigit()] == digits
    assert (found.choices, found.answer, found.id) == (item.choices, "B", "1")
    assert found.question.strip()


def test_each_kind_of_typo_is_as_frequent_as_the_rate_says() -> None:
    n, rate = 20_000, 0.2
    found = with_typos(Item("1", "x. " * n, None, "y"), random.Random(0), rate).question
    words = found.split(" ")[:n]
    seen = {
        "swap": words.count(".x"),
        "double": words.count("xx."),
        "drop": words.count("."),
        # one in 26 is x again
        "replace": sum(len(word) == 2 and word[0] not in ".x" for word in words) * 26 / 25,
    }
    sigma = math.sqrt(n * rate / 4)
    assert all(abs(count - n * rate / 4) < 5 * sigma for count in seen.values()), seen
    assert words.count("x.") + sum(seen.values()) == pytest.approx(n, abs=2 * sigma)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("task") / "words.json"
    return write_task(file, questions(10, 1), questions(40, 2))


def test_the_scores_are_those_of_files_with_the_perturbed_items(
    tiny_base: Path, experts: list[Path], task: Path, tmp_path: Path, capsys
) -> None:
    def scored(file: Path) -> Score:
        words = (str(tiny_base), str(experts[0]), str(file))
        return evaluate_model(*words, scoring="letter", threads=1).score

    words = f"--base {tiny_base} --adapter {experts[0]} --task {task} --scoring letter --threads 1"
    words += " 0.3 0.6 --seed 7"
    code, out, err = swarm_llm(capsys, "perturb", *words.split(), "--json")
    assert code == 0, err
    found, plain, items = json.loads(out), scored(task), load_task(str(task)).test
    changed = {
        f"{rate}": [with_typos(i, random.Random(f"7 {i.question}"), rate) for i in items]
        for rate in (0.3, 0.6)
    }
    assert (found["value"], found["seed"]) == (plain.value, 7)
    assert set(found["perturbed"]) == set(changed)
    for spec, own in changed.items():
        rows = [
            asked | {"question": i.question} for asked, i in zip(questions(40, 2), own, strict=True)
        ]
        score = scored(write_task(tmp_path / f"{spec}.json", questions(10, 1), rows))
        row = found["perturbed"][spec]
        differences = [a - b for a, b in zip(score.per_item, plain.per_item, strict=True)]
        assert row["value"] == score.value
        assert row["paired"]["difference"] == pytest.approx(sum(differences) / 40)
        assert row["paired"]["p_value"] == paired_test(differences).p_value
        assert any(differences), f"{spec} changes nothing, which proves nothing"
    code, out, _ = swarm_llm(capsys, "perturb", *words.split())
    lines = out.splitlines()
    lost = found["perturbed"]["0.6"]["paired"]["lost"]
    assert code == 0 and lines[0].startswith("words test: accuracy ")
    assert lines[2].startswith("  typos 0.6: ") and f" and {lost} lost, p = " in lines[2]
