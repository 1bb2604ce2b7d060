"""Task files: what every format gives, how dev and test are drawn, and one line for whatever is wrong."""

from __future__ import annotations

import csv
import io
import json
import logging
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Item, Task, load_task, render_prompt
from pyswarmopt_llm.scores.tasks.answers import is_correct
from pyswarmopt_llm.scores.tasks.draw import draw_splits
from pyswarmopt_llm.scores.tasks.table import read_table

# A file or another spec, the options, and what `outcome` has to be: checked by eye when added.
CORPUS = Path(__file__).with_name("task_files.jsonl").read_text(encoding="utf-8").splitlines()
OPTIONS = {"A": "Lima", "B": "Quito"}
DEV = {"question": "Capital of Peru?", "choices": OPTIONS, "answer": "A", "id": "p"}
TEST = {"question": "Capital of Ecuador?", "choices": OPTIONS, "answer": "B", "id": "e"}
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
        return re.sub(r"; all are listed in \S+\.txt", "", error.text)
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


COLUMNS = "dev test question text label choices answer id A B prompt messages".split()


@settings(max_examples=100)
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


def test_three_formats_say_the_same(tmp_path: Path) -> None:
    quoted = {**DEV, "question": 'He said:\n"Peru, is it?"', "domain": "x"}
    from_json = load_task(write(tmp_path / "mine.json", {"dev": [quoted], "test": [TEST]}))
    lines = [{**quoted, "split": "dev"}, {**TEST, "split": "test"}]
    from_jsonl = load_task(write(tmp_path / "mine.jsonl", "\n\n".join(map(json.dumps, lines))))
    rows = [
        [item["split"], item["id"], item["question"], *OPTIONS.values(), "", item["answer"], extra]
        for item, extra in zip(lines, ("x", ""), strict=True)
    ]
    from_csv = load_task(
        table(tmp_path / "mine.csv", "split,id,question,A,B,C,answer,domain", rows)
    )
    assert from_csv.fingerprint == from_jsonl.fingerprint == from_json.fingerprint
    assert from_csv.dev == from_json.dev and from_csv.test == from_json.test


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    task = load_task(write(tmp_path / "a.json", {"dev": [DEV], "test": [TEST]}))
    again = load_task(write(tmp_path / "b.json", {"test": [TEST], "dev": [DEV]}))
    assert len(task.fingerprint) == 64 and task.fingerprint == again.fingerprint
    changes: list[dict[str, Any]] = [{"id": "q"}, {"question": "?"}, {"answer": "B"}]
    changes += [{"choices": {"A": "Lima", "B": "x"}}, {"meta": {"a": "b"}}]
    prints = {
        replace(task, dev=(replace(task.dev[0], **change),), fingerprint="").fingerprint
        for change in changes
    }
    swapped = replace(task, dev=task.test, test=task.dev, fingerprint="").fingerprint
    assert len({task.fingerprint, swapped, *prints}) == 7
    with pytest.raises(ValueError, match="dev, test, spare, not 'train'"):
        task.split("train")


def test_prompts_beyond_dev_are_spare_and_items_with_options_never(tmp_path: Path) -> None:
    """Of 60 prompts half are drawn for dev, since nobody has to answer them."""
    path = "prompts:" + write(tmp_path / "a.txt", "".join(f"Say {i}.\n" for i in range(60)))
    whole, task = load_task(path), load_task(path, dev=15)
    assert whole.spare == () and task.spare == whole.dev[15:] and len(task.spare) == 15
    assert task.test == whole.test
    assert load_task(table(tmp_path / "mood.csv", "text,label", moods(60)), dev=5).spare == ()


# Labels


def test_labels_are_the_choices_of_every_item(tmp_path: Path) -> None:
    task = load_task(table(tmp_path / "mood.csv", "text,label", moods(60)))
    assert {item.question: item.answer_text for item in task.dev + task.test} == dict(moods(60))
    assert all(item.choices == dict(zip("ABC", MOODS, strict=True)) for item in task.dev)
    counts = Counter(label for _, label in moods(60)).most_common()
    listed = ", ".join(f"{label} {count}" for label, count in counts)
    assert task.note.endswith(f"stratified by answer; its 3 labels are the choices: {listed}")


SPELT = ("Account", "ACCOUNT ", "account.", "sign-up", "Sign up", "RÜCKGABE", "Rückgabe")


def test_spellings_of_a_label_are_one(tmp_path: Path) -> None:
    rows = [[f"message {i}", SPELT[i % 7]] for i in range(70)] + [["a", "Account"], ["b", "n/a"]]
    task = load_task(table(tmp_path / "a.csv", "text,label", rows))
    found = Counter(item.answer_text for item in task.dev + task.test)
    assert found == {"Account": 31, "Sign up": 20, "Rückgabe": 20, "n/a": 1}
    assert "'account.' as 'Account'" in task.note
    assert "once only: 'n/a'" in task.note


def test_all_faults_of_rows_and_labels_are_one_line(tmp_path: Path) -> None:
    rows = [{"text": str(i), "label": str(i % 3)} for i in range(12)]
    rows += [{"text": "", "label": "0"}, {"text": "b", "label": ["0", "1"]}]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(UserError) as caught:
        load_task(str(path), columns=("0=bad", "1=good"))
    faults = ("6 bad rows", "label '2' has no name", "nothing in column", "several labels, 0, 1")
    assert all(fault in str(caught.value) for fault in faults)


# Encodings


TEXT = "text;label\r\nGrüße – 5 €;Störung\r\nplain;other\r\nÉTÉ, “CAFÉ”;other\r\n"


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8", "utf-8-sig"])
def test_a_table_is_read_in_the_encodings_of_windows(
    encoding: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.encode(encoding))
    read = read_table(path)
    assert [row.values["text"] for row in read.rows] == ["Grüße – 5 €", "plain", "ÉTÉ, “CAFÉ”"]
    told = [message for message in caplog.messages if "read as" in message]
    assert len(told) == (encoding in ("cp1252", "utf-16"))


def test_damaged_utf_8_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.encode().replace("–".encode(), "–".encode()[:2]))
    with pytest.raises(UserError, match="line 2: not UTF-8"):
        read_table(path)


def test_a_value_that_pandas_wrote_as_missing_is_none(tmp_path: Path) -> None:
    """`json.dumps` of a row with a gap: NaN, which is no answer and no label."""
    rows = [{"question": f"q{i}", "answer": "a" if i else float("nan")} for i in range(12)]
    for name in ("rows.json", "rows.jsonl"):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        path = write(tmp_path / name, lines if name.endswith("l") else rows)
        with pytest.raises(UserError, match=r"nothing in column \"answer\""):
            load_task(path)
        task = load_task(path, skip_bad_rows=True)
        assert {item.answer for item in (*task.dev, *task.test)} == {"a"}


# The draw


def items(labels: list[int], questions: list[int]) -> list[Item]:
    choices = {"A": "x", "B": "y", "C": "z"}
    return [
        Item(str(i), f"question {q}", choices, "ABC"[label])
        for i, (label, q) in enumerate(zip(labels, questions, strict=True))
    ]


@settings(max_examples=100)
@given(labels=st.lists(st.integers(0, 2), min_size=6, max_size=60), seed=st.integers(0, 5))
def test_each_label_has_its_share_of_dev(labels: list[int], seed: int) -> None:
    *drawn, _ = draw_splits(items(labels, list(range(len(labels)))), seed, "f", 3)
    dev, test = (Counter(item.answer for item in split) for split in drawn)
    assert dev.total() == max(1, len(labels) // 3)
    assert dev + test == Counter("ABC"[label] for label in labels)
    assert all(abs(dev[letter] - n / 3) < 2 for letter, n in (dev + test).items())


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
    dev, test, _ = draw_splits(found, seed, "f", 3)
    assert dev and test and not {item.question for item in dev} & {item.question for item in test}
    again, *_ = draw_splits(data.draw(st.permutations(found)), seed, "f", 3)
    assert {item.id for item in again} == {item.id for item in dev}


def test_the_test_set_depends_on_the_split_seed_and_on_nothing_else(tmp_path: Path) -> None:
    path = table(tmp_path / "mood.csv", "text,label", moods(900))
    task, few, all_dev = (
        load_task(path),
        load_task(path, dev=40, test=100),
        load_task(path, dev=300),
    )
    assert (len(task.dev), len(task.test)) == (200, 600)  # of 300 dev items the default uses 200
    assert few.dev == task.dev[:40] and few.test == task.test[:100] and few.left == 500
    shares, whole = (
        Counter(item.answer for item in part) for part in (few.dev, all_dev.dev + task.test)
    )
    assert all(abs(shares[letter] - 40 * n / 900) < 3 for letter, n in whole.items())
    other = load_task(path, split_seed=1)
    assert other.fingerprint != task.fingerprint and "split seed 1" in other.note
    assert not {item.id for item in all_dev.dev} & {item.id for item in task.test}


def test_labels_that_are_numbers_in_some_rows_and_words_in_others_are_told_and_joined(
    tmp_path: Path,
) -> None:
    """1 and "1" are one label in JSON; "good" is what 1 means once that is said."""
    labels = [0, 1, "1", "good", "Bad"] * 3
    rows = [{"text": f"message {i}", "label": label} for i, label in enumerate(labels)]
    path = write(tmp_path / "mood.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    mixed = load_task(path)
    assert "choices: 1 6, " in mixed.note
    assert mixed.note.endswith("name the numbers with `columns` 0=NAME,1=NAME")
    task = load_task(path, columns=["0=bad", "1=good"])
    assert list((task.dev[0].choices or {}).values()) == ["bad", "good"]
    means = {"0": "bad", "1": "good", "good": "good", "Bad": "bad"}
    found = {item.question: item.answer_text for item in (*task.dev, *task.test)}
    assert found == {row["text"]: means[str(row["label"])] for row in rows}
    with pytest.raises(UserError, match="label 'Bad' has no name in"):
        load_task(path, columns=["0=poor", "1=good"])


@pytest.mark.parametrize("answer", ["A", "C", "c", "six"])
def test_a_choice_given_twice_is_one_choice_and_either_letter_is_right(
    answer: str, tmp_path: Path
) -> None:
    """As in MMLU, where A and B are both "60,000,000"."""
    choices = {"A": "six", "B": "five", "C": " six", "D": "nine"}
    twice = {"question": "3 + 3?", "choices": choices, "answer": answer}
    task = load_task(write(tmp_path / "t.json", {"dev": [twice], "test": [TEST]}))
    item = task.dev[0]
    assert (item.choices, item.answer) == ({"A": "six", "B": "five", "D": "nine"}, "A")
    assert is_correct(item, "The answer is six.")


# Real files


def test_public_files_load() -> None:
    """Those beside the checkout."""
    folder = Path(__file__).resolve().parents[4] / "shared" / "data"
    paths = sorted(folder.glob("*/*.json"))
    if not paths:
        pytest.skip("the public data sets are not at hand")
    for path in paths:
        if leaks := path.stem == "hearsay":  # as its authors publish it
            with pytest.raises(UserError, match="94 dev examples"):
                load_task(str(path))
        task = load_task(str(path), allow_overlap=leaks)
        for split, stored in json.loads(path.read_text()).items():
            if split not in ("dev", "test"):
                continue
            for item, row in zip(task.split(split), stored, strict=True):
                assert item.question == (row.get("question") or row["prompt"]).strip()
                assert item.answer == str(row.get("answer", "")).strip()
                assert item.plain == ("prompt" in row)
                options = {k: v.strip() for k, v in row.get("choices", {}).items()}
                assert (item.choices or {}).items() <= options.items()
                assert sorted((item.choices or {}).values()) == sorted(set(options.values()))


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
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
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


def test_a_cell_may_be_longer_than_a_field_of_the_module_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\nx,a\n{'y' * 200_000},b\n")
    assert len(read_table(path).rows[1].values["text"]) == 200_000


def test_all_bad_rows_are_listed_in_a_file(tmp_path: Path) -> None:
    rows = [[f"message {i}", MOODS[0] if i % 2 else ""] for i in range(40)]
    with pytest.raises(UserError, match="all are listed in") as error:
        load_task(table(tmp_path / "a.csv", "text,label", rows))
    listed = re.search(r"listed in (\S+)", str(error.value))
    assert listed is not None
    lines = Path(listed[1].rstrip(";")).read_text().splitlines()
    assert len(lines) == 20 and "line 40: nothing in column" in lines[-1]


def test_a_nested_label_is_a_column_and_named_where_another_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": f"message {i}", "labels": {"team": "ab"[i % 2]}} for i in range(12)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    task = load_task(str(path), columns=["label=labels.team"])
    assert {item.answer_text for item in task.dev} == {"a", "b"}
    path.write_text("".join(f"{json.dumps({**row, 'team': None})}\n" for row in rows))
    with pytest.raises(UserError, match=r'nothing in column "team" \(it has labels\.team\)'):
        load_task(str(path), columns=["label=team"])
