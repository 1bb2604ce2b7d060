"""Likelihoods: planned batches by hand, values against plain passes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny, naive_loglikelihood, naive_logprobs, plain_ids
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.batching import (
    BatchPlan,
    TokenPair,
    build_plan,
    encode_pair,
    shared_prefix,
)
from pyswarmopt_llm.engine.by_token import next_token_logprobs
from pyswarmopt_llm.engine.transformers import TransformersEngine

PAD = 0
# Three symbols only, so that contexts and options often begin alike, repeat, or continue one
# another.
_tokens = st.lists(st.integers(1, 3), max_size=6).map(tuple)
_pairs = st.lists(st.tuples(_tokens.filter(bool), _tokens), max_size=12)


def predictions(plan: BatchPlan) -> list[tuple[int, tuple[int, ...], int]]:
    """(pair, tokens that the predicting position sees in the order of their position ids, predicted
    token).
    """
    contexts = []
    for batch in plan.batches:
        seen, width = batch.allowed(), batch.input_ids.shape[1]
        for head, token, pair in zip(
            batch.target_head, batch.target_token, batch.target_pair, strict=True
        ):
            row, at = divmod(int(batch.heads[head]), width)
            columns = [k for k in range(width) if seen[row, at, k]]
            placed = {
                int(batch.position_ids[row, k]): int(batch.input_ids[row, k]) for k in columns
            }
            places = list(range(len(plan.prefix), len(plan.prefix) + len(columns)))
            assert sorted(placed) == places, "two visible tokens at one position, or a gap"
            assert int(batch.position_ids[row, at]) == places[-1], (
                "the predicting token is not the last one"
            )
            contexts.append((int(pair), (*plan.prefix, *(placed[p] for p in places)), int(token)))
    return contexts


@given(_pairs, st.sampled_from([1, 5, 16, 10**6]))
def test_every_target_sees_exactly_its_context_and_the_continuation_before_it(
    pairs: list[TokenPair], batch_tokens: int
) -> None:
    expected = []
    for index, (context, continuation) in enumerate(pairs):
        for k, token in enumerate(continuation or (0,)):
            expected.append((index, context + continuation[:k], token))
    assert sorted(predictions(build_plan(pairs, batch_tokens))) == sorted(expected)


@given(_pairs, st.sampled_from([1, 5, 16, 10**6]))
def test_no_token_is_fed_twice(pairs: list[TokenPair], batch_tokens: int) -> None:
    plan = build_plan(pairs, batch_tokens)
    # A node of the tree is a context with a proper, non-empty beginning of one of its
    # continuations.
    nodes = {
        (context, continuation[:k])
        for context, continuation in pairs
        for k in range(1, len(continuation))
    }
    contexts = {context for context, _ in pairs}
    n_prefix = len(plan.prefix)
    fed = sum(int((batch.input_ids != PAD).sum()) for batch in plan.batches)
    assert fed == len(nodes) + sum(len(context) - n_prefix for context in contexts)
    assert sum(batch.n_tokens for batch in plan.batches) == fed


@given(_pairs, st.integers(1, 40))
def test_batches_keep_to_the_budget_or_hold_one_row(
    pairs: list[TokenPair], batch_tokens: int
) -> None:
    plan = build_plan(pairs, batch_tokens)
    assert all(b.input_ids.numel() <= batch_tokens or len(b.input_ids) == 1 for b in plan.batches)
    widths = [batch.input_ids.shape[1] for batch in plan.batches]
    assert widths == sorted(widths, reverse=True)
    assert all((batch.input_ids != PAD).any(dim=0).all() for batch in plan.batches), (
        "a column of padding only"
    )


@given(st.lists(_tokens.filter(bool), min_size=2, unique=True))
def test_shared_prefix_is_the_longest_that_leaves_a_token_to_each(
    contexts: list[tuple[int, ...]],
) -> None:
    longest = max(
        n
        for n in range(min(map(len, contexts)))
        if all(context[:n] == contexts[0][:n] for context in contexts)
    )
    assert shared_prefix(contexts) == longest


def pairwise_merging(text: str) -> list[str]:
    """A toy tokenizer that merges any doubled letter and ``<letter>.``: the seam of two texts can
    vanish.
    """
    return [match[0] for match in re.finditer(r"([a-z])\1|[a-z]\.|.", text)]


_texts = st.text(alphabet="ab. ", max_size=5)


@given(_texts.filter(lambda t: t.strip(" ")), _texts.filter(bool), st.booleans())
def test_encode_pair_scores_every_character_of_the_continuation_once(
    context: str, continuation: str, bos: bool
) -> None:
    def encode(text: str) -> list[int]:
        return [0] * bos + [
            vocabulary.setdefault(symbol, len(vocabulary) + 1) for symbol in pairwise_merging(text)
        ]

    vocabulary: dict[str, int] = {}
    head, tail = encode_pair(encode, context, continuation)
    symbols = {i: symbol for symbol, i in vocabulary.items()} | {0: ""}
    stripped = context.rstrip(" ")
    assert "".join(symbols[i] for i in head) == stripped
    assert "".join(symbols[i] for i in tail) == context[len(stripped) :] + continuation
    assert head[:1] == (0,) or not bos
    assert 0 not in (*head[1:], *tail)


Pair = tuple[str, str]
TOLERANCE = 1e-4  # float32, summed over up to some fifty tokens


# contexts that begin alike or not, options that begin alike, of one token or of many lengths
CORPUS = Path(__file__).with_name("pairs.jsonl").read_text(encoding="utf-8").splitlines()
EVERYTHING = [(context, option) for line in CORPUS for context, option in json.loads(line)["pairs"]]


def reference(model: Any, tokenizer: Any, pairs: Sequence[Pair]) -> list[float]:
    encode = plain_ids(tokenizer)
    return [
        naive_loglikelihood(model, encode(context), encode(continuation))
        for context, continuation in pairs
    ]


@pytest.fixture(scope="module")
def tiny(tiny_base: Path) -> tuple[Any, Any]:
    return load_tiny(tiny_base)


@pytest.mark.parametrize("batch_tokens", [1, 40, 300, 10**6])
def test_likelihood_is_that_of_one_pass_per_pair_whatever_the_batches(
    tiny: tuple[Any, Any], batch_tokens: int
) -> None:
    values = TransformersEngine(*tiny, batch_tokens=batch_tokens).loglikelihood(EVERYTHING)
    assert values == pytest.approx(reference(*tiny, EVERYTHING), abs=TOLERANCE)


def test_no_pairs_and_empty_continuations(tiny: tuple[Any, Any]) -> None:
    engine = TransformersEngine(*tiny)
    assert engine.loglikelihood([]) == []
    with pytest.raises(ValueError, match="must not be empty"):
        engine.loglikelihood([("a", "b"), ("a", "")])


def with_specials_around(base: Path) -> Any:
    """The tiny tokenizer as a base model's: no chat template, BOS before and EOS after every
    text.
    """
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = None
    specials = [
        (name, tokenizer.convert_tokens_to_ids(name))
        for name in (tokenizer.bos_token, tokenizer.eos_token)
    ]
    template = f"{specials[0][0]} $A {specials[1][0]}"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=template, special_tokens=specials
    )
    a = plain_ids(tokenizer)("a")
    assert tokenizer("a")["input_ids"] == [tokenizer.bos_token_id, *a, tokenizer.eos_token_id]
    return tokenizer


def test_without_a_chat_template_bos_comes_once_and_eos_never(
    tiny: tuple[Any, Any], tiny_base: Path
) -> None:
    model, tokenizer = tiny[0], with_specials_around(tiny_base)
    engine, bos, encode = (
        TransformersEngine(model, tokenizer),
        tokenizer.bos_token_id,
        plain_ids(tokenizer),
    )
    expected = [naive_loglikelihood(model, [bos, *encode(c)], encode(o)) for c, o in EVERYTHING]
    assert engine.loglikelihood(EVERYTHING) == pytest.approx(expected, abs=TOLERANCE)
    # With nothing before the continuation, BOS is the context; a BOS that is written out is not
    # doubled.
    expected = [naive_loglikelihood(model, [bos], encode("abc"))]
    assert engine.loglikelihood([("", "abc")]) == pytest.approx(expected, abs=TOLERANCE)
    assert engine.loglikelihood([(tokenizer.bos_token, "abc")]) == pytest.approx(
        expected, abs=TOLERANCE
    )
    expected_row = naive_logprobs(model, [bos, *encode("ab")])[-1]
    assert torch.allclose(
        next_token_logprobs(engine, ["ab"])[0].double(), expected_row, atol=TOLERANCE
    )


def test_a_chat_template_writes_its_special_tokens_itself(
    tiny: tuple[Any, Any], tiny_base: Path
) -> None:
    model, tokenizer = tiny[0], with_specials_around(tiny_base)
    tokenizer.chat_template = tiny[1].chat_template
    engine, encode = TransformersEngine(model, tokenizer), plain_ids(tokenizer)
    prompt = engine.chat("Which?")
    assert prompt == "<|im_start|>user\nWhich?<|im_end|>\n<|im_start|>assistant\n"
    assert encode(prompt)[0] == tokenizer.bos_token_id
    expected = naive_loglikelihood(model, encode(prompt), encode("left"))
    assert engine.loglikelihood([(prompt, "left")]) == pytest.approx([expected], abs=TOLERANCE)


def test_a_text_longer_than_the_context_window_is_named(tiny: tuple[Any, Any]) -> None:
    engine = TransformersEngine(*tiny)  # 1024 positions, a token per byte
    assert len(engine.loglikelihood([("a", "b" * 1023)])) == 1
    with pytest.raises(UserError, match=r"needs 1,025 tokens.* holds 1,024"):
        engine.loglikelihood([("a", "b"), ("Long story" + "y" * 1010, "zzzzz")])
    with pytest.raises(UserError, match=r"needs 1,030 tokens"):
        next_token_logprobs(engine, ["Long story" + "y" * 1020])
