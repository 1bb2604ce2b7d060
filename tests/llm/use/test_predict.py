"""`predict`: the labels of new rows are those that the search's scoring gives, whole, resumed or
one by one.
"""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from search_helpers import WORDS, MakeSearch, Shell

import pyswarmopt_llm as sl
from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.table import read_table
from pyswarmopt_llm.use import predict as job
from pyswarmopt_llm.use.predict import Prediction, write_predictions

LABELS = ("card lost", "loan", "öffnen")


def write_rows(path: Path, n: int, seed: int, label: bool = True) -> Path:
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["nr", "body", *(["team"] if label else [])])
        for i in range(n):
            text = f'{" ".join(rng.sample(WORDS, 3))}; "{seed}-{i}" über'
            writer.writerow([i, text, *([rng.choice(LABELS)] if label else [])])
    return path


def read(path: Path, delimiter: str = ";") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("predict")


@pytest.fixture(scope="module")
def runs(make_search: MakeSearch, folder: Path) -> dict[str, Path]:
    """Scoring -> a finished search over a table of labels."""
    table = {"tasks": (str(write_rows(folder / "tickets.csv", 36, 1)),), "dtype": "float32"}
    found = {}
    for scoring in ("letter", "likelihood"):
        config = make_search(folder, 1, 1, scoring=scoring, max_iter=1, out=folder / scoring)
        columns = ("question=body", "label=team")
        found[scoring] = search(replace(config, columns=columns, **table)).run  # type: ignore[arg-type]
    return found


@pytest.fixture(scope="module", autouse=True)
def four_at_once() -> Iterator[None]:
    """The last digits depend on what is scored together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "CHUNK", 4)
        yield


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A table of eleven rows."""
    return write_rows(tmp_path / "new.csv", 11, 3)


@pytest.fixture(scope="module")
def whole(runs: dict[str, Path], folder: Path) -> bytes:
    """What `new` is when it is labelled at once."""
    out = folder / "whole.csv"
    sl.predict(runs["letter"], write_rows(folder / "rows.csv", 11, 3), out)
    return out.read_bytes()


def stopped(run: Path, new: Path, out: Path, rows: int) -> Path:
    """The progress of a file that was stopped after so many rows."""

    def stop(done: int, total: int) -> None:
        if done == rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sl.predict(run, new, out, on_items=stop)
    (progress,) = out.parent.glob(f"{out.name}.*.progress")
    return progress


def by_transformers(run: Path, base: Path, texts: list[str], scoring: str) -> list[list[float]]:
    """The probabilities of the labels, computed by peft and transformers alone."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, str(run / "best")).eval()
    options = "".join(f"{letter}: {label}\n" for letter, label in zip("ABC", LABELS, strict=True))
    found = []
    for text in texts:
        head = (
            "Answer the question with the letter of the right option.\n"
            if scoring == "letter"
            else ""
        )
        tail = f"\n{options}The answer is" if scoring == "letter" else ""
        context = (
            f"<|im_start|>user\n{head}Question: {text}{tail}<|im_end|>\n<|im_start|>assistant\n"
        )
        totals = []
        for continuation in "ABC" if scoring == "letter" else LABELS:
            start = len(tokenizer(context, add_special_tokens=False).input_ids)
            ids = torch.tensor(
                [tokenizer(context + continuation, add_special_tokens=False).input_ids]
            )
            with torch.no_grad():
                logs = model(ids).logits[0, :-1].log_softmax(-1)
            total = sum(float(logs[k - 1, ids[0, k]]) for k in range(start, ids.shape[1]))
            totals.append(total / (1 if scoring == "letter" else len(continuation.encode())))
        scale = 1 if scoring == "letter" else sum(len(label.encode()) for label in LABELS) / 3
        found.append(torch.tensor([total * scale for total in totals]).softmax(0).tolist())
    return found


@pytest.mark.parametrize("scoring", ["letter", "likelihood"])
def test_labels_are_those_of_transformers(
    scoring: str, runs: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    new, out = write_rows(tmp_path / "new.csv", 9, 2, label=False), tmp_path / "labelled.csv"
    predictions = sl.predict(runs[scoring], new, out)
    rows = read(out)
    expected = by_transformers(runs[scoring], tiny_base, [row["body"] for row in rows], scoring)
    assert scoring == "likelihood" or len({row["predicted"] for row in rows}) > 1
    assert list(rows[0]) == ["nr", "body", "predicted", *(f"p({label})" for label in LABELS)]
    assert [row["nr"] for row in rows] == [str(i) for i in range(9)]
    for row, one, wanted in zip(rows, predictions, expected, strict=True):
        assert list(one.probabilities.values()) == pytest.approx(wanted, abs=1e-5)
        assert [float(row[f"p({label})"]) for label in LABELS] == pytest.approx(wanted, abs=1e-5)
        assert row["predicted"] == one.label == LABELS[max(range(3), key=wanted.__getitem__)]


def test_goes_on_where_it_was_interrupted(runs: dict[str, Path], new: Path, whole: bytes) -> None:
    out = new.with_name("out.csv")
    progress = stopped(runs["letter"], new, out, 8)
    assert not out.exists()
    with progress.open("a") as file:
        file.write('{"probabilities": [[0.1')  # a line that was cut short
    counts: list[int] = []
    sl.predict(runs["letter"], new, out, on_items=lambda done, total: counts.append(done))
    assert counts == [11]  # eight were known
    assert out.read_bytes() == whole
    assert sorted(path.name for path in new.parent.iterdir()) == ["new.csv", "out.csv"]


def test_rows_of_other_inputs_are_not_mixed_and_no_file_is_overwritten(
    runs: dict[str, Path], new: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    progress = stopped(runs["letter"], new, out, 4)
    found = sl.predict(runs["likelihood"], new, out)
    assert found == sl.predict(runs["likelihood"], new) and progress.exists()
    with pytest.raises(UserError, match="already exists"):
        sl.predict(runs["letter"], new, out)
    out.unlink()
    write_rows(new, 11, 4)
    assert sl.predict(runs["letter"], new, out) == sl.predict(runs["letter"], new)

    def meanwhile(done: int, total: int) -> None:
        out.write_text("mine")

    out.unlink()
    with pytest.raises(UserError, match="already exists"):
        sl.predict(runs["letter"], new, out, on_items=meanwhile)
    assert out.read_text() == "mine"


def test_a_run_without_its_result_is_not_called_one_of_written_answers(
    runs: dict[str, Path], new: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(runs["letter"], tmp_path / "run")
    (run / "result.json").unlink()
    with pytest.raises(UserError, match="is not finished; continue it with: swarm-llm resume"):
        sl.predict(run, new)


def test_two_at_once_do_not_write_one_file(runs: dict[str, Path], new: Path, whole: bytes) -> None:
    out = new.with_name("o.csv")
    said: list[str] = []

    def meanwhile(done: int, total: int) -> None:
        with pytest.raises(UserError, match=r"o\.csv\.\w+\.progress: another process") as error:
            sl.predict(runs["letter"], new, out)
        said.append(error.value.text)

    sl.predict(runs["letter"], new, out, on_items=meanwhile)
    assert len(said) == 3 and out.read_bytes() == whole


def test_json_in_and_out(runs: dict[str, Path], tmp_path: Path) -> None:
    rows = [
        {"body": "amber fjord?", "more": [0.123456789012345, {"a": "ü"}]},
        {"body": "north", "team": "unheard of"},
    ]
    new, out = tmp_path / "new.json", tmp_path / "out.jsonl"
    new.write_text(json.dumps(rows))
    predictions = sl.predict(runs["letter"], new, out)
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [{k: row[k] for k in wanted} for row, wanted in zip(found, rows, strict=True)] == rows
    assert [row["predicted"] for row in found] == [one.label for one in predictions]
    assert all(
        sum(row[f"p({label})"] for label in LABELS) == pytest.approx(1, abs=1e-5) for row in found
    )
    alone = sl.predict(runs["letter"], [rows[0], "north"])
    assert [one.label for one in alone] == [row["predicted"] for row in found]


def test_a_table_for_excel_stays_one_and_probabilities_have_six_digits(
    runs: dict[str, Path], new: Path
) -> None:
    marked, out = new.with_name("marked.csv"), new.with_name("out.csv")
    marked.write_bytes(b"\xef\xbb\xbf" + new.read_bytes())
    predictions = sl.predict(runs["letter"], marked, out)
    plain = sl.predict(runs["letter"], new, new.with_name("plain.csv"))
    assert out.read_bytes() == b"\xef\xbb\xbf" + new.with_name("plain.csv").read_bytes()
    assert predictions == plain
    for row, one in zip(read(new.with_name("plain.csv")), plain, strict=True):
        for label in LABELS:
            text = row[f"p({label})"]
            assert len(text.partition(".")[2]) <= 6
            assert abs(float(text) - one.probabilities[label]) <= 0.5000001e-6


def test_blank_rows_stay_without_a_label_and_the_others_have_theirs(
    runs: dict[str, Path], tmp_path: Path, shell: Shell
) -> None:
    new, out = tmp_path / "new.csv", tmp_path / "out.csv"
    new.write_text("nr;body\n1;\n2;amber\n3;  \n4;birch\n")
    shown = shell("predict", new, "--run", runs["letter"], "--out", out)
    assert "2 of 4 rows labelled in" in shown
    rows, alone = read(out), sl.predict(runs["letter"], ["amber", "birch"])
    assert [row["nr"] for row in rows] == list("1234")
    assert [row["predicted"] for row in rows] == ["", alone[0].label, "", alone[1].label]
    assert [row["p(loan)"] for row in rows][::2] == ["", ""]
    assert float(rows[3]["p(loan)"]) == pytest.approx(alone[1].probabilities["loan"], abs=1e-5)


HARD = [
    'say "hi" now',
    "a\rb",
    "a\nb",
    "a\r\nb",
    "1.10",
    "1e400",
    "-0.0",
    "",
    " x ",
    "ü;,|",
    '"',
    "NaN",
]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_rows_are_written_by_the_rule_by_which_they_are_read(
    name: str, separator: str, start: str, tmp_path: Path
) -> None:
    source, out = tmp_path / name, tmp_path / f"out{Path(name).suffix}"
    values = HARD if name == "t.csv" else [text for text in HARD if not set("\t\r\n") & set(text)]
    lines = [["nr", "body"], *([str(number), text] for number, text in enumerate(values))]
    buffer = io.StringIO()
    for line in lines:
        if name == "t.tsv" and separator == "\t":  # as GLUE writes it
            buffer.write("\t".join(line) + "\n")
        else:
            csv.writer(buffer, delimiter=separator, quoting=csv.QUOTE_ALL).writerow(line)
    source.write_text(start + buffer.getvalue(), encoding="utf-8", newline="")
    table = read_table(source)
    assert [row.values["body"] for row in table.rows] == values
    labels = {"yes, no": "p(yes, no)"} if separator == "," else {"yes": "p(yes)"}
    found = [Prediction("yes", dict.fromkeys(labels, 1 / 3)) for _ in values]
    write_predictions(out, table, found, labels)
    assert out.read_bytes().startswith(b"\xef\xbb\xbf") == bool(start)
    again = read_table(out).rows
    added = {"predicted": "yes", **dict.fromkeys(labels.values(), "0.333333")}
    assert [dict(row.values) for row in again] == [{**row.values, **added} for row in table.rows]


def test_records_are_written_as_they_were(tmp_path: Path) -> None:
    """Numbers by their digits, missing keys, and conversations as such."""
    records = [
        '{"body": "a", "x": 0.12345678901234567, "y": [123456789.123456789, -0.0]}',
        '{"body": "b", "x": 1e400}',
        '{"messages": [{"role": "user", "content": "c"}], "id": 12345678901234567890}',
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(records))
    found = [Prediction("yes", {"yes": 1.0}) for _ in records]
    for out in (tmp_path / "out.jsonl", tmp_path / "out.json"):
        write_predictions(out, read_table(tmp_path / "t.jsonl"), found, {"yes": "p(yes)"})
        expected = [f'{record[:-1]}, "predicted": "yes", "p(yes)": 1.0}}' for record in records]
        lines = [line.rstrip(",") for line in out.read_text().splitlines()]
        assert [line for line in lines if line not in "[]"] == expected
    assert len(json.loads((tmp_path / "out.json").read_text())) == 3


def test_the_command(runs: dict[str, Path], tmp_path: Path, shell: Shell) -> None:
    words = ["predict", "--run", runs["letter"]]
    new, out = write_rows(tmp_path / "new.csv", 5, 5), tmp_path / "out.csv"
    assert f"5 of 5 rows labelled in {out}" in shell(*words, new, "--out", out)
    labels = Counter(row["predicted"] for row in read(out))
    out.unlink()
    assert shell.json(*words, new, "--out", out) == {"out": str(out), "labels": labels}
