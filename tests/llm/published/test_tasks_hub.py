"""Hub data sets, from small tables in memory that have the columns of well-known sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Task, load_task

datasets = pytest.importorskip("datasets")


def load(
    monkeypatch: pytest.MonkeyPatch,
    spec: str = "hub:someone/thing",
    columns: Sequence[str] = (),
    **splits: Any,
) -> Task:
    tables = {
        name: rows if isinstance(rows, datasets.Dataset) else datasets.Dataset.from_list(rows)
        for name, rows in splits.items()
    }
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config: datasets.DatasetDict(tables))
    return load_task(spec, columns=columns)


def by_question(task: Task) -> dict[str, tuple[dict[str, str] | None, str]]:
    return {item.question: (item.choices, item.answer) for item in task.dev + task.test}


def test_labels_beside_texts_as_in_arc(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(question: str, labels: list[str], key: str) -> dict[str, Any]:
        choices = {"text": ["x", "y"], "label": labels}
        return {"id": question, "question": question, "choices": choices, "answerKey": key}

    task = load(
        monkeypatch,
        validation=[row("a", ["A", "B"], "B"), row("b", ["1", "2"], "1")],
        test=[row("c", ["1", "2"], "2")],
    )
    assert task.name == "thing"
    assert by_question(task) == {
        "a": ({"A": "x", "B": "y"}, "B"),
        "b": ({"A": "x", "B": "y"}, "A"),
        "c": ({"A": "x", "B": "y"}, "B"),
    }
    assert {item.id for item in task.dev} == {"a", "b"}


def test_an_integer_is_an_index_even_among_numbers_as_in_mmlu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [{"question": f"q{i}", "choices": ["1", "0", "2"], "answer": i} for i in (0, 1, 2)]
    task = load(monkeypatch, test=rows[:2], validation=[*rows[2:], {**rows[0], "question": "r"}])
    assert {q: a for q, (_, a) in by_question(task).items()} == {
        "q0": "A",
        "q1": "B",
        "q2": "C",
        "r": "A",
    }


def test_an_unlabelled_test_split_is_passed_over_as_in_hellaswag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def row(text: str, label: str) -> dict[str, Any]:
        return {"ctx": text, "endings": ["x", "y"], "label": label}

    task = load(
        monkeypatch,
        columns=["question=ctx", "choices=endings"],
        train=[row("t0", "0"), row("t1", "1")],
        validation=[row("v0", "0"), row("v1", "1")],
        test=[row("secret", "")],
    )
    assert {item.question: item.answer for item in task.dev} == {"t0": "A", "t1": "B"}
    assert {item.question: item.answer for item in task.test} == {"v0": "A", "v1": "B"}


def test_options_counted_from_one_as_in_winogrande_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def row(text: str, answer: str) -> dict[str, Any]:
        return {"sentence": text, "option1": "x", "option2": "y", "answer": answer}

    named = {"columns": ["A=option1", "B=option2"], "validation": [row("c", "1")]}
    with pytest.raises(UserError, match=r'the numbers in "answer" count the options from 0'):
        load(monkeypatch, train=[row("a", "1"), row("b", "1")], **named)
    lettered = {**named, "validation": [row("c", "B")]}
    task = load(monkeypatch, train=[row("a", "A"), row("b", "B")], **lettered)
    assert {q: a for q, (_, a) in by_question(task).items()} == {"a": "A", "b": "B", "c": "B"}


def test_class_labels_are_the_options_as_in_text_classification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["negative", "positive"]),
        }
    )

    def table(text: str, label: int) -> Any:
        return datasets.Dataset.from_dict({"text": [text], "label": [label]}, features=features)

    task = load(monkeypatch, train=table("dull", 0), test=table("fine", 1))
    options = {"A": "negative", "B": "positive"}
    assert by_question(task) == {"dull": (options, "A"), "fine": (options, "B")}


def test_open_questions_as_in_gsm8k(monkeypatch: pytest.MonkeyPatch) -> None:
    task = load(
        monkeypatch,
        train=[{"question": "a", "answer": "1+1=2 #### 2"}],
        test=[{"question": "b", "answer": "4 #### 4"}],
    )
    assert by_question(task) == {"a": (None, "1+1=2 #### 2"), "b": (None, "4 #### 4")}


def test_a_single_split_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"question": f"q{i}", "choices": ["x", "y"], "answer": int(i > 0)} for i in range(9)]
    task = load(monkeypatch, train=rows)
    assert (len(task.dev), len(task.test)) == (3, 6)
    assert {q: a for q, (_, a) in by_question(task).items()}["q0"] == "A"


def test_rows_are_drawn_the_same_way_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"question": f"q{i}", "answer": str(i)} for i in range(1500)]
    tables = {
        "train": rows,
        "test": [{**row, "question": row["question"] + "?!?x"} for row in rows],
    }
    first, again = (load(monkeypatch, **tables) for _ in range(2))
    assert (len(first.dev), len(first.test)) == (200, 1000)
    assert first == again
    assert [item.answer for item in first.dev] != [str(i) for i in range(200)]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            {"train": [{"x": "a"}], "test": [{"x": "a"}]},
            "no split with answers .found: train, test",
        ),
        (
            {"train": [{"x": "a", "answer": "b"}], "test": [{"x": "c", "answer": "b"}]},
            r"no column for the question \(found: x, answer\)",
        ),
        (
            {s: [{"question": s, "choices": ["x", "y"], "answer": 7}] for s in ("train", "test")},
            "count the options from 0, and none is 0",
        ),
    ],
)
def test_sets_that_are_not_understood(
    monkeypatch: pytest.MonkeyPatch, splits: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load(monkeypatch, **splits)


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(name: str, config: str | None) -> None:
        raise ConnectionError(f"Couldn't reach {name} / {config}\nsecond line")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(
        UserError, match=r"hub:a/b: Couldn't reach a/b / c; check the name"
    ) as caught:
        load_task("hub:a/b:c")
    assert "\n" not in str(caught.value)
