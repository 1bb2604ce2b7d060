"""Greedy generation against transformers' own, one prompt at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny, naive_greedy, plain_ids, tokens_read

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.generation import Draw, write
from pyswarmopt_llm.engine.transformers import TransformersEngine

PROMPTS = ["b", "The answer is", "Tell me a story about the sea. " * 3, "xyz", "b", "One. Two."]
NEW = 12


@pytest.fixture
def tiny(tiny_base: Path) -> tuple[Any, Any]:
    """Anew for each test: these tests change what ends a text."""
    return load_tiny(tiny_base)


@pytest.fixture(scope="module")
def tiny_forever(tiny_base: Path) -> tuple[Any, Any]:
    """Never changed by a test; here nothing ends a text but its length."""
    model, tokenizer = load_tiny(tiny_base)
    model.generation_config.eos_token_id = None
    return model, tokenizer


def reference(model: Any, tokenizer: Any) -> list[list[int]]:
    """New ids of each of `PROMPTS`, the stop token included."""
    return [
        naive_greedy(model, plain_ids(tokenizer)(p), NEW, tokenizer.pad_token_id) for p in PROMPTS
    ]


def texts(
    tokenizer: Any, sequences: Sequence[Sequence[int]], stops: Sequence[int] = ()
) -> list[str]:
    """What a user reads: up to the stop token, without special tokens."""
    return [
        tokenizer.decode([i for i in ids if i not in stops], skip_special_tokens=True)
        for ids in sequences
    ]


@pytest.mark.parametrize("batch_tokens", [1, 100, 10**6])
def test_texts_are_those_of_one_prompt_at_a_time(
    tiny_forever: tuple[Any, Any], batch_tokens: int
) -> None:
    expected = reference(*tiny_forever)
    assert len({tuple(ids) for ids in expected}) == len(set(PROMPTS)), (
        "the reference tells the prompts apart"
    )
    replies = TransformersEngine(*tiny_forever, batch_tokens=batch_tokens).generate(PROMPTS, NEW)
    assert replies == texts(tiny_forever[1], expected)


def test_a_finished_text_leaves_the_batch_and_the_others_go_on(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    free = reference(model, tokenizer)
    # What two of the prompts would say at their third and sixth token ends every text from now on.
    stops = [tokenizer.eos_token_id, free[1][2], free[2][5]]
    model.generation_config.eos_token_id = stops
    expected = reference(model, tokenizer)
    lengths = [len(ids) for ids in expected]  # forward passes that each prompt takes part in
    assert min(lengths) < max(lengths), "the texts end at different steps"

    engine = TransformersEngine(model, tokenizer)
    read = tokens_read(model)
    assert engine.generate(PROMPTS, NEW) == texts(tokenizer, expected, stops)
    # Different prompts without their padding, then a token of each.
    assert read == [sum(map(engine.count_tokens, {*PROMPTS}))] + [
        sum(length > step for length in lengths) for step in range(1, max(lengths))
    ]


def test_a_candidate_writes_the_same_replies_once(tiny_forever: tuple[Any, Any]) -> None:
    engine = TransformersEngine(*tiny_forever)
    read = tokens_read(engine.model)
    replies = engine.generate(PROMPTS, NEW)
    passes = len(read)
    again = engine.generate(PROMPTS, NEW)
    assert again == replies and len(read) == passes
    again.clear()  # what the caller does with them is its own affair
    assert engine.generate(PROMPTS, NEW) == replies
    assert engine.generate(PROMPTS, NEW - 1) != replies and len(read) > passes
    draws = [Draw(1.0, tuple(range(seed, seed + len(PROMPTS)))) for seed in (1, 2)]
    first, second = (engine.generate(PROMPTS, NEW, draw) for draw in draws)
    assert first != second and first != replies
    passes = len(read)
    engine.load(Patch())
    assert engine.generate(PROMPTS, NEW) == replies and len(read) > passes


def test_bfloat16_writes_what_the_same_weights_write_but_for_rounding(tiny_base: Path) -> None:
    """Processors round bfloat16 differently, so a token may be one that the same weights in float32
    hold for as good.
    """
    model, tokenizer = load_tiny(tiny_base, torch.bfloat16)
    engine = TransformersEngine(model, tokenizer, batch_tokens=1)
    asked = [*map(engine.encode_prompt, PROMPTS)]
    said = write([engine], [asked], NEW)
    exact = model.float()
    for ids, reply in zip(asked, said, strict=True):
        with torch.inference_mode():
            logits = exact(torch.tensor([[*ids, *reply]])).logits[0, len(ids) - 1 : -1]
        lost = logits.max(dim=1).values - logits[range(len(reply)), reply]
        assert (lost <= 0.05 * logits.std()).all()
