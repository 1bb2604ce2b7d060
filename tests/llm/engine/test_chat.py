"""Prompts of conversations: system turns, earlier turns, models that think, replies cut off."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from engine_reference import load_tiny
from search_helpers import louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.chat import PromptTokenizer, rendered, reply_frame, split_chat
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.metrics.by_name import METRICS, find_metric
from pyswarmopt_llm.scores.metrics.objectives import answer_formats_of, check_window
from pyswarmopt_llm.scores.tasks import Item, Task, load_task
from pyswarmopt_llm.scores.tasks.answers import check
from pyswarmopt_llm.scores.tasks.stated import without_thoughts
from pyswarmopt_llm.searching.prepare import prepare

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% if enable_thinking is false %}<no>{% endif %}"
    "{% endif %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TALK = [
    {"role": "user", "content": "I have a cat."},
    {"role": "assistant", "content": "Nice."},
    {"role": "user", "content": "What do I have?"},
]


def prompt_of(tokenizer: Any, system: str, user: str, earlier: Any = (), thinking: int = 0) -> str:
    engine = PromptTokenizer(tokenizer, None)
    engine.system, engine.thinking = system, thinking
    return engine.chat(user, earlier)


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


def test_models_that_can_think_first_do_where_that_is_asked_for(
    tiny_base: Path, tokenizer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Their thoughts come on top of the reply's length, and the end of both is told."""
    assert prompt_of(tokenizer, "", "Hi") == "<user>Hi<assistant><no>"
    assert prompt_of(tokenizer, "", "Hi", thinking=1) == "<user>Hi<assistant>"
    model, _ = load_tiny(tiny_base)
    model.generation_config.eos_token_id = None
    engine = TransformersEngine(model, tokenizer)
    prompts = [engine.chat(f"Which one of {i}?") for i in range(4)]
    assert all(prompt.endswith("<no>") for prompt in prompts)
    engine.thinking = 30
    thoughtful = [engine.chat(f"Which one of {i}?") for i in range(4)]
    assert [f"{prompt}<no>" for prompt in thoughtful] == prompts
    texts = engine.generate(thoughtful, 6)
    engine.thinking = 0
    assert texts == engine.generate(thoughtful, 36)
    assert "reached max_new_tokens (36)" in caplog.text


OPENS = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")


def test_a_thought_that_the_template_begins_is_closed_before_an_answer(tokenizer: Any) -> None:
    """As Qwen 3's template does where no thought is asked for."""
    tokenizer.chat_template = OPENS
    head = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n"
    closed = f"{head}\n</think>\n\n"
    assert prompt_of(tokenizer, "", "Hi") == closed
    assert prompt_of(tokenizer, "", "Hi", thinking=1) == head
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]
    assert split_chat(tokenizer, turns) == (closed, "Yes.<|im_end|>")
    assert reply_frame(tokenizer) == ("", "<|im_end|>")


def test_a_reply_that_never_ends_its_thought_answers_nothing(
    tiny_base: Path, tokenizer: Any
) -> None:
    """The thought begins in the prompt, so that the model does not write its mark."""
    tokenizer.chat_template = OPENS
    engine = TransformersEngine(load_tiny(tiny_base)[0], tokenizer)
    engine.thinking = 4
    (text,) = engine.generate([engine.chat("Which one?")], 4)
    assert text.startswith("<think>\n") and len(text) > len("<think>\n")
    assert without_thoughts(text) == ""


def test_a_reply_ends_where_the_template_ends_a_turn(tiny_base: Path, tokenizer: Any) -> None:
    """The tokenizer and the configuration name another end."""
    tokenizer.chat_template = CHATML
    model, _ = load_tiny(tiny_base)
    ends = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert ends in TransformersEngine(model, tokenizer).stops()
    model.generation_config.eos_token_id = tokenizer.eos_token_id = 5
    assert TransformersEngine(model, tokenizer).stops() == {5, ends}
    tokenizer.chat_template = None
    assert TransformersEngine(model, tokenizer).stops() == {5}


def test_thoughts_must_fit_the_window(tiny_base: Path, tmp_path: Path) -> None:
    file = write_task(tmp_path / "t.json", questions(4, 1), questions(4, 2))
    config = small(tiny_base, [tiny_base], [file], tmp_path / "run")
    engine = TransformersEngine(*load_tiny(tiny_base))
    task = load_task(str(file))
    check_window(task, "generate", engine, metric=find_metric("exact-match"))
    engine.thinking = config.thinking + 1000
    check_window(task, "likelihood", engine)
    with pytest.raises(UserError, match=r"generate scoring needs 1,[12]\d\d tokens"):
        check_window(task, "generate", engine, metric=find_metric("exact-match"))


def test_what_is_scored_is_what_comes_after_the_thoughts() -> None:
    item = Item("1", "Two plus two?", None, "4")
    reply = "<think>3 and 1, or 5?</think> 4"
    score = find_metric("exact-match").on([item], "generate", lambda user, earlier=(): user, None)
    assert score.judge([reply]) == [1.0] == score.judge(["4"])
    chosen = Item("2", "Two plus two?", {"A": "four", "B": "five"}, "A")
    assert check(chosen, "<think>Answer: B? No.</think> Answer: A")


class Thinker:
    """An engine whose replies begin with thoughts that name the wrong thing, or with none."""

    def __init__(self, thinks: bool) -> None:
        self.thoughts = "<think>It could be false, or B, by 1 and 2.</think>" if thinks else ""

    def generate(self, prompts: list[str], max_new_tokens: int = 64) -> list[str]:
        assert not any("<think>" in prompt for prompt in prompts)
        asked = ["Proposed answer" in prompt for prompt in prompts]
        return [self.thoughts + ("True" if doubted else "A: four") for doubted in asked]


def test_every_score_of_written_replies_is_that_of_what_comes_after_the_thoughts(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text(
        "def words(prompt, reply):\n    return len(reply.split())\n"
        "def all_words(replies):\n    return [len(reply.split()) for reply in replies]\n"
    )
    item = Item("1", "Two plus two?", {"A": "four", "B": "five"}, "A")
    others = ("judge", "tokens")  # which counts thoughts, too
    plain = [name for name in METRICS if ":" not in name and name not in others]
    specs = [*plain, *(f"{tmp_path}/mine.py:{name}" for name in ("words", "all_words"))]
    for name in specs:
        try:
            metric = find_metric(name)
        except (UserError, OSError):  # it needs an argument, a file, a model or a server
            continue
        if answer_formats_of(metric, "generate", Task("t", (item,), (item,))) != ("generate",):
            continue
        utility = metric.on([item], "generate", lambda user, earlier=(): user, None)
        scores = [utility(Thinker(thinks)) for thinks in (True, False)]  # type: ignore[arg-type]
        assert scores[0].per_item == scores[1].per_item, name


def test_a_conversations_own_system_turn_comes_first(tokenizer: Any) -> None:
    own = [{"role": "system", "content": "Rhyme."}]
    prompt = prompt_of(tokenizer, "Be brief.", "Hi", own)
    assert prompt == "<system>Rhyme.<user>Hi<assistant><no>"
    tokenizer.chat_template = None
    assert prompt_of(tokenizer, "Be brief.", "Hi", TALK[:2]) == (
        "Be brief.\nI have a cat.\nNice.\nHi\n"
    )


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


def test_a_template_without_system_turns_has_the_text_before_the_first_question(
    tiny_base: Path, tokenizer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As Gemma's authors advise; templates refuse system turns, or leave them out."""
    system = {"role": "system", "content": "Be brief."}
    refused = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    )
    ignored = "{% for m in messages if m.role != 'system' %}"
    for loop in (refused, ignored):
        tokenizer.chat_template = TEMPLATE.replace("{% for m in messages %}", loop)
        asked = (
            "<user>Be brief.\n\nI have a cat.<assistant>Nice.<user>What do I have?<assistant><no>"
        )
        assert prompt_of(tokenizer, "", TALK[-1]["content"], [system, *TALK[:-1]]) == asked
        assert prompt_of(tokenizer, "Be brief.", TALK[-1]["content"], TALK[:-1]) == asked
    assert caplog.text.count("has no system turn") == 2


def test_a_template_that_drops_what_a_user_says_is_refused(tokenizer: Any) -> None:
    """Templates for images take a list of parts, and write nothing of a text."""
    tokenizer.chat_template = (
        "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}A:"
    )
    with pytest.raises(UserError, match="omits"):
        prompt_of(tokenizer, "", "Which team?")


@pytest.mark.parametrize("form", ["%d %b %Y", "%Y-%m-%d", "%-d %B %Y", "%A, %H:%M"])
def test_a_template_that_asks_for_the_day_gets_a_fixed_one(tokenizer: Any, form: str) -> None:
    """As Python writes it; nothing else of the prompt changes."""
    day_first = (
        f"{{% if strftime_now is defined %}}\n{{{{ strftime_now('{form}') }}}}|{{% endif %}}"
    )
    tokenizer.chat_template = f"  {day_first}{TEMPLATE}"
    today = tokenizer.apply_chat_template(TALK, tokenize=False, enable_thinking=False)
    told = datetime(2024, 7, 26, 12).strftime(form)  # the default of Llama 3's templates
    assert rendered(tokenizer, TALK) == f"{told}|{today.partition('|')[2]}"
