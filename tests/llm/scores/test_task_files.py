"""Task files: what every format gives, how dev and test are drawn, and one line for whatever is wrong."""

from __future__ import annotations

import csv
import io
import json
import logging
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Item, load_task, render_prompt
from pyswarmopt_llm.scores.tasks.rows import draw_splits
from pyswarmopt_llm.scores.tasks.table import read_table

# A file or another spec, the options, and what `outcome` has to be: checked by eye when added.
CORPUS = Path(__file__).with_name("task_files.jsonl").read_text(encoding="utf-8").splitlines()
MOODS = ("bad", "good", "so so")


def write(path: Path, content: Any) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8", newline="")
    return str(path)


def table(path: Path, header: str, rows: list[list[Any]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([header.split(","), *rows])
    return write(path, buffer.getvalue())


def moods(n: int) -> list[list[str]]:
    rng = random.Random(1)
    return [[f"message {i}", rng.choice(MOODS)] for i in range(n)]


# The corpus


def outcome(case: dict[str, Any]) -> Any:
    """What a case of the corpus gives, in the current folder: the error's line, or the task."""
    spec = case["spec"]
    file = Path(spec.removeprefix("prompts:"))
    if "latin" in case:
        file.write_bytes(case["latin"].encode("latin-1"))
    elif "text" in case or "json" in case:
        write(file, case.get("text", case.get("json")))
    try:
        task = load_task(spec, **case.get("options", {}))
    except UserError as error:
        assert "\n" not in str(error)
        return error.text
    asked = task.dev[0], "likelihood" if task.dev[0].choices else "generate", task.prompt
    return {
        "name": [task.name, task.metric, task.column],
        "note": task.note,
        **{split: list(map(shown, task.split(split))) for split in ("dev", "test", "spare")},
        "asks": render_prompt(*asked),  # type: ignore[arg-type]
        "fingerprint": task.fingerprint[:8],
    }


def shown(item: Item) -> list[Any]:
    return [item.id, item.question, item.choices, item.answer, dict(item.meta), item.plain]


@pytest.mark.parametrize("line", CORPUS, ids=lambda line: json.loads(line)["spec"])
def test_a_file_is_read_or_refused_as_the_corpus_says(
    line: str, tmp_path: Path, here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = json.loads(line)
    with caplog.at_level(logging.WARNING):
        assert outcome(case) == case["outcome"]
    assert caplog.messages == case.get("warns", [])


def test_prompts_beyond_dev_are_spare_and_items_with_options_never(tmp_path: Path) -> None:
    """Of 60 prompts half are drawn for dev, since nobody has to answer them."""
    path = "prompts:" + write(tmp_path / "a.txt", "".join(f"Say {i}.\n" for i in range(60)))
    whole, task = load_task(path), load_task(path, dev=15)
    assert whole.spare == () and task.spare == whole.dev[15:] and len(task.spare) == 15
    assert task.test == whole.test
    assert load_task(table(tmp_path / "mood.csv", "text,label", moods(60)), dev=5).spare == ()


def test_a_short_file_gives_dev_what_training_needs(tmp_path: Path) -> None:
    """Sixty labelled rows: 40 for dev, as before for 120; a third of a longer file."""
    sizes = {
        rows: [len(task.dev), len(task.test)]
        for rows in (24, 60, 120, 150)
        for task in [load_task(table(tmp_path / f"{rows}.csv", "text,label", moods(rows)))]
    }
    assert sizes == {24: [16, 8], 60: [40, 20], 120: [40, 80], 150: [50, 100]}


def test_a_size_beyond_what_is_there_is_told(tmp_path: Path) -> None:
    path = table(tmp_path / "mood.csv", "text,label", moods(60))
    task = load_task(path, dev=41, test=20)
    assert (len(task.dev), len(task.test)) == (40, 20)
    assert "`dev` asks for 41 examples, but there are only 40" in task.note
    assert "asks for" not in load_task(path, dev=40).note + load_task(path).note


# Labels


SPELT = ("Account", "ACCOUNT ", "account.", "sign-up", "Sign up", "RÜCKGABE", "Rückgabe")


def test_spellings_of_a_label_are_one(tmp_path: Path) -> None:
    rows = [[f"message {i}", SPELT[i % 7]] for i in range(70)] + [["a", "Account"], ["b", "n/a"]]
    task = load_task(table(tmp_path / "a.csv", "text,label", rows))
    found = Counter(item.answer_text for item in task.dev + task.test)
    assert found == {"Account": 31, "Sign up": 20, "Rückgabe": 20, "n/a": 1}
    assert "'account.' as 'Account'" in task.note


# Encodings


TEXT = "text;label\r\nGrüße – 5 €;Störung\r\nplain;other\r\nÉTÉ, “CAFÉ”;other\r\n"


def test_a_table_is_read_in_utf_8_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_bytes(TEXT.encode(encoding))
        read = [row.values["text"] for row in read_table(path).rows]
        assert read == ["Grüße – 5 €", "plain", "ÉTÉ, “CAFÉ”"]
    for encoding in ("cp1252", "utf-16", "utf-32"):
        path.write_bytes(TEXT.encode(encoding))
        with pytest.raises(UserError, match="not UTF-8"):
            read_table(path)


def test_a_cell_as_long_as_a_pasted_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\n{'x' * 200_000},a\n")
    assert len(read_table(path).rows[0].values["text"]) == 200_000


# The draw


def items(labels: list[int], questions: list[int]) -> list[Item]:
    choices = {"A": "x", "B": "y", "C": "z"}
    return [
        Item(str(i), f"question {q}", choices, "ABC"[label])
        for i, (label, q) in enumerate(zip(labels, questions, strict=True))
    ]


@settings(max_examples=100)
@given(labels=st.lists(st.integers(0, 2), min_size=6, max_size=60))
def test_each_label_has_its_share_of_dev(labels: list[int]) -> None:
    drawn = draw_splits(items(labels, list(range(len(labels)))), "f", max(1, len(labels) // 3))
    dev, test = (Counter(item.answer for item in split) for split in drawn)
    assert dev.total() == max(1, len(labels) // 3)
    assert dev + test == Counter("ABC"[label] for label in labels)
    assert all(abs(dev[letter] - n / 3) < 2 for letter, n in (dev + test).items())


@settings(max_examples=100)
@given(
    questions=st.lists(st.integers(0, 12), min_size=2, max_size=40).filter(
        lambda found: len(set(found)) > 1
    ),
    data=st.data(),
)
def test_equal_questions_are_on_one_side_whatever_the_order_of_the_rows(
    questions: list[int], data: st.DataObject
) -> None:
    found = items([0] * len(questions), questions)
    assume(min(Counter(questions).values()) <= max(1, len(questions) // 3))
    third = max(1, len(questions) // 3)
    dev, test = draw_splits(found, "f", third)
    assert dev and test and not {item.question for item in dev} & {item.question for item in test}
    again, _ = draw_splits(data.draw(st.permutations(found)), "f", third)
    assert {item.id for item in again} == {item.id for item in dev}


def test_the_test_set_does_not_depend_on_the_sizes(tmp_path: Path) -> None:
    path = table(tmp_path / "mood.csv", "text,label", moods(900))
    task, few, all_dev = (
        load_task(path),
        load_task(path, dev=40, test=100),
        load_task(path, dev=300),
    )
    assert (len(task.dev), len(task.test)) == (200, 600)  # of 300 dev items the default uses 200
    assert few.dev == task.dev[:40] and few.test == task.test[:100]
    shares, whole = (
        Counter(item.answer for item in part) for part in (few.dev, all_dev.dev + task.test)
    )
    assert all(abs(shares[letter] - 40 * n / 900) < 3 for letter, n in whole.items())
    assert not {item.id for item in all_dev.dev} & {item.id for item in task.test}


# Real files


CELLS = st.one_of(
    st.sampled_from(
        ["NaN", "NA", "null", "None", "1e5", "007", "1.0", "2026-01-02", "# no", "True"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff"), min_size=1),
)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5),
    separator=st.sampled_from(",;\t"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_what_is_read_is_what_was_written(
    rows: list[tuple[str, str]],
    separator: str,
    line_end: str,
    encoding: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Text in, text out: nothing becomes a number, a date or a missing value."""
    buffer = io.StringIO(newline="")
    quoted = csv.writer(buffer, delimiter=separator, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    quoted.writerows([("text", "label"), *rows])
    path = tmp_path_factory.mktemp("bytes") / "a.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    assert [tuple(row.values.values()) for row in read_table(path).rows] == rows
