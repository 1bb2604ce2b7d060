"""`--dry-run` of eval, groups and training: what is counted is what is then done, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from search_helpers import Json, louder, questions, swarm_llm, write_task

from pyswarmopt_llm.groups.config import StrategySettings
from pyswarmopt_llm.groups.members.local import LocalMember
from pyswarmopt_llm.groups.members.protocol import GREEDY, Sampling
from pyswarmopt_llm.groups.registry import NEGOTIATIONS, VOTES, load_strategy
from pyswarmopt_llm.jobs.dry_run.groups import Size, further

pytestmark = pytest.mark.usefixtures("short_texts")
DEV, TEST = 6, 8


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task(tmp_path_factory.mktemp("task") / "words.json", questions(DEV, 1, 3), questions(TEST, 2, 3))


@pytest.fixture(scope="module")
def experts(tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return louder(tiny_experts, tmp_path_factory.mktemp("loud"))


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Json]:
    """The plan of a command, which writes nothing."""
    monkeypatch.chdir(tmp_path)

    def planned(*words: object) -> Json:
        code, out, err = swarm_llm(capsys, *words, "--threads", "1", "--dry-run", "--json")
        assert (code, err) == (0, ""), err
        assert not list(tmp_path.iterdir())
        found: Json = json.loads(out)
        assert found["seconds"] >= 0 and found["memory_bytes"] > 2**20
        return found

    return planned


def test_inspect_counts_the_base_and_each_expert(
    tiny_base: Path, experts: list[Path], task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["inspect", *experts[:2], "--base", tiny_base, "--task", task, "--dry-run", "--json"]
    code, out, err = swarm_llm(capsys, *words)
    assert (code, err) == (0, "") and json.loads(out)["passes"] == 3 * (DEV + DEV)  # a trial of letters, then the score
    code, _, err = swarm_llm(capsys, "inspect", *experts[:2], "--dry-run")
    assert code == 2 and "--task" in err


def test_analyse_counts_a_search_for_each_part_and_a_score_for_each_expert(
    tiny_base: Path, experts: list[Path], task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, how = tmp_path / "run", ["--preset", "paper", "--particles", 4, "--max-iter", 2, "--scoring", "likelihood"]
    words = ["--base", tiny_base, "--experts", *experts[:2], "--task", task, "--out", run, *how, "--quiet"]
    assert swarm_llm(capsys, "search", *words)[0] == 0

    def planned(*options: str) -> Json:
        code, out, err = swarm_llm(capsys, "analyse", run, *options, "--dry-run", "--json")
        assert (code, err) == (0, "") and not (run / "analysis").exists()
        found: Json = json.loads(out)
        return found

    one = json.loads(swarm_llm(capsys, "search", *words[:-1], "--out", tmp_path / "b", "--dry-run", "--json")[1])
    assert planned()["passes"] == 0
    assert planned("--ablations")["passes"] == 5 * one["passes"]
    used = sum(weight != 0 for weight in json.loads((run / "result.json").read_text())["coefficients"].values())
    assert planned("--leave-one-out")["passes"] == (1 + used) * (DEV + TEST)


def test_eval_counts_the_items_of_one_model_and_of_two(
    plan: Callable[..., Json], tiny_base: Path, experts: list[Path], task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", "--base", tiny_base, "--task", task, "--adapter", experts[0]]
    assert plan(*words, "--scoring", "likelihood")["passes"] == TEST
    assert plan(*words, "--scoring", "likelihood", "--split", "dev", "--limit", 3)["passes"] == 3
    assert plan(*words, "--scoring", "likelihood", "--against", experts[1])["passes"] == 2 * TEST
    found = plan(*words, "--against", experts[1])
    assert found["passes"] == 2 * (TEST + DEV) and found["writes"] == []  # and a trial of letters on dev
    code, out, _ = swarm_llm(capsys, *words, "--dry-run")
    assert code == 0 and out.splitlines()[-1] == "would write no file; nothing was written"


def test_a_group_asks_each_member_for_every_item(
    plan: Callable[..., Json], tiny_base: Path, experts: list[Path], task: Path
) -> None:
    words = ["--members", *experts, "--base", tiny_base, "--task", task, "--scoring", "likelihood"]
    found = plan("ensemble", *words, "--strategy", "majority,weighted,borda", "--out", "group")
    assert (found["passes"], found["texts"], found["out"]) == (3 * (DEV + TEST), 0, "group")
    assert plan("negotiate", *words, "--strategy", "refine", "--rounds", 2)["texts"] == 3 * (1 + 2) * TEST


@pytest.mark.parametrize(
    "name", [*sorted(set(VOTES) - {"reward"}), *sorted(set(NEGOTIATIONS) - {"societies"}), "society:cce:ddr"]
)
def test_no_strategy_asks_for_more_than_its_bound(
    name: str,
    tiny_base: Path,
    experts: list[Path],
    task: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests, texts, inside = set[Any](), list[int](), list[bool]()
    answer, generate, likelihoods = (getattr(LocalMember, one) for one in ("answer", "generate", "likelihoods"))

    def answering(self: LocalMember, *rest: Any) -> Any:
        inside.append(True)  # what an answer takes is counted as one
        try:
            return answer(self, *rest)
        finally:
            inside.pop()

    def generating(self: LocalMember, prompts: Any, how: Sampling = GREEDY) -> Any:
        texts.append(0 if inside else how.n * len(prompts))
        return generate(self, prompts, how)

    def scoring(self: LocalMember, pairs: Any) -> Any:
        requests.update((self.name, user or text) for user, text in pairs)
        return likelihoods(self, pairs)

    for one, function in (("answer", answering), ("generate", generating), ("likelihoods", scoring)):
        monkeypatch.setattr(LocalMember, one, function)
    command = "ensemble" if name in VOTES else "negotiate"
    words = ["--members", *experts, "--base", tiny_base, "--task", task, "--scoring", "likelihood", "--threads", "1"]
    code, _, err = swarm_llm(capsys, command, *words, "--strategy", name, "--quiet")
    assert code == 0, err
    most = further(load_strategy(name), Size(3, DEV, TEST, 3, StrategySettings()))
    assert len(requests) <= most[0] and sum(texts) <= most[1]
    if name in ("self-consistency", "society:cce:ddr"):  # nothing is saved there
        assert sum(texts) == most[1]
    if name in ("route-likelihood", "game"):
        assert len(requests) == most[0]


def test_training_takes_the_steps_and_tokens_that_were_planned(
    plan: Callable[..., Json], tiny_base: Path, tmp_path: Path, task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("peft")
    answers = ["train-expert", "--base", tiny_base, "--data", "builtin:dates", "--examples", "20", "--rank", "2"]
    options = ["train-expert", "--base", tiny_base, "--data", task, "--loss", "options", "--rank", "2"]
    for words in ([*answers, "--max-tokens", "4000"], options):
        planned = plan(*words, "--out", "mine")
        out = tmp_path.parent / f"{tmp_path.name}-{len(words)}"
        code, text, _ = swarm_llm(capsys, *words, "--out", out, "--threads", "1", "--quiet", "--json")
        done = json.loads(text)
        assert (code, planned["steps"], planned["out"]) == (0, done["steps"], "mine")
        assert planned["tokens"] == pytest.approx(done["tokens"], rel=0.02) and planned["tokens"] > 0


def test_a_student_is_trained_on_at_most_what_was_planned(
    plan: Callable[..., Json], tiny_base: Path, experts: list[Path], tmp_path: Path, task: Path, capsys: Any
) -> None:
    words = ["distill", "--members", *experts, "--base", tiny_base, "--task", task, "--scoring", "likelihood"]
    words += ["--strategy", "majority", "--rank", "2"]
    planned = plan(*words, "--out", "student")
    assert planned["passes"] == 3 * (DEV + TEST) + 2 * TEST
    out = tmp_path.parent / f"{tmp_path.name}-student"
    code, text, _ = swarm_llm(capsys, *words, "--out", out, "--threads", "1", "--quiet", "--json")
    assert code == 0 and json.loads(text)["steps"] <= planned["steps"]


def test_merging_by_a_rule_scores_nothing_and_searching_is_bounded_by_its_budget(
    tiny_base: Path, experts: list[Path], task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["merge", "--base", tiny_base, "--experts", *experts, "--out", tmp_path / "merged", "--dry-run"]
    code, out, err = swarm_llm(capsys, *words, "--method", "ties")
    assert code == 0 and "forward passes" not in out and "ties is a fixed rule" in out, err
    searching = [*words, "--method", "greedy-soup", "--task", task, "--budget-items", 1000, "--json"]
    plan = json.loads(swarm_llm(capsys, *searching)[1])
    # Three experts by letters; each expert alone and each time that one is added.
    assert plan["passes"] == 3 * DEV + 2 * 3 * DEV and not (tmp_path / "merged").exists()
    code, _, err = swarm_llm(capsys, *words, "--method", "greedy-soup")
    assert code == 2 and "looks at dev items; give --task" in err


def test_a_plan_is_refused_where_the_command_would_be(
    tiny_base: Path, experts: list[Path], task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = ["--members", *experts, "--base", tiny_base]
    code, _, err = swarm_llm(capsys, "ensemble", *members, "Two plus two?", "--dry-run")
    assert code == 2 and "--dry-run" in err
    code, _, err = swarm_llm(capsys, "eval", "--base", tiny_base, "--against", "base", "--task", task, "--dry-run")
    assert code == 2 and "is the model that is scored itself" in err
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").write_text("")
    code, _, err = swarm_llm(
        capsys, "distill", *members, "--task", task, "--out", tmp_path / "there", "--dry-run"
    )
    assert code == 2 and "there" in err
