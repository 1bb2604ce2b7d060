"""`swarm-llm ensemble` end to end on a tiny random base: all strategies, files, costs, resuming,
bad input.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from search_helpers import files, questions, swarm_llm, write_task

from pyswarmopt_groups.members.local import LocalMember
from pyswarmopt_groups.registry import VOTES

pytestmark = pytest.mark.usefixtures("short_texts")


@pytest.fixture
def given(tiny_base: Path, experts: list[Path], tmp_path: Path) -> list[str]:
    """A group and a task of 10 dev and 12 test items."""
    task = write_task(tmp_path / "words.json", questions(10, 1, 3), questions(12, 2, 3))
    words = ["--members", *map(str, experts), "--base", str(tiny_base), "--task", str(task)]
    return [*words, "--threads", "1", "--quiet", "--dtype", "float32"]


def result_of(folder: Path) -> dict[str, Any]:
    printed: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return printed


def test_all_votes_from_one_asking(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = f"--strategy all,nearest:2 --scoring likelihood --out {out}".split()
    code, text, err = swarm_llm(capsys, "ensemble", *given, *words)
    assert (code, err) == (0, ""), err
    result = result_of(out)
    assert set(result["strategies"]) == set(VOTES) - {"reward"} | {"nearest:2"}
    assert "use reward:model=MODEL" in text
    verdicts = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    answers = {item["id"]: item["answer"] for item in questions(12, 2, 3)}
    for name, row in result["strategies"].items():
        assert name in text
        of_strategy = [v for v in verdicts if v["strategy"] == name]
        assert [v["id"] for v in of_strategy] == list(answers)
        right = sum(v["answer"] == answers[v["id"]] for v in of_strategy)
        assert row["test"] == pytest.approx(right / 12) and row["tokens"] > 0
        assert row["tokens"] == pytest.approx(sum(v["tokens"] for v in of_strategy) / 12)
        assert row["test_interval"][0] <= row["test"] <= row["test_interval"][1]
        assert all(len(v["ballots"]) == 3 and 0 <= v["agreement"] <= 1 for v in of_strategy)
    costs = {name: row["tokens"] for name, row in result["strategies"].items()}
    members = {name: row["tokens"] for name, row in result["members"].items()}
    assert costs["majority"] == pytest.approx(sum(members.values())) == costs["borda"]
    assert costs["cascade"] <= costs["majority"] < costs["fuse"]
    assert max(costs["route-neighbours"], costs["nearest"]) < costs["majority"] + 40
    best = max(members, key=lambda name: result["members"][name]["dev"])
    strongest = result["strongest"]
    assert result["best_single"] == best
    first = text.splitlines()[0]
    assert first == result["verdict"][0] and f"strongest member on test, {strongest}" in first
    test = {name: row["test"] for name, row in result["members"].items()}
    assert test[strongest] == max(test.values())
    for row in result["strategies"].values():
        for who, member in (("single", best), ("strongest", strongest)):
            found = row[f"against_{who}"]["difference"]
            assert found == pytest.approx(row["test"] - test[member])


def test_a_run_that_is_stopped_asks_nothing_twice_and_ends_the_same(
    given: list[str], tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*given, "--strategy", "weighted,self-consistency,fuse", "--scoring", "likelihood"]
    assert swarm_llm(capsys, "ensemble", *words, "--out", tmp_path / "whole")[0] == 0
    asked: list[int] = []
    calls = {name: getattr(LocalMember, name) for name in ("answer", "generate", "likelihoods")}

    def stopping(name: str) -> Any:
        def call(self: LocalMember, units: Any, *rest: Any, **more: Any) -> Any:
            asked.append(len(units))
            if len(asked) in (2, 5, 9):
                raise KeyboardInterrupt
            return calls[name](self, units, *rest, **more)

        return call

    for name in calls:
        monkeypatch.setattr(LocalMember, name, stopping(name))
    codes = [swarm_llm(capsys, "ensemble", *words, "--out", tmp_path / "run")[0] for _ in range(4)]
    assert codes == [130, 130, 130, 0]
    assert result_of(tmp_path / "run") == result_of(tmp_path / "whole")
    both = [files(tmp_path / name) for name in ("run", "whole")]
    assert both[0]["verdicts.jsonl"] == both[1]["verdicts.jsonl"]
    lines = [each["results.jsonl"].splitlines() for each in both]
    said = [sorted(line for line in each if b"response" in line) for each in lines]
    assert said[0] == said[1]
    before = len(asked)
    assert swarm_llm(capsys, "ensemble", *words, "--out", tmp_path / "run")[0] == 0
    assert len(asked) == before


def test_strategies_can_be_added_later_and_other_settings_are_refused(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ensemble", *given, "--out", tmp_path / "run", "--scoring", "letter"]
    assert swarm_llm(capsys, *words)[0] == 0
    assert swarm_llm(capsys, *words, "--strategy", "borda")[0] == 0
    assert list(result_of(tmp_path / "run")["strategies"]) == ["majority", "borda"]
    lines = (tmp_path / "run" / "verdicts.jsonl").read_text().splitlines()
    assert [json.loads(line)["strategy"] for line in lines] == ["majority"] * 12 + ["borda"] * 12
    code, _, err = swarm_llm(capsys, *words, "--seed", "3")
    assert code == 2 and "--seed: " in err and "was started with 0" in err


@pytest.mark.parametrize(
    ("command", "agents"),
    [("ensemble", 3), ("negotiate", 3), ("negotiate --strategy society:ccee:d", 4)],
)
def test_a_question_of_the_users_is_answered(
    command: str,
    agents: int,
    tiny_base: Path,
    experts: list[Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    members = ["--members", *map(str, experts), "--base", str(tiny_base), "--threads", "1"]
    words = [*command.split(), "Which planet is the largest?", *members, "--quiet"]
    code, out, err = swarm_llm(capsys, *words, "--json")
    assert code == 0, err
    (verdict,) = json.loads(out).values()
    assert len(verdict["ballots"]) == agents and verdict["tokens"] > 0
    assert verdict["answer"] in (*verdict["ballots"], None)
    code, out, err = swarm_llm(capsys, *words)
    assert code == 0 and "% agree" in out and f"of {agents} answer" in out, err
    named = [line.split()[0] for line in out.splitlines()[-agents:]]
    assert named == (verdict["members"] * 2)[:agents]
