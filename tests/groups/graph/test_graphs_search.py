"""A search over graphs of models as its user sees it: messages, files, scores, resume, generate,
and wrong input.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from search_helpers import ends_as, history, questions, small, swarm_llm, write_task
from tokens_helpers import byte_level, member, save_member, sentence_piece

from pyswarmopt_groups.graph import engine
from pyswarmopt_groups.graph.engine import GraphEngine, Node
from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.interfaces import Patch

ANT, BEE, CAT = range(3)


@pytest.fixture(scope="module", autouse=True)
def short_messages() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "MESSAGE_TOKENS", 6)
        yield


# The engine


@pytest.fixture(scope="module")
def three() -> GraphEngine:
    """A Llama, a GPT-2 and a Qwen, two tokenizers."""
    members = {"ant": member(byte_level(), "llama", 1), "bee": member(byte_level(), "gpt2", 2)}
    return GraphEngine(members | {"cat": member(sentence_piece([("t", "h")]), "qwen3", 3)})


def asked(question: str, *messages: str) -> str:
    lead = "Others have answered the question below. They may be wrong.\n"
    return lead + "".join(f"- {' '.join(message.split())}\n" for message in messages) + question


def say(model: Any, turn: str, tokens: int) -> str:
    return str(model.generate([model.chat(turn)], tokens)[0])


def test_messages_are_passed_on_in_order(three: GraphEngine) -> None:
    """Ant speaks, bee reads ant, cat reads both: against the calls written out one by one."""
    ant, bee, cat = three.members.values()
    three.load(Patch(graph=(Node(ANT), Node(BEE, (0,)), Node(CAT, (0, 1)))))
    expected, likelihoods = [], []
    for question in ("Which one is it?", "And the other?"):
        first = say(ant, question, 6)
        second = say(bee, asked(question, first), 6)
        turn = asked(question, first, second)
        expected.append(say(cat, turn, 5))
        likelihoods += cat.loglikelihood([(cat.chat(turn), "the"), (cat.chat(turn), "on")])
    prompts = ["Which one is it?", "And the other?"]
    assert three.generate(prompts, 5) == expected
    pairs = [(prompt, option) for prompt in prompts for option in ("the", "on")]
    assert three.loglikelihood(pairs) == pytest.approx(likelihoods, abs=1e-4)


def test_long_messages_are_cut_to_the_window(
    three: GraphEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPT-2 holds 512 bytes; its question takes most of them, and it is asked with what then
    fits, by hand.
    """
    monkeypatch.setattr(engine, "MESSAGE_TOKENS", 60)
    three.load(Patch(graph=(Node(ANT), Node(BEE, (0,)))))
    ant, bee = three.members["ant"], three.members["bee"]
    kept = []
    for length in (300, 370, 410):
        question = "q" * length
        said = say(ant, question, 60)
        while said.split() and bee.count_tokens(bee.chat(asked(question, said))) + 4 > 512:
            said = said[: len(said) // 2]
        kept.append(len(said))
        turn = asked(question, said) if said.split() else question
        assert three.generate([question], 4) == [say(bee, turn, 4)]
    assert kept[0] > kept[-1]


# The search


@pytest.fixture(scope="module")
def mixed(experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An adapter of a Llama, a GPT-2 and a Qwen, three tokenizers."""
    folder = tmp_path_factory.mktemp("mixed")
    gpt2 = save_member(folder / "gpt2", byte_level(), "gpt2", 1)
    return [
        experts[0],
        gpt2,
        save_member(folder / "qwen", sentence_piece([("t", "h")]), "qwen3", 2),
    ]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("task") / "words.json"
    return write_task(file, questions(8, 1), questions(6, 2))


def small_graph(experts: list[Path], task: Path, out: Path, **more: Any) -> Any:
    how = {"space": "graph", "particles": 6, "max_iter": 2, "seed": 3}
    return small("", experts, [task], out, **how | more)


@pytest.fixture(scope="module")
def done(mixed: list[Path], task: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    search(small_graph(mixed, task, out))
    return out


def test_the_files_in_best_score_what_the_result_says(
    done: Path,
    task: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    here: Path,
) -> None:
    result = json.loads((done / "result.json").read_text())
    words = ("generate", "--run", done, "--max-new-tokens", 3, "Which amber?")
    code, out, _ = swarm_llm(capsys, *words)
    assert (code, out.endswith("\n")) == (0, True)
    for split in ("dev", "test"):
        words = f"--base {done / 'best'} --task {task} --split {split} --scoring likelihood --json"
        code, out, _ = swarm_llm(capsys, "eval", *words.split())
        assert code == 0
        assert json.loads(out)["value"] == result[f"best_{split}"]


def test_a_run_cut_short_ends_the_same(
    done: Path, mixed: list[Path], task: Path, tmp_path: Path
) -> None:
    again = search(small_graph(mixed, task, tmp_path / "again")).run
    assert history(again) == history(done)
    run = tmp_path / "run"
    shutil.copytree(done, run)
    (run / "result.json").unlink()
    shutil.rmtree(run / "best")
    lines = (run / "results.jsonl").read_text().splitlines(keepends=True)
    (run / "results.jsonl").write_text("".join(lines[:7]))
    (run / "checkpoint" / "swarm.npz").unlink()
    resume(run)
    ends_as(run, done)


# Wrong input: one line, nothing written
