"""The paper's data sets as they are used: what is left out of the published files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from laboratory import script

data_sets = script("data_sets")


def item(question: str, answer: str = "A", **choices: str) -> dict[str, Any]:
    return {"question": question, "choices": choices or {"A": "x", "B": "y"}, "answer": answer}


def questions(items: list[dict[str, Any]]) -> list[str]:
    return [item["question"] for item in items]


def test_an_example_of_dev_is_not_in_test_whatever_the_order_of_its_options() -> None:
    dev = [item("q", A="x", B="y"), item("q", A="x", B="z"), item("q", "B", A="y", B="x")]
    test = [item("q", A="y", B="x"), item("r"), item("Q ", A="Y", B="x"), item("r")]
    kept = data_sets.distinct({"dev": dev, "test": test})
    assert [text["choices"] for text in kept["dev"]] == [{"A": "x", "B": "y"}, {"A": "x", "B": "z"}]
    assert questions(kept["test"]) == ["r"]


def test_a_question_counts_once_where_its_options_were_drawn_again() -> None:
    dev, test = [item("q", A="x", B="y")], [item("Q", A="x", B="z"), item("r")]
    kept = data_sets.distinct_questions({"dev": dev, "test": test})
    assert (questions(kept["dev"]), questions(kept["test"])) == (["q"], ["r"])


def test_problems_with_yes_or_no_become_choices() -> None:
    graphs = [{"question": f"g{n}", "answer": a} for n, a in enumerate(["Yes", "3", "No", "0, 1"])]
    kept = data_sets.yes_or_no({"dataset": "nlgraph", "dev": graphs, "test": []})["dev"]
    assert [(each["question"], each["answer"]) for each in kept] == [("g0", "A"), ("g2", "B")]
    assert kept[0]["choices"] == {"A": "Yes", "B": "No"}


def test_halves_share_nothing_and_lose_nothing() -> None:
    items = [item(f"q{n}") for n in range(9)]
    split = data_sets.halves({"dev": items[:6], "test": items[3:]})
    dev, test = (questions(split[name]) for name in ("dev", "test"))
    assert (len(dev), len(test)) == (4, 5)
    assert sorted(dev + test) == questions(items)


def test_the_constant_answer_is_the_most_frequent_one_of_dev(tmp_path: Path) -> None:
    dev, test = [item("a", "B"), item("b", "B"), item("c")], [item("d", "B"), item("e"), item("f")]
    file = tmp_path / "t.json"
    file.write_text(json.dumps({"dev": dev, "test": test}), encoding="utf-8")
    assert data_sets.constant_answer(str(file)) == "100"


def test_files_have_at_most_the_named_numbers_and_are_the_same_again(tmp_path: Path) -> None:
    items = [item(f"q{n}") for n in range(2000)]
    published = {"dev": items[:300], "test": items[300:]}
    (tmp_path / "hellaswag.json").write_text(json.dumps(published), encoding="utf-8")
    (first,) = data_sets.used_files("hellaswag", tmp_path, tmp_path / "a")
    (second,) = data_sets.used_files("hellaswag", tmp_path, tmp_path / "b")
    used = json.loads(Path(first).read_text(encoding="utf-8"))
    assert (len(used["dev"]), len(used["test"])) == (100, 1000)
    assert Path(first).read_bytes() == Path(second).read_bytes()
