"""Weighted sums of probabilities, and the table of options: against the sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from engine_reference import naive_logprobs, tokens_read
from hypothesis import given
from hypothesis import strategies as st
from tokens_helpers import byte_level, member, sentence_piece

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.tokens.engine import MixtureEngine
from pyswarmopt_llm.tokens.mixing import ask_members, log_mixture

PAIRS = [("the one", "another"), ("the one", "a"), ("on and on", "then"), ("x", "no one")]


@given(
    st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0.001, 1.0)), min_size=1, max_size=5),
    st.floats(-600, 0),
)
def test_the_log_of_a_weighted_sum(members: list[tuple[float, float]], shift: float) -> None:
    """Against plain arithmetic; far below what a probability can be as a float it still holds."""
    weights = torch.tensor([w for w, _ in members], dtype=torch.float64)
    logprobs = torch.tensor([math.log(p) for _, p in members], dtype=torch.float64)
    plain = math.log(sum(w * p for w, p in members))
    assert float(log_mixture(logprobs, weights)) == pytest.approx(plain, abs=1e-9)
    assert float(log_mixture(logprobs + shift, weights)) == pytest.approx(plain + shift, abs=1e-9)


def by_hand(engine: MixtureEngine, weights: list[float], context: str, continuation: str) -> float:
    """log of the product over tokens of sum_i w_i p_i: one plain forward pass per member and
    token.
    """
    total = 0.0
    tokens = next(iter(engine.members.values())).tokenizer(continuation, add_special_tokens=False)[
        "input_ids"
    ]
    for k, token in enumerate(tokens):
        mixed = 0.0
        for weight, one in zip(weights, engine.members.values(), strict=True):
            ids = [*one.encode_prompt(one.chat(context)), *tokens[:k]]
            mixed += weight * math.exp(float(naive_logprobs(one.model, ids)[-1, token]))
        total += math.log(mixed)
    return total


@pytest.mark.parametrize("weights", [[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
def test_members_with_one_tokenizer_are_mixed_token_by_token(weights: list[float]) -> None:
    tokenizer = byte_level()
    engine = MixtureEngine(
        {name: member(tokenizer, "llama", seed) for seed, name in enumerate("abc")}
    )
    engine.load(Patch(mixture=tuple(weights)))
    found = engine.loglikelihood(PAIRS)
    assert found == pytest.approx([by_hand(engine, weights, *pair) for pair in PAIRS], abs=2e-4)


def test_members_of_different_tokenizers_are_mixed_option_by_option() -> None:
    members = {
        "bytes": member(byte_level(), "gpt2"),
        "pieces": member(sentence_piece(), "llama", 1),
    }
    engine = MixtureEngine(members)
    assert not engine.same_tokenizer
    engine.load(Patch(mixture=(0.25, 0.75)))
    own = [
        m.loglikelihood([(m.chat(context), option) for context, option in PAIRS])
        for m in members.values()
    ]
    plain = [math.log(0.25 * math.exp(a) + 0.75 * math.exp(b)) for a, b in zip(*own, strict=True)]
    assert engine.loglikelihood(PAIRS) == pytest.approx(plain, abs=1e-9)


def test_the_members_are_asked_once() -> None:
    engine = MixtureEngine({"a": member(byte_level()), "b": member(byte_level(), seed=1)})
    first = engine.loglikelihood(PAIRS)
    read = [tokens_read(m.model) for m in engine.members.values()]
    engine.load(Patch(mixture=(0.9, 0.1)))
    assert engine.loglikelihood(PAIRS) != first
    assert read == [[], []]


def test_templates_that_cut_an_option_differently_are_mixed_option_by_option() -> None:
    """One tokenizer, but behind a template that ends in "t" the option "he" is not cut as behind a
    line break.
    """
    plain = byte_level(template="{{ messages[0]['content'] }}\n")
    odd = byte_level(template="{{ messages[0]['content'] }}\nt ")
    members = {"plain": member(plain), "odd": member(odd, seed=1)}
    table = ask_members(members, [("x", "he")], by_token=True)
    assert table.logprobs.shape == (1, 2)
