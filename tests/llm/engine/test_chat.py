"""Prompts of conversations: system turns, earlier turns, models that think, replies cut off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engine_reference import load_tiny
from search_helpers import louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.chat import prompt_of
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.searching.loop import search
from pyswarmopt_llm.searching.prepare import prepare

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% if enable_thinking is false %}<no>{% endif %}"
    "{% endif %}"
)
TALK = [
    {"role": "user", "content": "I have a cat."},
    {"role": "assistant", "content": "Nice."},
    {"role": "user", "content": "What do I have?"},
]


@pytest.fixture
def tokenizer(tiny_base: Path) -> Any:
    tokenizer = load_tiny(tiny_base)[1]
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def test_a_prompt_is_that_of_transformers(tiny_base: Path) -> None:
    """In the base's own template."""
    tokenizer = load_tiny(tiny_base)[1]
    for words in ("", "Be brief."):
        system = [{"role": "system", "content": words}] if words else []
        expected = tokenizer.apply_chat_template(
            [*system, *TALK], tokenize=False, add_generation_prompt=True
        )
        assert prompt_of(tokenizer, words, TALK[-1]["content"], TALK[:-1]) == expected


def test_models_that_can_think_first_do_not(tokenizer: Any) -> None:
    assert prompt_of(tokenizer, "", "Hi") == "<user>Hi<assistant><no>"


def test_a_conversations_own_system_turn_comes_first(tokenizer: Any) -> None:
    own = [{"role": "system", "content": "Rhyme."}]
    prompt = prompt_of(tokenizer, "Be brief.", "Hi", own)
    assert prompt == "<system>Rhyme.<user>Hi<assistant><no>"
    tokenizer.chat_template = None
    assert prompt_of(tokenizer, "Be brief.", "Hi", TALK[:2]) == (
        "Be brief.\nI have a cat.\nNice.\nHi\n"
    )


def rows(n: int, seed: int) -> list[dict[str, Any]]:
    answered = [*TALK, {"role": "assistant", "content": "A cat."}]
    first = [{"role": "user", "content": f"Talk {seed} {i}."} for i in range(n)]
    return [{"messages": [one, *answered[1:]], "id": f"{seed}-{i}"} for i, one in enumerate(first)]


def test_one_conversation_in_dev_and_test_is_refused(tmp_path: Path) -> None:
    """And conversations that end alike are not one."""
    load_task(str(write_task(tmp_path / "apart.json", rows(4, 1), rows(4, 2))))
    file = write_task(tmp_path / "same.json", rows(4, 1), rows(5, 1)[1:])
    with pytest.raises(UserError, match="3 dev items are also in test"):
        load_task(str(file))


def test_a_search_and_what_scores_its_result_have_the_same_system_turn(
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = write_task(tmp_path / "words.json", questions(12, 1), questions(30, 2))
    loud = louder(tiny_experts, tmp_path / "loud")

    def config(name: str, **more: Any) -> SearchConfig:
        return small(tiny_base, loud, [task], tmp_path / name, max_iter=1, space="delta", **more)

    job = prepare(config("unused", system="Say amber."))
    (utility,) = job.utilities("dev", {"words": "likelihood"}).values()
    texts = [text for _, text, _ in utility.texts()]  # type: ignore[attr-defined]
    assert all("Say amber." in text for text in texts)
    result = search(config("run", system="Say amber.")).result
    words = ("--json", "--threads", "1")
    code, out, _ = swarm_llm(capsys, "eval", "--run", tmp_path / "run", *words)
    assert code == 0 and json.loads(out)["value"] == result["best_test"]
    plain = search(config("plain")).result
    assert plain["best_test"] != result["best_test"]
    code, _, err = swarm_llm(capsys, "generate", "Where?", "--run", tmp_path / "run")
    assert code == 0, err
    code, _, err = swarm_llm(
        capsys, "search", "--space", "token", "--experts", tiny_base, tiny_base, "--task", task,
        "--out", tmp_path / "token", "--set", "system=Say amber."
    )  # fmt: skip
    assert code == 2 and "--set system=Say amber.: goes with one --base only" in err


def test_replies_that_end_by_their_length_are_said_once(
    tiny_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, tokenizer = load_tiny(tiny_base)
    model.generation_config.eos_token_id = None
    engine = TransformersEngine(model, tokenizer, batch_tokens=10)
    prompts = [f"Which one of {i}?" for i in range(5)]
    engine.generate(prompts, 31)
    assert caplog.text == ""  # such a limit is meant to cut
    engine.generate(prompts, 32)
    assert "5 of 5 replies reached max_new_tokens, 32, and end in the middle" in caplog.text
    caplog.clear()
    engine.generate(prompts, 40)
    assert caplog.text == ""
