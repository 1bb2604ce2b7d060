"""Text from a mixture: against the same sum written out, and against members alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from engine_reference import naive_logprobs
from tokens_helpers import MERGES, byte_level, member, sentence_piece

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.engine import FUSIONS, MixtureEngine

USERS = ["the one", "on and on", "another question of some length?"]


def greedy_by_hand(
    members: Sequence[TransformersEngine], weights: Sequence[float], user: str, n: int
) -> str:
    """Every token from plain forward passes over everything so far."""
    written: list[int] = []
    for _ in range(n):
        mixed = sum(
            weight
            * naive_logprobs(one.model, [*one.encode_prompt(one.chat(user)), *written])[-1].exp()
            for one, weight in zip(members, weights, strict=True)
        )
        token = int(mixed.argmax())  # type: ignore[union-attr]
        if token in members[0].stops():
            break
        written.append(token)
    return str(members[0].tokenizer.decode(written, skip_special_tokens=True))


def test_the_exact_mixture_writes_what_the_sum_says() -> None:
    """Members with one tokenizer and chat templates of different length; a batch of prompts of
    different length.
    """
    short = byte_level(template="{{ messages[0]['content'] }}\n")
    members = [member(byte_level(), "llama"), member(short, "gpt2", 1)]
    engine = MixtureEngine({"a": members[0], "b": members[1]})
    engine.load(Patch(mixture=(0.6, 0.4)))
    assert engine.fusion == "exact"
    expected = [greedy_by_hand(members, [0.6, 0.4], user, 8) for user in USERS]
    assert engine.generate(USERS, 8) == expected
    engine.load(Patch(mixture=(0.0, 1.0)))
    assert engine.generate(USERS, 8) == members[1].generate(
        [members[1].chat(user) for user in USERS], 8
    )


@pytest.mark.parametrize("fusion", FUSIONS[1:])
def test_members_of_three_vocabularies_write_a_text(fusion: str) -> None:
    engine = MixtureEngine(
        {
            "a": member(byte_level(), "llama"),
            "b": member(byte_level(MERGES[:2]), "gpt2", 1),
            "c": member(sentence_piece([("t", "h")]), "qwen3", 2),
        },
        fusion,
    )
    engine.load(Patch(mixture=(0.5, 0.3, 0.2)))
    (text,) = engine.generate(USERS[:1], 5)
    assert len(text) <= (20 if fusion == "bytes" else 1000)
