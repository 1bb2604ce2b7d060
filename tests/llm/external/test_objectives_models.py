"""Utilities that read likelihoods and rewards, against transformers itself."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_engine import FakeEngine

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.external.classifiers import RewardModel, controllability
from pyswarmopt_llm.external.judge import RUBRIC, asked, expected, ratings
from pyswarmopt_llm.published.abstention import Abstention
from pyswarmopt_llm.scores.metrics.text import InversePerplexity
from pyswarmopt_llm.scores.tasks import Item

PROMPTS = [
    Item(str(i), text, None, "", plain=True)
    for i, text in enumerate(("Hello", "Why is the sky blue?", "2+2"))
]


@pytest.fixture(scope="module")
def engine(tiny_base: Path) -> Any:
    return load_engine(resolve_base(str(tiny_base)), "float32", "cpu", 1)


def test_inverse_perplexity_against_the_models_own_loss(engine: Any) -> None:
    item = Item("1", "Where?", None, "In a café.")
    prompt = engine.chat("Question: Where?")
    ids = engine.tokenizer(prompt + item.answer, return_tensors="pt", add_special_tokens=False)[
        "input_ids"
    ]
    start = len(engine.tokenizer(prompt, add_special_tokens=False)["input_ids"])
    labels = ids.clone()
    labels[:, :start] = -100
    with torch.no_grad():
        loss = float(engine.model(input_ids=ids, labels=labels).loss)
    # One token is one byte in this tokenizer, so the mean loss per token is that per byte.
    assert ids.shape[1] - start == len(item.answer.encode())
    assert InversePerplexity([item], "likelihood", engine.chat)(engine).value == pytest.approx(
        math.exp(-loss), rel=1e-4
    )


class Reflecting(FakeEngine):
    """Prefers an option by its letter; believes what is proposed if it holds a word."""

    def loglikelihood(self, pairs: Any) -> list[float]:
        self.received += pairs
        return [
            float(("sure" in context) == (text == "True"))
            if text in ("True", "False")
            else self.likelihoods[text]
            for context, text in pairs
        ]


def test_abstention_by_hand() -> None:
    engine = Reflecting({"A": -1.0, "B": -2.0})
    items = [
        Item("right and believed", "?", {"A": "sure", "B": "x"}, "A"),
        Item("wrong and believed", "?", {"A": "sure", "B": "x"}, "B"),
        Item("right, withheld", "?", {"A": "x", "B": "y"}, "A"),
        Item("wrong, withheld", "?", {"A": "x", "B": "y"}, "B"),
    ]
    metric = Abstention(items, "letter", engine.chat)
    assert metric(engine).per_item == (1.0, -1.0, 0.0, 0.0)
    assert metric(engine, [2, 0]).per_item == (0.0, 1.0)
    assert metric(engine).answers == ("A",) * 4
    context, _ = engine.received[-1]
    assert "A: x\nB: y" in context and "Proposed answer: x\n" in context


def test_written_answers_are_reflected_on_in_writing() -> None:
    """As in the released code what was written is proposed as it is; a verdict of "false" withholds."""
    verdicts = {"0": "True.", "1": "I think this is FALSE", "2": "true", "3": "It is false, since"}
    asked: list[tuple[str, int]] = []

    class Writer(FakeEngine):
        def generate(self, prompts: Any, max_new_tokens: int = 0) -> list[str]:
            asked.extend((prompt, max_new_tokens) for prompt in prompts)
            return [
                verdicts[prompt[prompt.index("Number") + 7]]
                if "Proposed answer" in prompt
                else "A, I am sure"
                for prompt in prompts
            ]

    items = [
        Item(str(k), f"Number {k}?", {"A": "x", "B": "y"}, right) for k, right in enumerate("AABB")
    ]
    engine = Writer({})
    metric = Abstention(items, "generate", engine.chat)
    assert metric(engine).per_item == (1.0, 0.0, -1.0, 0.0)
    assert [tokens for _, tokens in asked] == [128] * 4 + [10] * 4
    assert "Proposed answer: A, I am sure\n" in asked[4][0]
    assert [tokens for _, _, tokens in metric.texts()] == [128] * 4 + [138] * 4


# Rewards


def save_reward(base: Path, folder: Path, outputs: int = 1, **without: None) -> Path:
    """A random reward model on the tiny base's sizes; `without` are attributes of its tokenizer."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    config = LlamaConfig.from_pretrained(base, num_labels=outputs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(base)
    for name, value in without.items():
        setattr(tokenizer, name, value)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reward_folder(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_reward(tiny_base, tmp_path_factory.mktemp("reward") / "model")


def test_batched_rewards_are_those_of_single_chats(reward_folder: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    replies = ["yes", "Because of the way light scatters. " * 20, ""]
    found = RewardModel(str(reward_folder)).scores(PROMPTS, replies)
    model = AutoModelForSequenceClassification.from_pretrained(
        reward_folder, dtype=torch.float32
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(reward_folder)
    for item, reply, value in zip(PROMPTS, replies, found, strict=True):
        chat = [{"role": "user", "content": item.question}, {"role": "assistant", "content": reply}]
        ids = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)[
            "input_ids"
        ]
        with torch.no_grad():
            # The last position's score, by hand.
            hidden = model.model(input_ids=ids).last_hidden_state[:, -1]
            assert value == pytest.approx(float(model.score(hidden)), abs=1e-4)


def test_verbose_and_concise_contradict_each_other(reward_folder: Path) -> None:
    model = RewardModel(str(reward_folder))
    replies = ["x" * 20, "x" * 150, "x" * 900]  # bytes are tokens here
    verbose, concise = model.verbose(PROMPTS, replies), model.concise(PROMPTS, replies)
    rewards = model.scores(PROMPTS, replies)
    for share, reward, *found in zip((0.1, 0.75, 1), rewards, verbose, concise, strict=True):
        squashed = 1 / (1 + math.exp(-reward))
        assert found == pytest.approx([(squashed + share) / 2, (squashed + 1 - share) / 2])


def test_models_that_are_no_rewards(tiny_base: Path, tmp_path: Path) -> None:
    two = save_reward(tiny_base, tmp_path / "two", outputs=2)
    unpadded = save_reward(tiny_base, tmp_path / "unpadded", pad_token=None)
    for folder, message in (
        (tiny_base, r"missing weights, such as score\.weight"),
        (two, "this one has 2"),
        (unpadded, "no padding token"),
    ):
        with pytest.raises(UserError, match=message):
            RewardModel(str(folder))


def test_a_local_judge_expects_a_rating(engine: Any) -> None:
    """Against the probabilities of the ten answers, one by one."""
    replies = ["yes", "Because of the way light scatters.", ""]
    found = ratings(partial(expected, engine), RUBRIC, PROMPTS, replies)
    for item, reply, rating in zip(PROMPTS, replies, found, strict=True):
        chat = engine.chat(asked(item, reply))
        weights = [
            math.exp(engine.loglikelihood([(chat, f"Rating: {k}/10")])[0]) for k in range(1, 11)
        ]
        assert rating == pytest.approx(
            sum(k * w for k, w in enumerate(weights, 1)) / sum(weights), rel=1e-3
        )
        assert 1.0 <= rating <= 10.0


def test_controllability() -> None:
    assert controllability(["a b c", "a b", "a"], ["a", "a b", "a b"]) == pytest.approx(0.5)
    assert controllability(["a b"], ["abcdef"]) == 1.0  # words, not letters
