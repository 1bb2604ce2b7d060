"""``--prompts FILE``: prompts without answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Item, Task, load_task

FILES = {
    "a.txt": "Why?\n\n  Who is it?\nWhen?\n",
    "a.csv": "prompt,tone\nWhy?,warm\nWho is it?,\nWhen?,cold\n",
    "b.csv": "question,answer\nWhy?,because\nWho is it?,\nWhen?,now\n",
    "a.jsonl": '{"prompt": "Why?"}\n\n{"prompt": "Who is it?", "n": 3}\n{"prompt": "When?"}\n',
    "a.json": '[{"question": "Why?"}, {"question": "Who is it?"}, {"question": "When?"}]',
    "b.json": '["Why?", "Who is it?", "When?"]',
}


def read(folder: Path, name: str, text: str, **more: object) -> Task:
    (folder / name).write_text(text, encoding="utf-8")
    return load_task(f"prompts:{folder / name}", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FILES)
def test_each_format_gives_the_same_prompts_verbatim(tmp_path: Path, name: str) -> None:
    task = read(tmp_path, name, FILES[name])
    items = sorted((*task.dev, *task.test), key=lambda item: item.id)
    assert [(item.id, item.question, item.plain) for item in items] == [
        ("1", "Why?", True),
        ("2", "Who is it?", True),
        ("3", "When?", True),
    ]
    assert task.name == name[0] and "drawn from its 3 prompts with split seed 0" in task.note


def test_other_columns_go_to_the_items(tmp_path: Path) -> None:
    task = read(tmp_path, "a.csv", FILES["a.csv"])
    items = {item.id: item for item in (*task.dev, *task.test)}
    assert (
        items["1"] == Item("1", "Why?", None, "", {"tone": "warm"}, plain=True)
        and items["2"].meta == {}
    )
    task = read(tmp_path, "b.csv", FILES["b.csv"])
    assert {item.answer for item in (*task.dev, *task.test)} == {"because", "", "now"}


def test_columns_of_other_names_and_splits_are_taken(tmp_path: Path) -> None:
    task = read(
        tmp_path, "c.csv", "ask,part,split\nWhy?,x,dev\nWho?,y,test\n", columns=["question=ask"]
    )
    assert [item.question for item in task.dev] == ["Why?"] and task.test[0].meta == {"part": "y"}
    assert not task.note


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "\n \n", "holds no prompts; write one on each line"),
        ("a.txt", "Why?\n", "1 different question;"),
        ("a.txt", "Why?\nWho?\n\nWhy?\n", "line 4: the same prompt as line 1; remove one of them"),
        (
            "a.csv",
            "prompt,n\nWhy?,1\n,2\nWho?,3\n",
            "line 3: empty prompt; fill it in or remove the item",
        ),
        (
            "a.jsonl",
            '{"prompt": "Why?"}\n{"prompt": ""}\n{"prompt": " "}\n',
            "2 bad rows: line 2: empty prompt; l",
        ),
        ("a.csv", "words,n\nWhy?,1\n", 'no column "prompt" (found: words, n); rename one'),
        ("a.csv", "prompt,split\nWhy?,train\nWho?,test\n", 'line 2: split must be "dev" or "test"'),
        ("a.pdf", "Why?", "not a table; give a file that ends in"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, name, text)
    assert message in str(error.value) and name in str(error.value) and "\n" not in str(error.value)


def test_bad_rows_can_be_left_out(tmp_path: Path) -> None:
    task = read(tmp_path, "a.txt", "Why?\nWho?\nWhy?\nHow?\n", skip_bad_rows=True)
    assert len(task.dev) + len(task.test) == 3 and "1 of 4 rows left out (line 3)" in task.note


def test_prompts_beyond_dev_are_spare(tmp_path: Path) -> None:
    """Of 60 prompts half are drawn for dev, since nobody has to answer them."""
    file = tmp_path / "asked.txt"
    file.write_text("".join(f"Say {i}.\n" for i in range(60)))
    whole = load_task(f"prompts:{file}")
    task = load_task(f"prompts:{file}", dev=15)
    assert whole.spare == () and task.spare == whole.dev[15:] and len(task.spare) == 15
    assert task.test == whole.test


def test_items_with_options_are_never_spare(tmp_path: Path) -> None:
    file = tmp_path / "mood.csv"
    file.write_text("text,label\n" + "".join(f"message {i},{'ab'[i % 2]}\n" for i in range(60)))
    task = load_task(str(file), dev=5)
    assert len(task.dev) == 5 and task.spare == ()
