"""Benchmark this machine briefly for the fastest dtype, number of threads and tokens per batch.

The result becomes part of the run's configuration, so that a resumed run computes in the same way. It is not the
default: two trials may choose differently, so such runs are not bit-for-bit reproducible.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.models.base import BaseModel, load_model
from pyswarmopt_llm.models.engines.hardware import out_of_memory, pick_device, pick_dtype

_SMALLEST, _LARGEST = 128, 32_768  # tokens in a batch
_ROW = 64  # tokens in a row of the trial: a short question
_WORTH = 1.05  # a larger batch has to be faster by this factor
_SECONDS = 1.0


def calibrated(config: SearchConfig, base: BaseModel) -> tuple[SearchConfig, dict[str, Any]]:
    """The configuration with dtype, threads and batch_tokens chosen where they are at their defaults.

    Args:
        config: the configuration, with `calibrate` set.
        base: the model to run.

    Returns:
        The configuration with `calibrate` off, and the measurements by option.
    """
    device = pick_device(config.device)
    found: dict[str, Any] = {}
    if config.dtype == "auto" and device.type == "cpu":
        native = {str(dtype).removeprefix("torch.") for dtype in (pick_dtype("auto", device), torch.float32)}
        found["dtype"] = {name: _matmul_seconds(getattr(torch, name)) for name in sorted(native)}
        config = replace(config, dtype=min(found["dtype"], key=lambda name: found["dtype"][name]))
    elif config.dtype == "auto":
        config = replace(config, dtype=str(pick_dtype("auto", device)).removeprefix("torch."))
    model, _ = load_model(base, getattr(torch, config.dtype), device)
    if config.threads is None and device.type == "cpu":
        found["threads"] = {n: _pass_seconds(model, _SMALLEST, n) for n in sorted({1, *_cores()})}
        config = replace(config, threads=min(found["threads"], key=lambda n: found["threads"][n]))
        torch.set_num_threads(config.threads or 1)
    if config.batch_tokens == SearchConfig.batch_tokens:
        found["batch_tokens"] = _seconds_per_token(lambda tokens: _pass_seconds(model, tokens))
        config = replace(config, batch_tokens=smallest_worth_it(found["batch_tokens"]))
    return replace(config, calibrate=False), found  # a resumed run chooses nothing


def smallest_worth_it(seconds_per_token: Mapping[int, float]) -> int:
    """The smallest batch size that is at most 5% slower than the fastest.

    Example:
        >>> smallest_worth_it({128: 3.0, 256: 1.02, 512: 1.0, 1024: 1.1})
        256
    """
    fastest = min(seconds_per_token.values())
    return min(tokens for tokens, seconds in seconds_per_token.items() if seconds <= _WORTH * fastest)


def _seconds_per_token(measure: Callable[[int], float]) -> dict[int, float]:
    """Time per token for growing batches, until they get slower or memory or time runs out."""
    found: dict[int, float] = {}
    began, tokens = time.perf_counter(), _SMALLEST
    while tokens <= _LARGEST and (len(found) < 2 or time.perf_counter() - began < _SECONDS):
        try:
            found[tokens] = measure(tokens) / tokens
        except RuntimeError as error:
            if not out_of_memory(error) or not found:
                raise
            break
        if found[tokens] > _WORTH * min(found.values()):
            break
        tokens *= 2
    return found


def _cores() -> set[int]:
    """All cores and half of them: hyperthreads may help or hurt."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {cores, max(cores // 2, 1)}


@torch.inference_mode()
def _pass_seconds(model: Any, tokens: int, threads: int | None = None) -> float:
    """The faster of two forward passes over a batch of short rows."""
    if threads is not None:
        torch.set_num_threads(threads)
    ids = torch.zeros(max(tokens // _ROW, 1), _ROW, dtype=torch.int64, device=model.device)

    def work() -> None:
        model.base_model(input_ids=ids, use_cache=False)
        if ids.is_cuda:
            torch.cuda.synchronize()

    return min(_seconds(work) for _ in range(2))


@torch.inference_mode()
def _matmul_seconds(dtype: torch.dtype) -> float:
    """The fastest of a few products of the size of a small model's layers."""
    x, w = torch.ones(256, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    return min(_seconds(lambda: torch.nn.functional.linear(x, w)) for _ in range(4))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
