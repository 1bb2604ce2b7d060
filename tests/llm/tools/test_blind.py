"""Human votes: `swarm-llm eval --blind` and `swarm-llm eval --votes`."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from search_helpers import Json, exit_code, swarm_llm

from pyswarmopt_llm.scores.metrics.metric import ReplyMetric
from pyswarmopt_llm.scores.tasks import load_task, render_prompt
from pyswarmopt_llm.tools.blind import Key, count_votes
from pyswarmopt_llm.use.config import EvalConfig
from pyswarmopt_llm.use.evaluate import Exam

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
    assert (
        exit_code("eval", "--blind", file, *f"{models} --task {prompts} --threads 1".split()) == 0
    )
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


def counted(capsys: pytest.CaptureFixture[str], *files: Path) -> Json:
    code, out, err = swarm_llm(capsys, "eval", "--votes", *files, "--json")
    assert code == 0, err
    found: Json = json.loads(out)
    return found


def test_a_pair_is_what_both_models_write_in_an_order_that_the_key_knows(
    pairs: Path, tiny_base: Path, experts: list[Path], prompts: Path
) -> None:
    config = EvalConfig(base=str(tiny_base), task=str(prompts), threads=1)
    models = [(str(tiny_base), str(expert)) for expert in experts[:2]]
    exam, said = Exam(config, models, ReplyMetric("any", needs="nothing")), []
    items = {str(place): item for place, item in enumerate(load_task(str(prompts)).test, start=1)}
    for number in range(len(models)):
        engine = exam.engine(number)
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


def test_votes_for_ours_are_wins_whichever_number_it_has(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n = len(rows_of(pairs))
    won = counted(capsys, vote(pairs, pairs, lambda _, ours: ours))
    assert won["value"] == 1 and won["paired"]["gained"] == n
    lost = counted(capsys, vote(pairs, pairs, lambda _, ours: "2" if ours == "1" else "1"))
    assert lost["value"] == 0 and lost["paired"]["lost"] == n
    low, high = won["interval"]
    assert low <= won["value"] <= high
    assert (won["verdict"]["kind"], lost["verdict"]["kind"]) == ("better", "worse")


def test_pairs_without_a_vote_are_left_out_and_voters_of_one_pair_are_averaged(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    found = counted(capsys, vote(pairs, pairs, by(first)), copy)
    # 1 (both), a half (one each), and a half (a tie)
    assert found["value"] == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_a_question_that_is_asked_five_times_is_one_piece_of_evidence(tmp_path: Path) -> None:
    """Five copies of eight questions tell what the eight tell; forty questions more."""
    found = []
    for copies, numbers in ((1, [*range(8)]), (5, [*range(8)] * 5), (5, [*range(40)])):
        file = tmp_path / f"pairs-{len(found)}.csv"
        ours = {str(place): "1" for place in range(1, 8 * copies + 1)}
        key = Key("test", ("a", "b"), ours)
        file.with_name(f"{file.name}.key.json").write_text(json.dumps(vars(key)))
        rows = [
            f"{id_},{number},x,y,{'2' if int(id_) % 8 == 3 else '1'}"
            for id_, number in zip(ours, numbers, strict=True)
        ]
        file.write_text("\n".join(["id,prompt,reply 1,reply 2,vote", *rows]))
        votes = count_votes([str(file)])
        found.append((votes.value, votes.interval, votes.paired.p_value))
    once, grouped, apart = found
    assert grouped == once and apart[0] == once[0] and apart[2] < once[2] / 100


def test_votes_are_not_overwritten_and_a_second_model_is_needed(
    pairs: Path, tiny_base: Path, experts: list[Path], prompts: Path, capsys
) -> None:
    before = pairs.read_bytes()
    words = [pairs, "--base", tiny_base, "--adapter", experts[0], "--task", prompts]
    code, _, err = swarm_llm(capsys, "eval", "--blind", *words, "--against", experts[1])
    assert code == 2 and "exists" in err and pairs.read_bytes() == before
    code, _, err = swarm_llm(capsys, "eval", "--blind", *words)
    assert code == 2 and "--against" in err
