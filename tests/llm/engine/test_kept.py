"""What an engine keeps of texts is limited by their size, for one thread or several."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engine_reference import load_tiny

from pyswarmopt_llm.engine import chat, transformers
from pyswarmopt_llm.engine.kept import Kept
from pyswarmopt_llm.engine.transformers import TransformersEngine

LONG = [(" ".join([f"word{k}"] * 40), " yes") for k in range(12)]


@pytest.mark.parametrize("limit", ["pairs", "plans"])
def test_long_texts_are_tokenised_again_in_place_of_being_kept(
    limit: str, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve pairs are far fewer than any count of entries; their tokens exceed the limit."""
    model, tokenizer = load_tiny(tiny_base)
    free = TransformersEngine(model, tokenizer)
    expected = free.loglikelihood(LONG)
    tokens = sum(map(len, (free.encode(context + reply) for context, reply in LONG)))
    monkeypatch.setattr(chat, "TOKENS", tokens // 2 if limit == "pairs" else 2**23)
    monkeypatch.setattr(transformers, "TOKENS", tokens // 2 if limit == "plans" else 2**23)
    engine = TransformersEngine(model, tokenizer)
    encoded: list[str] = []
    encode = engine.encode
    monkeypatch.setattr(engine, "encode", lambda text: encoded.append(text) or encode(text))
    planned: list[int] = []
    plan = engine.passes.plan
    monkeypatch.setattr(engine.passes, "plan", lambda *a: planned.append(len(a[0])) or plan(*a))
    assert engine.loglikelihood(LONG) == engine.loglikelihood(LONG) == expected
    assert len(planned) == (2 if limit == "plans" else 1)
    encoded.clear()
    assert engine.loglikelihood(LONG[-3:]) == pytest.approx(expected[-3:], abs=1e-4)
    assert encoded == []  # the last ones are kept in any case
    engine.loglikelihood(LONG[:3])
    assert (encoded != []) == (limit == "pairs")


def test_threads_share_what_is_kept() -> None:
    kept: Kept[list[int]] = Kept(lambda key, value: len(value), most=60)

    def ask(seed: int) -> bool:
        rng = random.Random(seed)
        keys = [rng.randrange(30) for _ in range(3000)]
        return all(kept.get(key, lambda k=key: [k] * k) == [key] * key for key in keys)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))
    there = [key for key in range(30) if kept.get(key, lambda: [-1]) != [-1]]
    assert there and sum(there) <= 60
