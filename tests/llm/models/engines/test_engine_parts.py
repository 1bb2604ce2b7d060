"""Some batches of the questions alone: the same numbers, also when memory or plans are short."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny
from search_helpers import questions

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.metrics import Accuracy
from pyswarmopt_llm.models.engines import transformers as transformers_engine
from pyswarmopt_llm.models.engines.batching import build_plan
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.tasks import Item, Scoring

PROMPTS = [f"Say {'very ' * k}well:" for k in range(7)]
PAIRS = [(prompt, answer) for prompt in PROMPTS for answer in (" yes", " no", " yes, sir")]


@pytest.fixture(scope="module")
def tiny(tiny_base: Path) -> tuple[Any, Any]:
    return load_tiny(tiny_base, torch.bfloat16)


def items() -> list[Item]:
    return [Item(q["id"], q["question"], q["choices"], q["answer"]) for q in questions(12, 1)]


def test_some_batches_alone_give_the_bits_of_the_whole(tiny: tuple[Any, Any]) -> None:
    engine = TransformersEngine(*tiny, batch_tokens=120)
    whole, batches = engine.loglikelihood(PAIRS), engine.likelihood_batches(PAIRS)
    assert len(batches) > 2 and sorted(i for batch in batches for i in batch) == list(
        range(len(PAIRS))
    )
    random.Random(0).shuffle(batches)
    by_batch = dict(engine.loglikelihood_by_batch(PAIRS, [batch[0] for batch in batches[:-1]]))
    assert sorted(by_batch) == sorted(batches[:-1])
    for batch, values in by_batch.items():
        assert values == [whole[i] for i in batch]


def test_whole_batches_of_prompts_alone_are_divided_alike(tiny: tuple[Any, Any]) -> None:
    engine = TransformersEngine(*tiny, batch_tokens=15)
    whole, batches = engine.generate(PROMPTS, 5), engine.generation_batches(PROMPTS, 5)
    assert len(batches) > 2 and sorted(i for batch in batches for i in batch) == list(
        range(len(PROMPTS))
    )
    for some in (batches[:1], batches[1:], batches[::2]):
        kept = sorted(i for batch in some for i in batch)
        alone = [
            tuple(kept[i] for i in batch)
            for batch in engine.generation_batches([PROMPTS[i] for i in kept], 5)
        ]
        assert alone == some
        assert engine.generate([PROMPTS[i] for i in kept], 5) == [whole[i] for i in kept]


@pytest.mark.parametrize("scoring", ["letter", "likelihood", "generate"])
def test_an_items_value_is_that_of_the_whole(scoring: Scoring, tiny: tuple[Any, Any]) -> None:
    engine = TransformersEngine(*tiny, batch_tokens=1 if scoring == "generate" else 200)
    few = items()[: 4 if scoring == "generate" else 12]
    task = Accuracy(few, scoring, engine.chat)
    whole, batches = task(engine), task.batches(engine)
    assert len(batches) > 2 and sorted(i for batch in batches for i in batch) == list(range(task.n))
    for chosen, held in (
        (batches[0], batches[:1]),
        (batches[-1][:1], batches[-1:]),
        (None, batches),
    ):
        scored = [value for batch in task.score_batches(engine, chosen) for value in batch.items()]
        assert sorted(scored) == sorted((i, whole.per_item[i]) for batch in held for i in batch)


def test_the_common_beginning_is_computed_once(tiny: tuple[Any, Any]) -> None:
    engine = TransformersEngine(*tiny, batch_tokens=120)
    plan = engine._plan(tuple(PAIRS))
    assert plan.prefix
    batches = engine.likelihood_batches(PAIRS)
    assert engine.tokens_fed == 0
    running = engine.loglikelihood_by_batch(PAIRS, batches[0] + batches[1])
    next(running)
    assert engine.tokens_fed == len(plan.prefix) + plan.batches[0].n_tokens
    next(running)
    assert (
        engine.tokens_fed == len(plan.prefix) + plan.batches[0].n_tokens + plan.batches[1].n_tokens
    )


# Memory


class Short:
    """A model that runs out of memory above so many rows."""

    def __init__(self, model: Any, rows: int, error: Exception) -> None:
        self._model, self._rows, self._error = model, rows, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, input_ids: torch.Tensor, **more: Any) -> Any:
        if len(input_ids) > self._rows:
            raise self._error
        return self._model(input_ids=input_ids, **more)


CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize("error", [CUDA, CPU])
def test_out_of_memory_halves_the_batch_and_says_so_once(
    error: Exception, tiny_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, tokenizer = load_tiny(tiny_base)
    plenty = TransformersEngine(model, tokenizer, batch_tokens=4096)
    expected, texts = plenty.loglikelihood(PAIRS), plenty.generate(PROMPTS, 4)
    engine = TransformersEngine(Short(model, 2, error), tokenizer, batch_tokens=4096)
    with caplog.at_level(logging.WARNING):
        assert engine.loglikelihood(PAIRS) == pytest.approx(expected, abs=1e-4)
        assert engine.generate(PROMPTS, 4) == texts
    assert [record.message for record in caplog.records] == [
        "out of memory with 4096 tokens per batch: continuing with smaller batches"
    ]
    assert engine.batch_tokens == 2048
    assert engine.tokens_fed > 0


def test_an_item_that_does_not_fit_by_itself_is_one_clear_line(tiny_base: Path) -> None:
    model, tokenizer = load_tiny(tiny_base)
    engine = TransformersEngine(Short(model, 0, CUDA), tokenizer)
    with pytest.raises(UserError, match="out of memory with a single item"):
        engine.loglikelihood(PAIRS)
    with pytest.raises(UserError, match="out of memory with a single item"):
        engine.generate(PROMPTS, 4)
    other = TransformersEngine(Short(model, 0, RuntimeError("shapes differ")), tokenizer)
    with pytest.raises(RuntimeError, match="shapes differ"):
        other.loglikelihood(PAIRS)


def test_a_long_common_beginning_makes_batches_smaller() -> None:
    prefix = tuple(range(1, 801))
    pairs = [((*prefix, 1000 + k, 2000 + k), (7, 8)) for k in range(40)]
    plan = build_plan(pairs, batch_tokens=256, pad=0)
    assert len(plan.prefix) == 800
    keys = [len(batch.rows) * (800 + batch.input_ids.shape[1]) for batch in plan.batches]
    assert all(n <= 8 * 256 for n in keys) and max(keys) > 1000
    assert len(build_plan([(c[800:], o) for c, o in pairs], batch_tokens=256, pad=0).batches) == 1


def test_plans_are_kept_but_not_without_limit(
    tiny: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_engine, "_PLANS", 3)
    engine = TransformersEngine(*tiny)
    keys = [((f"Q{k}", "a"),) for k in range(5)]
    first = engine._plan(keys[0])
    for key in keys[1:]:
        engine._plan(key)
        assert engine._plan(keys[0]) is first  # used again and again, so kept
    assert len(engine._plans) == 3
