"""Task files: the same content from every format, and one line for everything that can be wrong."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Item, Task, load_task

# the authors' legal domain: dev items that are in test
LEAKY = {"hearsay": 94, "citation_prediction_classification": 48}
OPTIONS = {"A": "Lima", "B": "Quito"}
DEV = {"question": "Capital of Peru?", "choices": OPTIONS, "answer": "A", "id": "p"}
TEST = {"question": "Capital of Ecuador?", "choices": OPTIONS, "answer": "B", "id": "e"}


def write(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def task_file(
    tmp_path: Path, dev: list[Any] | None = None, test: list[Any] | None = None, **top: Any
) -> str:
    dev, test = [DEV] if dev is None else dev, [TEST] if test is None else test
    return write(tmp_path / "mine.json", {"dev": dev, "test": test, **top})


# What is read


def test_reference_json(tmp_path: Path) -> None:
    extra = {**DEV, "domain": "geography", "level": 3, "tags": ["x"], "id": 5}
    task = load_task(task_file(tmp_path, [extra], dataset="capitals", prompt="{question} Well?"))
    assert (task.name, task.prompt) == ("capitals", "{question} Well?")
    meta = {"domain": "geography", "level": "3", "tags": '["x"]'}
    assert task.dev == (Item("5", "Capital of Peru?", OPTIONS, "A", meta),)
    assert task.split("test")[0].answer_text == "Quito"
    shown = load_task(task_file(tmp_path, icl_prompt="Q: {x}"))
    assert shown.prompt == "Q: {{x}}\nQuestion: {question}\n{choices}\nThe answer is"


def test_open_questions_and_missing_ids(tmp_path: Path) -> None:
    rows = [{"question": "1+1?", "answer": 2}, {"question": "2?", "answer": "x"}]
    task = load_task(task_file(tmp_path, rows))
    assert task.name == "mine" and task.note == ""
    assert task.dev == (Item("dev-0", "1+1?", None, "2"), Item("dev-1", "2?", None, "x"))


@pytest.mark.parametrize(
    ("choices", "answer", "letter"),
    [
        (["Lima", "Quito"], "B", "B"),
        (["Lima", "Quito"], "Quito", "B"),
        ({"a": "Lima", "b": "Quito"}, "b", "B"),
        ({"B": "Quito", "A": "Lima"}, "Lima", "A"),
        ({"A": "B", "B": "A"}, "A", "A"),  # the letter wins over the text
        ({"text": ["Lima", "Quito"], "label": ["1", "2"]}, "2", "B"),  # as in ARC
        ({"1": "Lima", "2": "Quito"}, 2, "B"),
    ],
)
def test_forms_of_choices_and_answers(
    tmp_path: Path, choices: Any, answer: Any, letter: str
) -> None:
    (item,) = load_task(task_file(tmp_path, [{**DEV, "choices": choices, "answer": answer}])).dev
    assert list(item.choices or ()) == ["A", "B"]
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
        options = [*OPTIONS.values(), ""]
        row = [split, item["id"], item["question"], *options, item["answer"]]
        writer.writerow([*row, item.get("domain", "")])
    from_csv = load_task(write(tmp_path / "mine.csv", "\ufeff" + buffer.getvalue()))
    assert from_csv.fingerprint == from_jsonl.fingerprint == from_json.fingerprint
    assert from_csv.dev == from_json.dev and from_csv.test == from_json.test


def test_a_conversation_is_a_prompt_after_earlier_turns(tmp_path: Path) -> None:
    turns = [
        {"role": role, "content": text} for role, text in (("system", "Be kind."), ("user", "?"))
    ]
    said = {"role": "assistant", "content": "Yes."}
    rows = [{"messages": [*turns[:1], {**turns[1], "content": f"{i}?"}, said]} for i in range(4)]
    task = load_task(write(tmp_path / "chats.jsonl", "\n".join(map(json.dumps, rows))))
    item = next(item for item in task.dev + task.test if item.question == "2?")
    assert (item.plain, item.answer, item.earlier) == (True, "Yes.", turns[:1])
    rows[1]["messages"].append(said)
    with pytest.raises(UserError, match=r'line 2: "messages" must be turns'):
        load_task(write(tmp_path / "chats.jsonl", "\n".join(map(json.dumps, rows))))


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "C"}, r"mine.json: dev item 1: the answer 'C' is not among the choices A, B"),
        ({"answer": 1}, "the answer 1 is a number.*give the letter"),
        ({"answer": ""}, 'dev item 1: nothing in column "answer"'),
        ({"answer": None}, 'nothing in column "answer"'),
        ({"answer": {}}, "answer must be a text, not an object"),
        ({"question": "  "}, 'nothing in column "question"'),
        ({"question": ["x"]}, "question must be a text, not a list"),
        ({"question": "\ud800"}, "an unpaired surrogate"),
        ({"choices": {"A": "Lima"}}, "1 choice; give at least two"),
        ({"choices": []}, "0 choices?; give at least two"),
        ({"choices": "Lima"}, "choices are an object of letters or a list, not a text"),
        ({"choices": {"A": "Lima", "B": None}}, "choice B must be a text, not null"),
        ({"choices": {"A": "Lima", "B": ""}}, "empty choice B"),
        ({"choices": ["x"] * 27}, "27 choices; at most 26"),
        ({"choices": {"text": ["u"], "label": []}}, "must be two lists of one length"),
        ({"choices": ["Lima", "Lima"], "answer": "Lima"}, "is the text of A and B"),
        ({"id": ["x"]}, "id must be a text"),
        ({"answers": "x"}, '"answers" must be a list of texts'),
    ],
)
def test_bad_items(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_task(task_file(tmp_path, [{**DEV, **change}]))
    assert "\n" not in str(caught.value)


def splits(dev: Any, test: Any = (TEST,), **top: Any) -> dict[str, Any]:
    return {"dev": dev, "test": test, **top}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"dev": [\n  {"question": "x",,}\n]}', "a.json: line 2, column 20: malformed"),
        ("a.json", "", "line 1, column 1: malformed JSON"),
        ("a.json", '{"text": "a"}\n{"text": "b"}', "Extra data; .*rename the file to .jsonl"),
        ("a.json", "[]", "not an object .* or a list of items"),
        ("a.json", {"dev": [DEV], "tests": [TEST]}, r"not an object .*found: dev, tests"),
        ("a.json", {"dev": {}, "test": []}, '"dev" must be a list'),
        ("a.json", splits([]), "a.json: the dev split is empty"),
        ("a.json", splits([DEV], []), "the test split is empty"),
        ("a.json", splits([7]), "dev item 1: an item is an object with .*, not a number"),
        ("a.json", splits([DEV, {"task": "x"}]), 'dev item 2: nothing in column "question"'),
        ("a.json", splits([DEV], prompt=5), '"prompt" must be a text'),
        ("a.json", splits([DEV], prompt="{q}"), r"a.json: unknown placeholder \{q\}"),
        ("a.json", '{"dev": [], "dev": [], "test": []}', '"dev" is given twice'),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", '{"dev": ' + "1" * 5000 + "}", "line 1 or below"),
        (
            "a.json",
            splits([DEV, {**TEST, "id": "p"}]),
            "item 2: the id 'p' is already used.*item 1",
        ),
        ("a.jsonl", '{"split": "dev"}\n{"question": "x"}\n', "no column for the answer"),
        ("a.jsonl", '\n{"split": "train"}', "for the question and the answer .found: split."),
        ("a.jsonl", '{"split": "dev"}\n{"split" "x"}', "line 2, column 10: malformed"),
        ("a.jsonl", "\n\n3\n", "line 3: an item is an object"),
        ("a.jsonl", '{"text": ["a"], "label": "x"}\n{"text": "b", "label": "y"}', "not a list"),
        ("a.jsonl", "", "no rows"),
        ("a.csv", "", "a.csv: no rows"),
        ("a.csv", "body,label\na,x\n", r"found: body, label\); name it: columns question=COLUMN"),
        ("a.csv", "Hi,x\na,y\n", "question=COLUMN,answer=COLUMN .or add a first line"),
        ("a.csv", "question,answer\n", "a.csv: no rows"),
        ("a.csv", "question,answer,split,split\n", 'two columns are named "split"'),
        ("a.csv", "text;label\na;x;y\n", "line 2: more values than columns; .* semicolon in"),
        ("a.csv", "question,answer,split\na,b,dev\nc,d\n", "line 3: split must be"),
        ("a.csv", 'question,answer,split\na,"b"c,dev\n', "line 2: .*check the quotes"),
        ("a.csv", 'question,answer,split\na,"b,dev\n', "line 2: .*check the quotes"),
        ("a.csv", "question,answer,A,B\na,C,x,y\n", "line 2: the answer 'C' is not among"),
        (
            "a.csv",
            "question,answer,A,B\na,1,x,y\n",
            "line 2: the answer '1' is not .*give the letter",
        ),
        ("a.csv", "question,answer,split,A,B\na,A,dev,x,\n", "line 2: 1 choice"),
        ("a.csv", "question,choices,answer\na,u v,A\nb,u v,A\n", "line 2: choices are an object"),
        ("a.csv", "text,label\na,x\nb,\n", 'line 3: nothing in column "label"; fill it in'),
        ("a.csv", "text,label\na,x\nb,x\n", 'column "label": 1 label; at least two'),
        ("a.csv", "text,label\na,yes!\nb,Yes\nc,no", "'Yes' and 'yes!' differ only in case or"),
        ("a.csv", "text,label\na,x\na,y\n", "1 different question; at least two are needed"),
        ("a.csv", b"question,answer,split\nna\xefve,x,dev\n", "line 2: not UTF-8"),
        ("a.txt", "hello", "not a table; give a file that ends in .json, .jsonl, .csv"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: Any, message: str) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write(path, content)
    with pytest.raises(UserError, match=message) as caught:
        load_task(str(path))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("missing.json", "no such task file"),
        ("nobody:knows", "no such task file"),
        (".", "not a table"),
        ("lm-eval:arc_easy", "has no items here"),
    ],
)
def test_files_that_are_none(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_task(spec)


COLUMNS = [
    "dev",
    "test",
    "question",
    "text",
    "label",
    "choices",
    "answer",
    "id",
    "A",
    "B",
    "prompt",
]


@settings(max_examples=300)
@given(
    content=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(COLUMNS), inner)
        ),
        max_leaves=20,
    ),
    ending=st.sampled_from([".json", ".jsonl", ".csv"]),
    by_line=st.booleans(),
    source=st.sampled_from(["", "prompts:"]),
)
def test_any_content_loads_or_is_refused_in_one_line(
    tmp_path: Path, content: Any, ending: str, by_line: bool, source: str
) -> None:
    rows = content if by_line and isinstance(content, list) else [content]
    path = write(tmp_path / f"any{ending}", "\n".join(map(json.dumps, rows)))
    try:
        assert isinstance(load_task(f"{source}{path}"), Task)
    except UserError as e:
        assert len(str(e).splitlines()) == 1


# Bad rows


BAD = "text,label,split\n" + "".join(
    f"q{i},{'xy'[i % 2]},{'dev' if i % 3 else 'test'}\n" for i in range(12)
)


def test_all_bad_rows_are_listed_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", BAD + "q12,,dev\n,x,dev\nq14,x,train\nq15,x,dev\n")
    with pytest.raises(UserError) as caught:
        load_task(path)
    assert str(caught.value) == (
        f'{path}: 3 bad rows: line 14: nothing in column "label"; line 15: nothing in column '
        '"text"; line 16: split must be "dev" or "test", not \'train\'; mend them, or leave out '
        "with skip_bad_rows"
    )
    write(tmp_path / "a.csv", BAD + ",x,dev\n" * 30)
    with pytest.raises(UserError, match=r"30 bad rows: line 14: .* line 33: [^;]*; and 10 more; m"):
        load_task(path)


def test_bad_rows_can_be_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", BAD + "q12,,dev\n,x,dev\n")
    task = load_task(path, skip_bad_rows=True)
    assert (len(task.dev), len(task.test)) == (8, 4)
    assert "2 of 14 rows left out (line 14, line 15)" in task.note
    with pytest.raises(UserError, match="none of 2 rows is left"):
        load_task(write(tmp_path / "a.csv", "text,label\n,x\n,y\n"), skip_bad_rows=True)
    path = task_file(tmp_path, [DEV, {"question": "x", "answer": ""}, {}])
    with pytest.raises(UserError, match=r"2 bad rows: dev item 2: nothing.*; dev item 3: nothing"):
        load_task(path)
    assert "(dev item 2, dev item 3)" in load_task(path, skip_bad_rows=True).note


# Dev and test


def test_questions_in_both_splits_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leaked = {**DEV, "question": "  capital of PERU", "id": "other"}
    path = task_file(tmp_path, [TEST, DEV], [leaked])
    for dev in (None, 1):  # of the whole file, whatever part of it is used
        with pytest.raises(UserError, match=r"1 dev items are also .* the id 'p'\).*allow_overlap"):
            load_task(path, dev=dev)
    with caplog.at_level(logging.WARNING):
        assert len(load_task(path, allow_overlap=True).dev) == 2
    assert "1 dev items are also in test" in caplog.text


def test_the_same_question_about_other_options_is_another_item_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    turned = {**DEV, "choices": ["Quito", "Lima"], "answer": "B"}
    dev = [DEV, {**DEV, "id": "again"}, {**TEST, "id": "more"}]
    others = [turned, {**TEST, "choices": {"A": "Cusco", "B": "Quito"}}]
    with caplog.at_level(logging.WARNING):
        load_task(task_file(tmp_path, dev, others))
    assert "1 of 3 dev items repeat another" in caplog.text
    assert "2 dev items are also in test with their options in another order" in caplog.text
    assert "1 dev items are also in test, with the same answer among other" in caplog.text


def test_ids_are_unique_in_a_split_and_in_a_source_of_hellaswag(tmp_path: Path) -> None:
    task = load_task(task_file(tmp_path, [DEV], [{**TEST, "id": "p"}]))
    assert task.dev[0].id == task.test[0].id == "p"
    caption, how_to = {**DEV, "id": 1}, {**DEV, "question": "[header] How to iron", "id": 1}
    load_task(task_file(tmp_path, [caption, how_to], dataset="hellaswag"))
    for item, name in ((how_to, "mine"), ({**how_to, "question": "No."}, "hellaswag")):
        with pytest.raises(UserError, match="the id '1' is already used"):
            load_task(task_file(tmp_path, [caption, item], dataset=name))


def test_limits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    questions = [{"question": f"What is {i}?", "answer": str(i)} for i in range(8)]
    path = task_file(tmp_path, questions[:5], questions[5:])
    few = load_task(path, dev=2)
    assert [i.answer for i in few.dev] == ["0", "1"] and len(few.test) == 3 and few.left == 0
    assert [i.answer for i in few.spare] == ["2", "3", "4"]
    assert [i.answer for i in load_task(path, test=1).test] == ["5"]
    with caplog.at_level(logging.WARNING):
        assert len(load_task(path, dev=50).dev) == 5
    assert "50 dev items requested, only 5 available" in caplog.text
    with pytest.raises(UserError, match="dev 0: at least one"):
        load_task(path, dev=0)
    with pytest.raises(ValueError, match="dev, test and spare, not 'train'"):
        load_task(path).split("train")


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    task = load_task(task_file(tmp_path))
    elsewhere = json.dumps({"test": [TEST], "dev": [DEV]}, indent=4)
    again = load_task(write(tmp_path / "elsewhere.json", elsewhere))
    assert len(task.fingerprint) == 64 and task.fingerprint == again.fingerprint
    changes: list[dict[str, Any]] = [{"id": "q"}, {"question": "?"}, {"answer": "B"}]
    changes += [{"choices": {"A": "Lima", "B": "x"}}, {"meta": {"a": "b"}}]
    prints = {
        replace(task, dev=(replace(task.dev[0], **change),), fingerprint="").fingerprint
        for change in changes
    }
    swapped = replace(task, dev=task.test, test=task.dev, fingerprint="").fingerprint
    assert len({task.fingerprint, swapped, *prints}) == 7


# Prompts without answers


PROMPTS = {
    "a.txt": "Why?\n\n  Who is it?\nWhen?\n",
    "a.csv": "prompt,tone\nWhy?,warm\nWho is it?,\nWhen?,cold\n",
    "b.csv": "question,answer\nWhy?,because\nWho is it?,\nWhen?,now\n",
    "a.jsonl": '{"prompt": "Why?"}\n\n{"prompt": "Who is it?", "n": 3}\n{"prompt": "When?"}\n',
    "a.json": '[{"question": "Why?"}, {"question": "Who is it?"}, {"question": "When?"}]',
    "b.json": '["Why?", "Who is it?", "When?"]',
}


@pytest.mark.parametrize("name", PROMPTS)
def test_each_format_gives_the_same_prompts_verbatim(tmp_path: Path, name: str) -> None:
    task = load_task("prompts:" + write(tmp_path / name, PROMPTS[name]))
    items = {item.id: item for item in task.dev + task.test}
    assert [items[i].question for i in "123"] == ["Why?", "Who is it?", "When?"]
    assert all(item.plain for item in items.values()) and task.name == name[0]
    assert "drawn from its 3 prompts with split seed 0" in task.note
    if name == "a.csv":
        assert items["1"].meta == {"tone": "warm"} and items["2"].meta == {}
    if name == "b.csv":
        assert [items[i].answer for i in "123"] == ["because", "", "now"]


def test_prompts_of_other_names_and_splits(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "ask,part,split\nWhy?,x,dev\nWho?,y,test\n")
    task = load_task(f"prompts:{path}", columns=["question=ask"])
    assert [item.question for item in task.dev] == ["Why?"] and task.test[0].meta == {"part": "y"}
    assert not task.note


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "\n \n", "no rows"),
        ("a.txt", "Why?\n", "1 different question;"),
        ("a.txt", "Why?\nWho?\n\nWhy?\n", "line 4: the same prompt as line 1"),
        ("a.csv", "prompt,n\nWhy?,1\n,2\nWho?,3\n", 'line 3: nothing in column "prompt"'),
        ("a.jsonl", '{"prompt": "Why?"}\n{"prompt": ""}\n{"prompt": " "}', "2 bad rows: line 2"),
        ("a.csv", "words,n\nWhy?,1\n", r"no column for the question \(found: words, n\)"),
        ("a.csv", "prompt,split\nWhy?,train\nWho?,test\n", "line 2: split must be"),
        ("a.pdf", "Why?", "not a table"),
    ],
)
def test_bad_prompts(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        load_task("prompts:" + write(tmp_path / name, text))
    assert name in str(error.value) and "\n" not in str(error.value)


def test_prompts_beyond_dev_are_spare_and_items_with_options_never(tmp_path: Path) -> None:
    """Of 60 prompts half are drawn for dev, since nobody has to answer them."""
    path = "prompts:" + write(tmp_path / "a.txt", "".join(f"Say {i}.\n" for i in range(60)))
    whole, task = load_task(path), load_task(path, dev=15)
    assert whole.spare == () and task.spare == whole.dev[15:] and len(task.spare) == 15
    assert task.test == whole.test
    rows = "text,label\n" + "".join(f"message {i},{'ab'[i % 2]}\n" for i in range(60))
    assert load_task(write(tmp_path / "mood.csv", rows), dev=5).spare == ()


# Real files


def test_public_files_load() -> None:
    """Those beside the checkout, and the authors' 33 in one of theirs that MODEL_SWARM names."""
    folders = [Path(__file__).resolve().parents[4] / "shared" / "data"]
    folders += [Path(os.environ["MODEL_SWARM"]) / "data"] if "MODEL_SWARM" in os.environ else []
    paths = [path for folder in folders for path in sorted(folder.glob("*/*.json"))]
    if not paths:
        pytest.skip("the public data sets are not at hand")
    for path in paths:
        if leaked := LEAKY.get(path.stem):
            with pytest.raises(UserError, match=f"{leaked} dev items are also in test"):
                load_task(str(path))
        task, content = (
            load_task(str(path), allow_overlap=bool(leaked)),
            json.loads(path.read_text()),
        )
        for split in ("dev", "test"):
            found, stored = task.split(split), content[split]
            asked = [(row.get("question") or row["prompt"]).strip() for row in stored]
            assert [item.question for item in found] == asked
            right = [str(row.get("answer", "")).strip() for row in stored]
            assert [item.answer for item in found] == right
            assert [item.plain for item in found] == ["prompt" in row for row in stored]
            assert [item.choices for item in found] == [
                {k: v.strip() for k, v in row["choices"].items()} if "choices" in row else None
                for row in stored
            ]
