"""Human votes: examples/blind.py."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from search_helpers import Json

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.metrics.metric import ReplyMetric
from pyswarmopt_llm.scores.tasks import load_task, render_prompt
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.evaluate import Exam

FILE = Path(__file__).parents[3] / "examples" / "blind.py"
BLIND: dict[str, Any] = runpy.run_path(str(FILE))
N = 12


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("task") / "prompts.json"
    rows = [{"id": f"p{i}", "prompt": f"=Tell me about number {i}."} for i in range(N)]
    path.write_text(json.dumps({"dev": [{"prompt": "Hello."}], "test": rows}))
    return path


@pytest.fixture(scope="module")
def written(
    tiny_base: Path, experts: list[Path], prompts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The pairs of two experts and their key, which tests copy."""
    file = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    models = f"--base {tiny_base} --adapter {experts[0]} --against {experts[1]}"
    words = ["blind.py", "write", str(file), *f"{models} --task {prompts} --threads 1".split()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        BLIND["main"]()
    return file


@pytest.fixture
def pairs(written: Path, tmp_path: Path) -> Path:
    for file in written.parent.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path / written.name


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def key_of(file: Path) -> Json:
    found: Json = json.loads(file.with_name(f"{file.name}.key.json").read_text())
    return found


def vote(file: Path, copy: Path, how: Callable[[str, str], str]) -> Path:
    """A copy of the file with `how(id, number of our reply)` in the last column."""
    rows, ours = rows_of(file), key_of(file)["ours"]
    with copy.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "vote": how(row["id"], ours[row["id"]])} for row in rows)
    return copy


def counted(*files: Path) -> Any:
    return BLIND["count_votes"]([*map(str, files)])


def test_a_pair_is_what_both_models_write_in_an_order_that_the_key_knows(
    pairs: Path, tiny_base: Path, experts: list[Path], prompts: Path
) -> None:
    config = EvalConfig(base=str(tiny_base), task=str(prompts), threads=1)
    models = [(str(tiny_base), str(expert)) for expert in experts[:2]]
    exam, said = Exam(config, models, ReplyMetric("any", needs="nothing")), []
    items = {str(place): item for place, item in enumerate(load_task(str(prompts)).test, start=1)}
    for model in models:
        engine = exam.engine(model)
        chats = [engine.chat(render_prompt(item, "generate")) for item in items.values()]
        texts = [text.strip() for text in engine.generate(chats, 128)]
        said.append(dict(zip(items, texts, strict=True)))
    key, rows = key_of(pairs), rows_of(pairs)
    unlike = [id_ for id_ in items if said[0][id_] != said[1][id_]]
    assert list(key["ours"]) == unlike and len(rows) == len(unlike) > 3
    assert set(key["ours"].values()) == {"1", "2"}, "the order is drawn"
    for row in rows:
        id_, shown = row["id"], [row["reply 1"].strip(), row["reply 2"].strip()]
        # no formula for a spreadsheet
        assert row["vote"] == "" and row["prompt"] == f" {items[id_].question}"
        order = said if key["ours"][id_] == "1" else said[::-1]
        assert shown == [texts[id_] for texts in order]
    assert "loud" not in pairs.read_text(), "nothing in the file says who wrote a reply"


def test_votes_for_ours_are_wins_whichever_number_it_has(pairs: Path) -> None:
    n = len(rows_of(pairs))
    won = counted(vote(pairs, pairs, lambda _, ours: ours))
    assert won.value == 1 and won.paired.gained == n
    lost = counted(vote(pairs, pairs, lambda _, ours: "2" if ours == "1" else "1"))
    assert lost.value == 0 and lost.paired.lost == n
    low, high = won.interval
    assert low <= won.value <= high
    assert (won.verdict.kind, lost.verdict.kind) == ("better", "worse")


def test_pairs_without_a_vote_are_left_out_and_voters_of_one_pair_are_averaged(
    pairs: Path, tmp_path: Path
) -> None:
    ids = [row["id"] for row in rows_of(pairs)][:3]
    first = {ids[0]: "ours", ids[1]: "ours", ids[2]: "tie"}
    second = {ids[0]: "ours", ids[1]: "theirs"}

    def by(votes: dict[str, str]) -> Callable[[str, str], str]:
        def number(id_: str, ours: str) -> str:
            said = votes.get(id_, "")
            return {"ours": ours, "theirs": {"1": "2", "2": "1"}[ours]}.get(said, said)

        return number

    copy = vote(pairs, tmp_path / "second.csv", by(second))
    found = counted(vote(pairs, pairs, by(first)), copy)
    # 1 (both), a half (one each), and a half (a tie)
    assert found.value == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_a_question_that_is_asked_five_times_is_one_piece_of_evidence(tmp_path: Path) -> None:
    """Five copies of eight questions tell what the eight tell; forty questions more."""
    found = []
    for copies, numbers in ((1, [*range(8)]), (5, [*range(8)] * 5), (5, [*range(40)])):
        file = tmp_path / f"pairs-{len(found)}.csv"
        ours = {str(place): "1" for place in range(1, 8 * copies + 1)}
        key = BLIND["Key"]("t", "test", ("a", "b"), ours)
        file.with_name(f"{file.name}.key.json").write_text(json.dumps(vars(key)))
        rows = [
            f"{id_},{number},x,y,{'2' if int(id_) % 8 == 3 else '1'}"
            for id_, number in zip(ours, numbers, strict=True)
        ]
        file.write_text("\n".join(["id,prompt,reply 1,reply 2,vote", *rows]))
        votes = counted(file)
        found.append((votes.value, votes.interval, votes.paired.p_value))
    once, grouped, apart = found
    assert grouped == once and apart[0] == once[0] and apart[2] < once[2] / 100


def test_pairs_are_not_overwritten(pairs: Path, tiny_base: Path, prompts: Path) -> None:
    before = pairs.read_bytes()
    config = EvalConfig(base=str(tiny_base), task=str(prompts), against="base")
    with pytest.raises(UserError, match="exists"):
        BLIND["write_pairs"](config, pairs)
    assert pairs.read_bytes() == before
