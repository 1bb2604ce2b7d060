"""The nine data sets in the form in which they are published, in small."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import load_task, render_prompt


def lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_gsm8k_files(tmp_path: Path) -> None:
    for split, n in (("train", 4), ("test", 6)):
        rows = [
            {"question": f"{split} {i}?", "answer": f"Some steps.\n#### 1,{i}00"} for i in range(n)
        ]
        lines(tmp_path / f"{split}.jsonl", rows)
    task = load_task(f"published:gsm8k:{tmp_path}")
    assert (len(task.dev), len(task.test), task.metric) == (4, 6, "numeric")
    assert {(i.question, i.answer) for i in task.test} == {
        (f"test {i}?", f"1{i}00") for i in range(6)
    }


def test_mmlu_files_have_no_header(tmp_path: Path) -> None:
    for split in ("val", "test"):
        folder = tmp_path / split
        folder.mkdir()
        with (folder / f"anatomy_{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [[f"{split}, {i}?", "w", "x", "y", "z", "C"] for i in range(3)]
            )
    task = load_task(f"published:mmlu:{tmp_path}")
    assert {i.question for i in task.dev} == {f"val, {i}?" for i in range(3)}
    assert (
        task.test[0].choices == {"A": "w", "B": "x", "C": "y", "D": "z"}
        and task.test[0].answer == "C"
    )


def test_hellaswag_without_labels_is_no_test_split(tmp_path: Path) -> None:
    row = {"ctx": "She", "endings": ["a", "b", "c", "d"], "source_id": "activitynet~v_x"}
    lines(tmp_path / "hellaswag_test.jsonl", [{**row, "ctx": f"t{i}"} for i in range(3)])
    lines(tmp_path / "hellaswag_val.jsonl", [{**row, "ctx": f"v{i}", "label": 2} for i in range(3)])
    lines(
        tmp_path / "hellaswag_train.jsonl",
        [{**row, "ctx": f"r{i}", "label": "1"} for i in range(3)],
    )
    task = load_task(f"published:hellaswag:{tmp_path}")
    assert {i.question for i in task.test} == {"v0", "v1", "v2"} and {
        i.answer for i in task.test
    } == {"C"}
    assert {i.question for i in task.dev} == {"r0", "r1", "r2"}


def test_nlgraph_folder(tmp_path: Path) -> None:
    for kind in ("cycle", "flow"):
        for split, n in (("main", 9), ("train", 3), ("test", 2)):
            rows = {
                str(i): {"question": f"{kind} {split} {i}\nQ: ?\nA:", "answer": "yes"}
                for i in range(n)
            }
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / f"{split}.json").write_text(json.dumps(rows))
    task = load_task(f"published:nlgraph:{tmp_path}")
    assert (len(task.dev), len(task.test), task.metric) == (6, 4, "graph")
    assert {i.meta["domain"] for i in task.dev} == {"cycle", "flow"}
    assert all(
        i.plain and i.question.endswith("Q: ?") and "main" not in i.question
        for i in task.dev + task.test
    )


def test_knowledge_crosswords_become_whole_solutions(tmp_path: Path) -> None:
    rows = [
        {
            "source": [f"Ann{k}", "blank 2"],
            "relation": ["directed", "actedIn"],
            "target": ["blank 1", "blank 1"],
            "blanks": ["blank 1", "blank 2"],
            "options": {"blank 1": ["F", "G", "H"], "blank 2": ["x", "y", "z"]},
            "answer_all": ["G", "z"],
        }
        for k in range(9)
    ]
    task = load_task(f"published:knowledge-crosswords:{lines(tmp_path / 'MC_easy.jsonl', rows)}")
    assert (len(task.dev), len(task.test)) == (3, 6)
    for item in task.dev + task.test:
        assert item.answer_text == "blank 1: G; blank 2: z"
        assert item.choices is not None and len(set(item.choices.values())) == 4
        assert "(blank 2, actedIn, blank 1)" in item.question
    # the right one is not always the same letter
    assert len({i.answer for i in task.dev + task.test}) > 1


def test_truthfulqa_is_shuffled(tmp_path: Path) -> None:
    rows = [
        {
            "question": f"Q{k}?",
            "mc1_targets": {"right": 1, "wrong": 0, "worse": 0},
            "mc2_targets": {"right": 1, "also right": 1, "wrong": 0},
        }
        for k in range(30)
    ]
    (tmp_path / "mc_task.json").write_text(json.dumps(rows))
    task = load_task(f"published:truthfulqa:{tmp_path / 'mc_task.json'}")
    assert {i.answer_text for i in task.dev + task.test} == {"right"}
    assert {i.answer for i in task.dev + task.test} == {"A", "B", "C"}
    several = load_task(f"published:truthfulqa-mc2:{tmp_path}")
    assert several.metric == "mc2"
    for item in several.test:
        assert {(item.choices or {})[letter] for letter in item.meta["right"]} == {
            "right",
            "also right",
        }


def test_prompts_without_answers(tmp_path: Path) -> None:
    rows = [
        {"prompt": {"text": f"So he {k}", "toxicity": 0.1}, "challenging": k == 0} for k in range(6)
    ]
    task = load_task(f"published:realtoxicityprompts:{lines(tmp_path / 'prompts.jsonl', rows)}")
    assert task.metric == "toxicity" and all(
        i.plain and i.answer == "" for i in task.dev + task.test
    )


def test_abstainqa_files_hold_both_splits(tmp_path: Path) -> None:
    item = {"choices": {"A": "x", "B": "y"}, "answer": "B"}
    content = {
        s: [{"question": f"{s} {i}", **item} for i in range(n)]
        for s, n in (("dev", 3), ("test", 5))
    }
    (tmp_path / "mmlu.json").write_text(json.dumps(content))
    task = load_task(f"published:abstainqa:{tmp_path / 'mmlu.json'}")
    assert (len(task.dev), len(task.test), task.metric) == (3, 5, "abstain")


def test_hub_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    tables: dict[str, dict[str, list[dict[str, Any]]]] = {
        "cais/mmlu": {
            split: [
                {
                    "question": f"{split} {i}",
                    "choices": list("wxyz"),
                    "answer": i % 4,
                    "subject": "law",
                }
                for i in range(4)
            ]
            for split in ("test", "validation")
        },
        "TIGER-Lab/MMLU-Pro": {
            split: [
                {
                    "question": f"{split} {i}",
                    "options": ["p", "q", "N/A"],
                    "answer": "B",
                    "category": "law",
                }
                for i in range(2)
            ]
            for split in ("test", "validation")
        },
        "truthfulqa/truthful_qa": {
            "validation": [
                {"question": f"q{i}", "mc1_targets": {"choices": ["r", "w"], "labels": [1, 0]}}
                for i in range(6)
            ]
        },
    }
    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda name, config: {
            k: datasets.Dataset.from_list(rows) for k, rows in tables[name].items()
        },
    )
    mmlu = load_task("published:mmlu")
    assert {i.question: i.answer for i in mmlu.test} == {f"test {i}": "ABCD"[i] for i in range(4)}
    assert load_task("published:mmlu-pro").test[0].choices == {"A": "p", "B": "q"}
    truthful = load_task("published:truthfulqa")
    assert (len(truthful.dev), len(truthful.test)) == (2, 4)
    assert {i.answer_text for i in truthful.test} == {"r"}


def test_dev_questions_that_are_in_test_are_passed_over(tmp_path: Path) -> None:
    row = {"answer": "#### 1"}
    lines(tmp_path / "train.jsonl", [{"question": f"Q {i}?", **row} for i in range(5)])
    lines(tmp_path / "test.jsonl", [{"question": f"q {i}?", **row} for i in (3, 4, 5)])
    assert {i.question for i in load_task(f"published:gsm8k:{tmp_path}").dev} == {
        "Q 0?",
        "Q 1?",
        "Q 2?",
    }


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        (
            "gsm8k",
            [{"question": "q", "answer": "no mark"}] * 3,
            "row 0: not a row of this data set",
        ),
        ("gsm8k", [], "no split with answers"),
        ("nothing", [], "use one of: mmlu, mmlu-pro"),
        ("nlgraph", None, r"published:nlgraph: its authors publish files"),
    ],
)
def test_bad_sources(tmp_path: Path, name: str, rows: list[Any] | None, message: str) -> None:
    spec = (
        f"published:{name}"
        if rows is None
        else f"published:{name}:{lines(tmp_path / 'x.jsonl', rows)}"
    )
    with pytest.raises(UserError, match=message):
        load_task(spec)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no .json, .jsonl"):
        load_task(f"published:gsm8k:{tmp_path}")
    (tmp_path / "test.json").write_text("{")
    with pytest.raises(UserError, match=r"test.json: cannot be read"):
        load_task(f"published:gsm8k:{tmp_path}")


def crossword(*wrong: str) -> dict[str, Any]:
    choices = dict(zip("ABC", ("Ann", *wrong), strict=True))
    return {"id": "748", "question": "Who acted in X?", "choices": choices, "answer": "A"}


def test_crosswords_may_be_drawn_twice_and_bring_their_example(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ids are those of questions, which come back with other wrong options, in test, too."""
    dev, test = [crossword("Bo", "Cy"), crossword("Bo", "Di")], [crossword("Ed", "Fay")]
    file, example = tmp_path / "file.json", "Question: {blank}?\nThe answer is B.\n"
    content = {"dataset": "knowledge_crosswords", "dev": dev, "test": test, "icl_prompt": example}
    file.write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        task = load_task(str(file))
    assert "2 dev items are also in test, with the same answer among other options" in caplog.text
    shown = render_prompt(task.dev[0], "letter", task.prompt)
    assert shown.startswith(example) and shown.count("Who acted in X?") == 1
    file.write_text(json.dumps({**content, "dev": [dev[0], dev[0]]}))
    with pytest.raises(UserError, match="the id '748' is already used"):
        load_task(str(file))
