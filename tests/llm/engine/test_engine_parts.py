"""Some items alone, and batches: the same numbers, also when memory or plans are short."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.batching import build_plan
from pyswarmopt_llm.engine.transformers import TransformersEngine

PROMPTS = [f"Say {'very ' * k}well:" for k in range(7)]
SIZES = [2048, 1024, 512, 256, 128, 64, 32, 16, 8]
PAIRS = [(prompt, answer) for prompt in PROMPTS for answer in (" yes", " no", " yes, sir")]


@pytest.fixture(scope="module")
def tiny(tiny_base: Path) -> tuple[Any, Any]:
    return load_tiny(tiny_base, torch.bfloat16)


def test_progress_counts_texts_batch_by_batch(tiny: tuple[Any, Any]) -> None:
    engine = TransformersEngine(*tiny, batch_tokens=120)
    told: list[tuple[int, int]] = []
    engine.progress = lambda done, texts: told.append((done, texts))
    silent = TransformersEngine(*tiny, batch_tokens=120)
    assert engine.loglikelihood(PAIRS) == silent.loglikelihood(PAIRS)
    done = [number for number, _ in told]
    assert len(done) == len(engine._plan(tuple(PAIRS), 120).batches) > 2
    assert done == sorted(set(done)) and done[-1] == len(PAIRS) == told[0][1]
    told.clear()
    engine.batch_tokens = 1
    engine.generate(PROMPTS, 5)
    done = [number for number, _ in told]
    assert len(done) > 2 and done == sorted(set(done)) and told[-1] == (len(PROMPTS),) * 2


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


@pytest.mark.parametrize("error", [CUDA, CPU, MemoryError()])
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
        f"out of memory: going on with {tokens} tokens a batch" for tokens in SIZES
    ]
    assert engine.batch_tokens == SIZES[-1]


def test_an_item_that_does_not_fit_by_itself_is_one_clear_line(tiny_base: Path) -> None:
    model, tokenizer = load_tiny(tiny_base)
    engine = TransformersEngine(Short(model, 0, CUDA), tokenizer)
    with pytest.raises(UserError, match="out of memory with a single example"):
        engine.loglikelihood(PAIRS)
    with pytest.raises(UserError, match="out of memory with a single example"):
        engine.generate(PROMPTS, 4)
    other = TransformersEngine(Short(model, 0, RuntimeError("shapes differ")), tokenizer)
    with pytest.raises(RuntimeError, match="shapes differ"):
        other.loglikelihood(PAIRS)


def test_a_long_common_beginning_makes_batches_smaller() -> None:
    prefix = tuple(range(1, 801))
    pairs = [((*prefix, 1000 + k, 2000 + k), (7, 8)) for k in range(40)]
    plan = build_plan(pairs, batch_tokens=256)
    assert len(plan.prefix) == 800
    keys = [len(batch.rows) * (800 + batch.input_ids.shape[1]) for batch in plan.batches]
    assert all(n <= 8 * 256 for n in keys) and max(keys) > 1000
    assert len(build_plan([(c[800:], o) for c, o in pairs], batch_tokens=256).batches) == 1
