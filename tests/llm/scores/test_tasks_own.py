"""A user's own table without a split: how it is read, and how dev and test are drawn."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.metrics.questions.answer_format import possible_scorings
from pyswarmopt_llm.scores.tasks import Item, Task, load_task, render_prompt
from pyswarmopt_llm.scores.tasks.draw import draw_splits

MOODS = ("bad", "good", "so so")


def moods(n: int = 60) -> list[list[str]]:
    rng = random.Random(1)
    return [[f"message {i}", rng.choice(MOODS)] for i in range(n)]


def table(
    path: Path, header: list[str], rows: list[list[Any]], separator: str = ",", start: str = ""
) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=separator).writerows([header, *rows])
    path.write_text(start + buffer.getvalue(), encoding="utf-8", newline="")
    return str(path)


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def answers(task: Task) -> dict[str, str]:
    return {item.question: item.answer_text for item in task.dev + task.test}


# What is read


def test_labels_are_the_choices_of_every_item(tmp_path: Path) -> None:
    task = load_task(table(tmp_path / "mood.csv", ["text", "label"], moods()))
    assert answers(task) == dict(moods())
    assert {tuple(item.choices.items()) for item in task.dev + task.test if item.choices} == {
        (("A", "bad"), ("B", "good"), ("C", "so so"))
    }
    assert (len(task.dev), len(task.test)) == (20, 40)
    assert task.note == (
        f"{tmp_path / 'mood.csv'} names no split: 20 dev and 40 test items drawn from its 60 rows "
        "with split seed 0, "
        "stratified by answer; its 3 labels are the choices"
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_byte_order_marks_and_line_breaks_in_quotes(
    tmp_path: Path, separator: str
) -> None:
    rows = [[f'He said:\r\n"{i}, {i}; or\t{i}?"', MOODS[i % 3]] for i in range(12)]
    task = load_task(table(tmp_path / "own.csv", ["text", "label"], rows, separator, "\ufeff"))
    assert answers(task) == dict(rows)


def test_a_table_of_options_is_read_with_letters_and_texts(tmp_path: Path) -> None:
    right = {f"What is {i}?": "ABCD"[i % 4] for i in range(12)}
    options = {question: [f"{letter} of {question}" for letter in "uvwx"] for question in right}
    texts = {q: options[q]["ABCD".index(letter)] for q, letter in right.items()}
    for answer in (right, texts):
        rows = [[question, *options[question], answer[question]] for question in right]
        path = table(tmp_path / "m.csv", ["question", *"ABCD", "answer"], rows)
        assert answers(load_task(path)) == texts
        listed = [{"sentence": q, "choices": options[q], "answer": answer[q]} for q in right]
        assert answers(load_task(lines(tmp_path / "m.jsonl", listed))) == texts


def test_a_row_may_have_fewer_options(tmp_path: Path) -> None:
    rows = [["q0", "u", "v", "w", "C"], ["q1", "u", "v", "", "B"], ["q2", "u", "v", "w", "A"]]
    task = load_task(table(tmp_path / "o.csv", ["question", *"ABC", "answer"], rows))
    assert {item.question: len(item.choices or {}) for item in task.dev + task.test} == {
        "q0": 3,
        "q1": 2,
        "q2": 3,
    }


def test_answer_comes_before_label(tmp_path: Path) -> None:
    rows = [[f"q{i}", f"a{i}", "x"] for i in range(4)]
    task = load_task(table(tmp_path / "both.csv", ["question", "answer", "label"], rows))
    assert answers(task) == {row[0]: row[1] for row in rows}


def test_answers_that_are_no_labels_are_written(tmp_path: Path) -> None:
    rows = [[f"What is {i} + {i}?", 2 * i] for i in range(9)]
    task = load_task(table(tmp_path / "sums.csv", ["question", "answer"], rows))
    assert {item.choices for item in task.dev + task.test} == {None}
    assert task.note.endswith(
        'with split seed 0; answers are written, since there are no choices and no column "label"'
    )


def test_labels_are_told_by_their_name_and_not_guessed(tmp_path: Path) -> None:
    rows = [[f"Is {i} even?", "yes" if i % 2 == 0 else "no"] for i in range(20)]
    path = table(tmp_path / "even.csv", ["question", "answer"], rows)
    assert {item.choices for item in load_task(path).dev} == {None}
    assert load_task(path, columns=["label=answer"]).dev[0].choices == {"A": "no", "B": "yes"}


def test_prompts_without_answers_are_drawn_too(tmp_path: Path) -> None:
    task = load_task(
        lines(tmp_path / "p.jsonl", [{"prompt": f"Write about {i}."} for i in range(9)])
    )
    assert (len(task.dev), len(task.test), task.dev[0].plain) == (3, 6, True)


def test_more_labels_than_letters_are_scored_by_likelihood(tmp_path: Path) -> None:
    rows = [[f"message {i}", f"intent {i % 77:02}"] for i in range(231)]
    task = load_task(table(tmp_path / "intents.csv", ["text", "label"], rows))
    assert answers(task) == dict(rows)
    choices = task.dev[0].choices or {}
    assert (len(choices), next(iter(choices)), list(choices)[-1]) == (77, "AA", "CY")
    assert possible_scorings("auto", task.dev) == ("likelihood",)
    with pytest.raises(
        UserError, match="scoring letter: 77 options, of which 26 can be lettered; use likelihood"
    ):
        possible_scorings("letter", task.dev)


# --columns, --template


def test_columns_are_named_by_the_user(tmp_path: Path) -> None:
    rows = [[i, "x", text, mood] for i, (text, mood) in enumerate(moods())]
    path = table(tmp_path / "mood.csv", ["nr", "question", "body of mail", "feeling"], rows)
    task = load_task(path, columns=["question=body of mail", "label=feeling", "id=nr"])
    assert answers(task) == dict(moods())
    assert task.dev[0].meta == {} and task.dev[0].id.isdigit()
    same = lines(
        tmp_path / "mood.jsonl",
        [
            dict(zip(("nr", "body of mail", "feeling"), (str(r[0]), *r[2:]), strict=True))
            for r in rows
        ],
    )
    assert (
        load_task(same, columns=["question=body of mail", "label=feeling", "id=nr"]).fingerprint
        == task.fingerprint
    )


def test_columns_of_a_file_with_splits(tmp_path: Path) -> None:
    rows = [[text, mood, "dev" if i < 12 else "test"] for i, (text, mood) in enumerate(moods())]
    task = load_task(
        table(tmp_path / "m.csv", ["t", "m", "part"], rows),
        columns=["question=t", "label=m", "split=part"],
    )
    assert [item.question for item in task.dev] == [row[0] for row in rows[:12]]
    assert task.note == f"{tmp_path / 'm.csv'}: its 3 labels are the choices"
    content = {
        split: [{"t": r[0], "m": r[1]} for r in rows if r[2] == split] for split in ("dev", "test")
    }
    (tmp_path / "m.json").write_text(json.dumps({**content, "prompt": "{question}?"}))
    nested = load_task(str(tmp_path / "m.json"), columns=["question=t", "label=m"])
    assert answers(nested) == answers(task) and nested.prompt == "{question}?"


def test_a_template_replaces_the_prompt(tmp_path: Path) -> None:
    path = table(tmp_path / "mood.csv", ["text", "label"], moods())
    task = load_task(path, template="{question}\nMood:")
    assert render_prompt(task.dev[0], "likelihood", task.prompt) == f"{task.dev[0].question}\nMood:"
    assert load_task(path, template=["mood={question}!"]).prompt == "{question}!"
    for template, message in (
        ("{text}", "unknown placeholder"),
        ("x={question}", "no task is called x; choose one of: mood"),
    ):
        with pytest.raises(UserError, match=message):
            load_task(path, template=template)


def test_numbered_labels_get_names(tmp_path: Path) -> None:
    rows = [{"sentence": f"film {i}", "label": i % 3 - 1} for i in range(30)]
    path = lines(tmp_path / "film.jsonl", rows)
    assert "name them with `columns` -1=NAME,0=NAME,..." in load_task(path).note
    task = load_task(path, columns=["-1=bad", "0=so so", "1=good"])
    assert answers(task) == {
        row["sentence"]: ("bad", "so so", "good")[i % 3] for i, row in enumerate(rows)
    }
    assert (
        task.note.endswith("its 3 labels are the choices") and "stratified by answer" in task.note
    )
    halves = [{**row, "split": "dev" if i < 9 else "test"} for i, row in enumerate(rows)]
    split = lines(tmp_path / "split.jsonl", halves)
    assert load_task(split, columns=["-1=bad", "0=so so", "1=good"]).dev[0].answer_text == "bad"
    with pytest.raises(
        UserError, match="line 3: the label '1' has no name in columns -1=bad,0=so so; add 1=NAME"
    ):
        load_task(path, columns=["-1=bad", "0=so so"])
    options = table(
        tmp_path / "o.csv",
        ["question", "A", "B", "answer"],
        [["q", "u", "v", "A"], ["r", "u", "v", "B"]],
    )
    with pytest.raises(UserError, match=r"columns 0: names labels, but .* has options; remove it"):
        load_task(options, columns=["0=bad"])


def test_a_template_takes_other_columns_by_name(tmp_path: Path) -> None:
    rows = [
        {
            "premise": f"It rains on {i} days.",
            "hypothesis": f"Day {i} is wet, I say.",
            "label": "yn"[i % 2],
        }
        for i in range(12)
    ]
    path = lines(tmp_path / "nli.jsonl", rows)
    plain = load_task(path, columns=["question=premise"])
    assert plain.note.endswith("; not in the prompt: hypothesis (add {hypothesis} to `template`)")
    task = load_task(path, columns=["question=premise"], template="{question}\nSo: {hypothesis}")
    assert "not in the prompt" not in task.note
    texts = {render_prompt(item, "likelihood", task.prompt) for item in task.dev + task.test}
    assert texts == {f"{row['premise']}\nSo: {row['hypothesis']}" for row in rows}
    with pytest.raises(
        UserError, match=r"unknown placeholder \{premise\}.* \{choices\} and \{hypothesis\}"
    ):
        load_task(path, columns=["question=premise"], template="{question} {premise}")
    content = {
        split: [{"question": "q" + split, "answer": "x", "fact": "f"}] for split in ("dev", "test")
    }
    own = tmp_path / "own.json"
    own.write_text(json.dumps({**content, "prompt": "{fact}: {question}"}))
    assert (
        render_prompt(load_task(str(own)).dev[0], "generate", load_task(str(own)).prompt)
        == "f: qdev"
    )


def test_further_right_answers_cannot_be_shown_by_a_template(tmp_path: Path) -> None:
    texts = [[f"a {i}", f"b {i}", f"a {i}"] for i in range(9)]
    rows = [{"id": f"{i}", "question": f"who {i}?", "answer": text} for i, text in enumerate(texts)]
    path = lines(tmp_path / "several.jsonl", rows)
    task = load_task(path)
    found = {item.question: item.references for item in task.dev + task.test}
    assert found == {f"who {i}?": text[:2] for i, text in enumerate(texts)}
    with pytest.raises(UserError, match="unknown placeholder"):
        load_task(path, template="{question} {answers}")


def test_true_and_false_are_labels_where_told_and_options_are_named_one_by_one(
    tmp_path: Path,
) -> None:
    rows: list[dict[str, Any]] = [
        {"question": f"is it {i}?", "answer": i % 2 == 0} for i in range(20)
    ]
    task = load_task(lines(tmp_path / "boolq.jsonl", rows), columns=["label=answer"])
    assert answers(task) == {row["question"]: str(row["answer"]).lower() for row in rows}
    assert task.dev[0].choices == {"A": "false", "B": "true"}
    header = ["question", "ending0", "ending1", "right"]
    options = [[f"q{i}", f"u {i}", f"v {i}", "AB"[i % 2]] for i in range(12)]
    path = table(tmp_path / "o.csv", header, options)
    found = answers(load_task(path, columns=["A=ending0", "B=ending1", "answer=right"]))
    assert found == {f"q{i}": f"{'uv'[i % 2]} {i}" for i in range(12)}


# The draw


def items(labels: list[int], questions: list[int]) -> list[tuple[str, Item]]:
    choices = {"A": "x", "B": "y", "C": "z"}
    pairs = enumerate(zip(labels, questions, strict=True))
    return [
        (f"line {i}", Item(str(i), f"question {q}", choices, "ABC"[label]))
        for i, (label, q) in pairs
    ]


@settings(max_examples=100)
@given(labels=st.lists(st.integers(0, 2), min_size=6, max_size=60), seed=st.integers(0, 5))
def test_each_label_has_its_share_of_dev(labels: list[int], seed: int) -> None:
    splits, _ = draw_splits(items(labels, list(range(len(labels)))), seed, "f")
    drawn = {split: Counter(item.answer for _, item in own) for split, own in splits.items()}
    assert len(splits["dev"]) == max(1, len(labels) // 3)
    assert drawn["dev"] + drawn["test"] == Counter("ABC"[label] for label in labels)
    for letter, n in (drawn["dev"] + drawn["test"]).items():
        assert abs(drawn["dev"][letter] - n / 3) < 2


@settings(max_examples=100)
@given(
    questions=st.lists(st.integers(0, 12), min_size=2, max_size=40).filter(
        lambda found: len(set(found)) > 1
    ),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_equal_questions_are_on_one_side_whatever_the_order_of_the_rows(
    questions: list[int], seed: int, data: st.DataObject
) -> None:
    found = items([0] * len(questions), questions)
    splits, _ = draw_splits(found, seed, "f")
    sides = {split: {item.question for _, item in own} for split, own in splits.items()}
    assert sides["dev"] and sides["test"] and not sides["dev"] & sides["test"]
    again, _ = draw_splits(data.draw(st.permutations(found)), seed, "f")
    assert {item.id for _, item in again["dev"]} == {item.id for _, item in splits["dev"]}


def test_one_question_about_different_options_is_many_items(tmp_path: Path) -> None:
    rows = [["Which is right?", f"u{i}", f"v{i}", "AB"[i % 2]] for i in range(12)]
    task = load_task(table(tmp_path / "w.csv", ["question", "A", "B", "answer"], rows))
    assert (len(task.dev), len(task.test)) == (4, 8)


def test_domains_are_strata(tmp_path: Path) -> None:
    rows = [[f"q{i}", f"a{i}", "law" if i < 6 else "art"] for i in range(60)]
    task = load_task(table(tmp_path / "d.csv", ["question", "answer", "domain"], rows))
    assert 1 <= Counter(item.meta["domain"] for item in task.dev)["law"] <= 3
    assert "stratified by domain" in task.note


def test_the_test_set_depends_on_the_split_seed_and_on_nothing_else(tmp_path: Path) -> None:
    path = table(tmp_path / "mood.csv", ["text", "label"], moods(900))
    task = load_task(path)
    assert (len(task.dev), len(task.test)) == (200, 600)  # of 300 dev items the default uses 200
    assert load_task(path).fingerprint == task.fingerprint
    few = load_task(path, dev=40, test=100)
    assert few.dev == task.dev[:40] and few.test == task.test[:100]
    shares = Counter(item.answer for item in few.dev)
    assert all(
        abs(shares[letter] - 40 * n / 900) < 3
        for letter, n in Counter(
            item.answer for item in [*load_task(path, dev=300).dev, *task.test]
        ).items()
    )
    other = load_task(path, split_seed=1)
    assert other.fingerprint != task.fingerprint and "split seed 1" in other.note
    assert not {item.id for item in load_task(path, dev=300).dev} & {item.id for item in task.test}


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (lambda i: f"intent {i % 201}", "201 different labels.* at most 200 can be choices"),
        (
            lambda i: f"It was {i} o'clock.",
            "603 different labels in 603 rows look like free text.*call the column",
        ),
    ],
)
def test_labels_that_cannot_be_choices(tmp_path: Path, label: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_task(
            table(tmp_path / "i.csv", ["text", "label"], [[f"t{i}", label(i)] for i in range(603)])
        )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["question"], "columns question: write question=COLUMN"),
        (["qestion=text"], "columns 'qestion'|columns qestion.*question"),
        (
            ["question=txt"],
            r'no column "txt" \(columns question=txt; found: text, label\); did you mean "text"',
        ),
        (["question=text", "question=label"], "question is given twice"),
    ],
)
def test_bad_columns(tmp_path: Path, columns: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_task(table(tmp_path / "m.csv", ["text", "label"], moods()), columns=columns)
    with pytest.raises(UserError, match=r"builtin:kinship has no columns to name|columns"):
        load_task("builtin:kinship", columns=columns)
