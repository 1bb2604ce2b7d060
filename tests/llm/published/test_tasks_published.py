"""Data sets in the form in which they are published, as files and on the hub, in small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Task, load_task

Hub = Callable[..., None]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Makes these splits what the hub has, whatever is asked for."""
    datasets = pytest.importorskip("datasets")

    def fill(**splits: Any) -> None:
        tables = {
            name: rows if isinstance(rows, datasets.Dataset) else datasets.Dataset.from_list(rows)
            for name, rows in splits.items()
        }
        found = datasets.DatasetDict(tables)
        monkeypatch.setattr(datasets, "load_dataset", lambda name, config: found)

    return fill


def lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def by_question(task: Task) -> dict[str, tuple[dict[str, str] | None, str]]:
    return {item.question: (item.choices, item.answer) for item in task.dev + task.test}


def answers(task: Task) -> dict[str, str]:
    return {question: answer for question, (_, answer) in by_question(task).items()}


# Files


def test_nlgraph_is_a_folder_of_kinds(tmp_path: Path) -> None:
    for kind in ("cycle", "flow"):
        (tmp_path / kind).mkdir()
        for split, n in (("main", 9), ("train", 3), ("test", 2)):
            row = {"question": f"{kind} {split} {{}}\nQ: ?\nA:", "answer": f"a {kind}"}
            rows = {str(i): {**row, "question": row["question"].format(i)} for i in range(n)}
            (tmp_path / kind / f"{split}.json").write_text(json.dumps(rows))
    task = load_task(f"published:nlgraph:{tmp_path}")
    assert (len(task.dev), len(task.test), task.metric) == (6, 4, "graph")
    assert {i.meta["domain"] for i in task.dev} == {"cycle", "flow"}
    for item in task.dev + task.test:
        assert item.plain and item.question.endswith("Q: ?") and "main" not in item.question
        assert item.answer == f"a {item.meta['domain']}"


def test_knowledge_crosswords_become_whole_solutions(tmp_path: Path) -> None:
    row = {
        "relation": ["directed", "actedIn"],
        "target": ["blank 1", "blank 1"],
        "blanks": ["blank 1", "blank 2"],
        "options": {"blank 1": ["F", "G", "H"], "blank 2": ["x", "y", "z"]},
        "answer_all": ["G", "z"],
    }
    rows = [{**row, "source": [f"Ann{k}", "blank 2"]} for k in range(9)]
    task = load_task(f"published:knowledge-crosswords:{lines(tmp_path / 'MC_easy.jsonl', rows)}")
    assert (len(task.dev), len(task.test)) == (3, 6)
    for item in task.dev + task.test:
        assert item.answer_text == "blank 1: G; blank 2: z"
        assert item.choices is not None and len(set(item.choices.values())) == 4
        assert "(blank 2, actedIn, blank 1)" in item.question
    # the right one is not always the same letter
    assert len({i.answer for i in task.dev + task.test}) > 1


def test_bad_files(tmp_path: Path) -> None:
    path = f"published:knowledge-crosswords:{tmp_path}"
    with pytest.raises(UserError, match=r"no .json or .jsonl"):
        load_task(path)
    (tmp_path / "x.jsonl").write_text('{"source": []}')
    with pytest.raises(UserError, match="row 0: unexpected columns"):
        load_task(path)
    (tmp_path / "x.jsonl").unlink()
    (tmp_path / "x.json").write_text('["text"]')
    with pytest.raises(UserError, match="expected objects"):
        load_task(path)
    for spec in ("published:nlgraph", f"published:gsm8k:{tmp_path}"):
        with pytest.raises(UserError, match="nlgraph and knowledge-crosswords need the path"):
            load_task(spec)
    with pytest.raises(UserError, match="use one of: mmlu, mmlu-pro"):
        load_task("published:nothing")


# The hub


def test_gsm8k_has_two_splits_and_numbers(hub: Hub) -> None:
    sizes = {"train": 4, "test": 6}
    hub(
        **{
            split: [{"question": f"{split} {i}?", "answer": f"So.\n#### 1,{i}00"} for i in range(n)]
            for split, n in sizes.items()
        }
    )
    task = load_task("published:gsm8k")
    assert (len(task.dev), len(task.test), task.metric) == (4, 6, "numeric")
    assert {(i.question, i.answer) for i in task.test} == {
        (f"test {i}?", f"1{i}00") for i in range(6)
    }
    hub(test=[{"question": "q", "answer": "no mark"}])
    with pytest.raises(UserError, match="row 0: unexpected columns"):
        load_task("published:gsm8k")


def test_hellaswag_without_labels_is_no_test_split(hub: Hub) -> None:
    splits = {}
    for split, label in (("test", ""), ("validation", "2"), ("train", "1")):
        row = {"endings": ["a", "b", "c", "d"], "source_id": "activitynet~v_x", "label": label}
        splits[split] = [{**row, "ctx": f"{split}{i}"} for i in range(3)]
    hub(**splits)
    task = load_task("published:hellaswag")
    options = dict(zip("ABCD", "abcd", strict=True))
    for items, split, right in ((task.test, "validation", "C"), (task.dev, "train", "B")):
        assert {(i.question, i.answer) for i in items} == {(f"{split}{k}", right) for k in range(3)}
        assert all(i.choices == options for i in items)


def test_truthfulqa_is_shuffled(hub: Hub) -> None:
    targets = {"choices": ["wrong", "right", "worse"], "labels": [0, 1, 0]}
    hub(validation=[{"question": f"Q{k}?", "mc1_targets": targets} for k in range(30)])
    task = load_task("published:truthfulqa")
    assert (len(task.dev), len(task.test)) == (10, 20)
    assert {i.answer_text for i in task.dev + task.test} == {"right"}
    assert {i.answer for i in task.dev + task.test} == {"A", "B", "C"}


def test_prompts_without_answers(hub: Hub) -> None:
    hub(train=[{"prompt": {"text": f"So he {k}"}} for k in range(6)])
    task = load_task("published:realtoxicityprompts")
    assert task.metric == "toxicity"
    assert all(i.plain and i.answer == "" for i in task.dev + task.test)
    assert {i.question for i in task.dev + task.test} == {f"So he {k}" for k in range(6)}


def test_published_sets_on_the_hub(hub: Hub) -> None:
    rows = [{"question": f"q{i}", "choices": list("wxyz"), "subject": "law"} for i in range(8)]
    numbered = [{**row, "answer": i % 4} for i, row in enumerate(rows)]
    hub(test=numbered[:4], validation=numbered[4:])
    found = {item.question: item.answer for item in load_task("published:mmlu").test}
    assert found == {f"q{i}": "ABCD"[i] for i in range(4)}
    padded = {"options": ["o", "p", "q"], "answer": "C", "category": "law"}
    hub(test=[{**padded, "question": f"q{i}"} for i in range(6)])
    first = load_task("published:mmlu-pro").test[0]
    assert (first.choices, first.answer) == ({"A": "o", "B": "p", "C": "q"}, "C")


def test_an_integer_is_an_index_even_among_numbers_as_in_mmlu(hub: Hub) -> None:
    rows = [{"question": f"q{i}", "choices": ["1", "0", "2"], "answer": i} for i in (0, 1, 2)]
    hub(test=rows[:2], validation=[*rows[2:], {**rows[0], "question": "r"}])
    assert answers(load_task("hub:a/b")) == {"q0": "A", "q1": "B", "q2": "C", "r": "A"}


def test_a_label_is_no_index_as_in_arc(hub: Hub) -> None:
    choices = {"text": ["x", "y"], "label": ["1", "2"]}
    hub(test=[{"question": f"q{i}", "choices": choices, "answerKey": "2"} for i in range(3)])
    assert {item.answer_text for item in load_task("hub:a/b").test} == {"y"}


@pytest.mark.parametrize("right", ["1", "A"])
def test_options_counted_from_one_as_in_winogrande_are_refused(right: str, hub: Hub) -> None:
    def row(text: str) -> dict[str, Any]:
        return {"sentence": text, "option1": "x", "option2": "y", "answer": right}

    hub(train=[row("a"), row("b")], validation=[row("c")])
    named = ["A=option1", "B=option2"]
    if right == "A":
        assert answers(load_task("hub:a/b", columns=named)) == dict.fromkeys("abc", "A")
        return
    with pytest.raises(UserError, match=r'"answer" must start at 0'):
        load_task("hub:a/b", columns=named)


def test_class_labels_are_the_options_as_in_text_classification(hub: Hub) -> None:
    datasets = pytest.importorskip("datasets")
    labels = datasets.ClassLabel(names=["negative", "positive"])
    features = datasets.Features({"text": datasets.Value("string"), "label": labels})

    def table(text: str, label: int) -> Any:
        return datasets.Dataset.from_dict({"text": [text], "label": [label]}, features=features)

    hub(train=table("dull", 0), test=table("fine", 1))
    options = {"A": "negative", "B": "positive"}
    assert by_question(load_task("hub:a/b")) == {"dull": (options, "A"), "fine": (options, "B")}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"x": "a"}, "no column for the question"),
        (
            {"question": "q", "choices": ["x", "y"], "answer": 7},
            "must start at 0, but none is 0",
        ),
    ],
)
def test_sets_that_are_not_understood(row: dict[str, Any], message: str, hub: Hub) -> None:
    hub(train=[row], test=[row])
    with pytest.raises(UserError, match=message):
        load_task("hub:a/b")
