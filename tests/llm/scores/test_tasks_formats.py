"""Task files: the same content from three formats, and one line for everything that can be
wrong.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Item, Task, load_task

DEV = {
    "question": "Capital of Peru?",
    "choices": {"A": "Lima", "B": "Quito"},
    "answer": "A",
    "id": "p",
}
TEST = {
    "question": "Capital of Ecuador?",
    "choices": {"A": "Lima", "B": "Quito"},
    "answer": "B",
    "id": "e",
}


def write(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def task_file(
    tmp_path: Path, dev: list[Any] | None = None, test: list[Any] | None = None, **top: Any
) -> str:
    content = {
        "dev": [DEV] if dev is None else dev,
        "test": [TEST] if test is None else test,
        **top,
    }
    return write(tmp_path / "mine.json", content)


# ---------------------------------------------------------------- what is read


def test_reference_json(tmp_path: Path) -> None:
    extra = {**DEV, "domain": "geography", "level": 3, "tags": ["x"], "id": 5}
    task = load_task(task_file(tmp_path, [extra], dataset="capitals", prompt="{question} Well?"))
    assert task.name == "capitals"
    assert task.prompt == "{question} Well?"
    meta = {"domain": "geography", "level": "3", "tags": '["x"]'}
    assert task.dev == (Item("5", "Capital of Peru?", {"A": "Lima", "B": "Quito"}, "A", meta),)
    assert task.split("test")[0].answer_text == "Quito"


def test_open_questions_and_missing_ids(tmp_path: Path) -> None:
    task = load_task(
        task_file(tmp_path, [{"question": "1+1?", "answer": 2}, {"question": "2?", "answer": "x"}])
    )
    assert task.name == "mine"
    assert task.dev == (Item("dev-0", "1+1?", None, "2"), Item("dev-1", "2?", None, "x"))


@pytest.mark.parametrize(
    ("choices", "answer", "letter"),
    [
        (["Lima", "Quito"], "B", "B"),
        (["Lima", "Quito"], "Quito", "B"),
        ({"a": "Lima", "b": "Quito"}, "b", "B"),
        ({"B": "Quito", "A": "Lima"}, "Lima", "A"),
        ({"A": "B", "B": "A"}, "A", "A"),  # the letter wins over the text
        ([3, 4], 4, "B"),
    ],
)
def test_forms_of_choices_and_answers(
    tmp_path: Path, choices: Any, answer: Any, letter: str
) -> None:
    (item,) = load_task(task_file(tmp_path, [{**DEV, "choices": choices, "answer": answer}])).dev
    assert list(item.choices) == ["A", "B"]
    assert item.answer == letter


def test_three_formats_say_the_same(tmp_path: Path) -> None:
    quoted = {**DEV, "question": 'He said:\n"Peru, is it?"', "domain": "x"}
    from_json = load_task(task_file(tmp_path, [quoted]))
    lines = [json.dumps({**quoted, "split": "dev"}), "", json.dumps({**TEST, "split": "test"})]
    from_jsonl = load_task(write(tmp_path / "mine.jsonl", "\n".join(lines)))
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["split", "id", "question", "A", "B", "C", "answer", "domain"])
    for split, item in (("dev", quoted), ("test", TEST)):
        options = [*item["choices"].values(), ""]
        row = [split, item["id"], item["question"], *options, item["answer"]]
        writer.writerow([*row, item.get("domain", "")])
    from_csv = load_task(write(tmp_path / "mine.csv", "\ufeff" + buffer.getvalue()))
    assert from_csv.fingerprint == from_jsonl.fingerprint == from_json.fingerprint
    assert from_csv.dev == from_json.dev and from_csv.test == from_json.test


def test_open_questions_in_csv(tmp_path: Path) -> None:
    task = load_task(write(tmp_path / "a.csv", "question,answer,split\n1+1?,2,dev\n2+2?,4,test\n"))
    assert (task.dev[0].choices, task.dev[0].answer, task.test[0].answer) == (None, "2", "4")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "C"}, r"mine.json: dev item 1: the answer 'C' is not among the choices A, B"),
        ({"answer": "Cusco"}, "is not among the choices"),
        ({"answer": 1}, "'1' is not among the choices"),
        ({"answer": ""}, "empty answer"),
        ({"answer": None}, "answer must be a text, not null"),
        ({"answer": True}, "answer must be a text, not true or false"),
        ({"question": "  "}, "dev item 1: empty question"),
        ({"question": ["x"]}, "question must be a text, not a list"),
        ({"question": "\ud800"}, "an unpaired surrogate"),
        ({"choices": {"A": "Lima"}}, "1 choice; give at least two"),
        ({"choices": []}, "0 choice"),
        ({"choices": "Lima"}, "choices are an object of letters or a list, not a text"),
        ({"choices": {"one": "Lima", "two": "Quito"}}, "choice 'one' is not lettered"),
        ({"choices": {"A": "Lima", "a": "Quito"}}, "choice A is given twice"),
        ({"choices": {"A": "Lima", "B": None}}, "choice B must be a text, not null"),
        ({"choices": {"A": "Lima", "B": ""}}, "empty choice B"),
        ({"choices": ["x"] * 27}, "27 choices; at most 26"),
        (
            {"choices": ["Lima", "Lima"], "answer": "Lima"},
            "is the text of A and B; give the letter",
        ),
        ({"id": ["x"]}, "id must be a text"),
    ],
)
def test_bad_items(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_task(task_file(tmp_path, [{**DEV, **change}]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"dev": [\n  {"question": "x",,}\n]}', r"mine.json: line 2, column 20: malformed JSON"),
        ("", "line 1, column 1: malformed JSON"),
        ("[]", 'must be an object {"dev"'),
        ({"dev": [DEV]}, r'no "test" \(found: dev\)'),
        ({"dev": [DEV], "tests": [TEST]}, r'no "test" \(found: dev, tests\); rename "tests"'),
        ({"dev": {}, "test": []}, '"dev" must be a list'),
        ({"dev": [], "test": [TEST]}, r"mine\.json: the dev split is empty"),
        ({"dev": [DEV], "test": []}, "the test split is empty"),
        (
            {"dev": [7], "test": [TEST]},
            "dev item 1: an item is an object with question and answer, not a number",
        ),
        ({"dev": [{"task": "x"}], "test": [TEST]}, r'dev item 1: no "question" \(found: task\)'),
        (
            {"dev": [{"question": "x", "anwser": "y"}], "test": [TEST]},
            'no "answer".*rename "anwser"',
        ),
        ({"dev": [DEV], "test": [TEST], "prompt": 5}, '"prompt" must be a text'),
        ({"dev": [DEV], "test": [TEST], "prompt": "{q}"}, r"mine.json: unknown placeholder \{q\}"),
        ('{"dev": [], "dev": [], "test": []}', '"dev" is given twice'),
        ("[" * 100_000, "nested too deeply"),
        ('{"dev": ' + "1" * 5000 + "}", "line 1 or below"),
        (
            {"dev": [DEV, {**TEST, "id": "p"}], "test": [TEST]},
            "dev item 2: the id 'p' is already used.*dev item 1",
        ),
        ({"dev": [DEV], "test": [TEST, TEST]}, "test item 2: the id 'e' is already used"),
    ],
)
def test_bad_json_files(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_task(write(tmp_path / "mine.json", content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl",
            '{"split": "dev"}\n{"question": "x"}\n',
            r"no column for the answer \(found: split, question\)",
        ),
        (
            "a.jsonl",
            '\n{"split": "train"}',
            "no column for the question and the answer .found: split.",
        ),
        ("a.jsonl", '{"split": "dev"}\n{"split" "x"}', "line 1: no|line 2, column 10: malformed"),
        ("a.jsonl", "\n\n3\n", "line 3: an item is an object"),
        ("a.jsonl", "", "no rows"),
        ("a.csv", "", "a.csv: no rows"),
        (
            "a.csv",
            "question,anser,split\na,b,dev\n",
            r"no column for the answer \(found: question, anser, split\); name it: columns",
        ),
        ("a.csv", "question,answer\n", "a.csv: no rows"),
        ("a.csv", "question,answer,split,split\n", 'two columns are named "split"'),
        (
            "a.csv",
            "question,answer,split\na,b,dev\na,b,c,dev\n",
            "line 3: more values than columns",
        ),
        ("a.csv", "question,answer,split\na,b,dev\nc,d\n", "line 3: split must be"),
        ("a.csv", 'question,answer,split\na,"b"c,dev\n', "line 2: .*check the quotes"),
        ("a.csv", 'question,answer,split\na,"b,dev\n', "line 2: .*check the quotes"),
        (
            "a.csv",
            "question,answer,split,A,B\na,C,dev,x,y\n",
            "line 2: the answer 'C' is not among",
        ),
        ("a.csv", "question,answer,split,A,B\na,A,dev,x,\n", "line 2: 1 choice"),
        ("a.txt", "hello", "not a task file; give a file that ends in .json, .jsonl, .csv"),
    ],
)
def test_bad_rows(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_task(write(tmp_path / name, content))
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such task file"):
        load_task(str(tmp_path / "missing.json"))
    with pytest.raises(UserError, match="no such task file"):
        load_task("nobody:knows")
    with pytest.raises(UserError, match="not a task file"):
        load_task(str(tmp_path))
    (tmp_path / "latin.csv").write_bytes(b"question,answer,split\nna\xefve,x,dev\n")
    with pytest.raises(UserError, match=r"latin\.csv: line 2: not UTF-8"):
        load_task(str(tmp_path / "latin.csv"))
    with pytest.raises(UserError, match="has no items here"):
        load_task("lm-eval:arc_easy")


@settings(max_examples=300)
@given(
    content=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["dev", "test", "question", "choices", "answer", "id", "A", "B", "prompt"]
                ),
                inner,
            )
        ),
        max_leaves=20,
    ),
    ending=st.sampled_from([".json", ".jsonl", ".csv"]),
)
def test_any_content_loads_or_is_refused_in_one_line(
    tmp_path: Path, content: Any, ending: str
) -> None:
    path = tmp_path / f"any{ending}"
    path.write_text(json.dumps(content))
    try:
        assert isinstance(load_task(str(path)), Task)
    except UserError as e:
        assert len(str(e).splitlines()) == 1


# ---------------------------------------------------------------- dev and test


def test_questions_in_both_splits_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leaked = {**DEV, "question": "  capital of PERU", "id": "other"}
    path = task_file(tmp_path, [TEST, DEV], [leaked])
    with pytest.raises(
        UserError, match=r"1 dev items are also in test \(the first has the id 'p'\).*allow_overlap"
    ):
        load_task(path)
    # of the whole file, whatever part of it is used
    with pytest.raises(UserError, match="also in test"):
        load_task(path, dev=1)
    with caplog.at_level(logging.WARNING):
        assert len(load_task(path, allow_overlap=True).dev) == 2
    assert "1 dev items are also in test" in caplog.text


def test_the_same_question_about_other_options_is_another_item(tmp_path: Path) -> None:
    other = {**DEV, "choices": {"A": "Lima", "B": "Cusco"}}
    assert len(load_task(task_file(tmp_path, [DEV], [other])).test) == 1


def test_options_in_another_order_and_repeats_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    turned = {**DEV, "choices": ["Quito", "Lima"], "answer": "B"}
    with caplog.at_level(logging.WARNING):
        load_task(task_file(tmp_path, [DEV, {**DEV, "id": "again"}], [turned]))
    assert "1 of 2 dev items repeat another" in caplog.text
    assert "2 dev items are also in test with their options in another order" in caplog.text


def test_ids_may_repeat_between_splits(tmp_path: Path) -> None:
    task = load_task(task_file(tmp_path, [DEV], [{**TEST, "id": "p"}]))
    assert task.dev[0].id == task.test[0].id == "p"


def test_hellaswag_numbers_its_two_sources_apart(tmp_path: Path) -> None:
    caption = {**DEV, "id": 1}
    how_to = {**DEV, "question": "[header] How to iron", "id": 1}
    load_task(task_file(tmp_path, [caption, how_to], dataset="hellaswag"))
    with pytest.raises(UserError, match="the id '1' is already used"):
        load_task(task_file(tmp_path, [caption, how_to], dataset="mine"))
    with pytest.raises(UserError, match="the id '1' is already used"):
        load_task(
            task_file(tmp_path, [caption, {**how_to, "question": "No."}], dataset="hellaswag")
        )


# ---------------------------------------------------------------- Task


def questions(n: int) -> list[dict[str, Any]]:
    return [{"question": f"What is {i}?", "answer": str(i)} for i in range(n)]


def test_limits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = task_file(tmp_path, questions(8)[:5], questions(8)[5:])
    assert [i.answer for i in load_task(path, dev=2).dev] == ["0", "1"]
    assert [i.answer for i in load_task(path, test=1).test] == ["5"]
    assert len(load_task(path, dev=2).test) == 3
    with caplog.at_level(logging.WARNING):
        assert len(load_task(path, dev=50).dev) == 5
    assert "50 dev items requested, only 5 available" in caplog.text
    for n in (0, -1):
        with pytest.raises(UserError, match=f"dev {n}: at least one"):
            load_task(path, dev=n)
        with pytest.raises(ValueError, match="at least one test item"):
            load_task(path).limited(test=n)
    with pytest.raises(ValueError, match="dev, test and spare, not 'train'"):
        load_task(path).split("train")


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    task = load_task(task_file(tmp_path))
    again = load_task(
        write(tmp_path / "elsewhere.json", json.dumps({"test": [TEST], "dev": [DEV]}, indent=4))
    )
    assert len(task.fingerprint) == 64 and task.fingerprint == again.fingerprint
    item = task.dev[0]
    changes = [
        {"id": "q"},
        {"question": "?"},
        {"answer": "B"},
        {"choices": {"A": "Lima", "B": "x"}},
        {"meta": {"a": "b"}},
    ]
    prints = {
        replace(task, dev=(replace(item, **change),), fingerprint="").fingerprint
        for change in changes
    }
    swapped = replace(task, dev=task.test, test=task.dev, fingerprint="").fingerprint
    assert len({task.fingerprint, swapped, *prints}) == 7


# ---------------------------------------------------------------- real files


@pytest.fixture
def public_data() -> Path:
    folder = Path(__file__).resolve().parents[4] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public data sets are not at hand")
    return folder


def test_public_files_load(public_data: Path) -> None:
    loaded = 0
    for path in sorted([*public_data.glob("eval/*.json"), *public_data.glob("tasks/*.json")]):
        task = load_task(str(path), allow_overlap=path.stem == "hearsay")
        content = json.loads(path.read_text())
        for split in ("dev", "test"):
            asked = [i.get("question", i.get("prompt")).strip() for i in content[split]]
            assert [i.question for i in task.split(split)] == asked
            assert [i.answer for i in task.split(split)] == [
                i.get("answer", "") for i in content[split]
            ]
            assert [i.plain for i in task.split(split)] == ["prompt" in i for i in content[split]]
            assert [i.choices for i in task.split(split)] == [
                {k: v.strip() for k, v in i["choices"].items()} if "choices" in i else None
                for i in content[split]
            ]
        loaded += 1
    assert loaded > 10


def test_hearsay_leaks(public_data: Path) -> None:
    with pytest.raises(UserError, match="94 dev items are also in test"):
        load_task(str(public_data / "eval" / "hearsay.json"))
