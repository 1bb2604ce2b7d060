"""Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): layers keep their inputs only, and
are computed again in the backward pass.

That of transformers drops the keys and values that a layer is given, so it goes with no shared
prefix.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from pyswarmopt_llm.engine.attention import PrefixCache

log = logging.getLogger(__name__)


def less_memory(model: Any, smaller: Callable[[], bool], stack: ExitStack) -> Iterator[bool]:
    """Take one measure against a lack of memory after the other; whether there was one left.

    Args:
        model: that is trained.
        smaller: makes batches smaller, and says whether that was possible.
        stack: ends the measures when it is closed.
    """
    if stack.enter_context(checkpointed_layers(model)):
        log.warning("out of memory: training goes on with gradient checkpointing")
        yield True
    while smaller():
        log.warning("out of memory: training goes on with smaller batches")
        yield True


@contextmanager
def checkpointed_layers(model: Any) -> Iterator[bool]:
    """Checkpoint the layers of a model in this context; whether it has layers that can be."""
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers:
        layer.forward = partial(_checkpointed, layer.forward)
    try:
        yield bool(layers)
    finally:
        for layer in layers:
            del layer.forward


def _checkpointed(forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """A layer's pass; one that fills a cache, as that of a shared prefix does, is made once."""
    caches = [value for value in (*inputs, *options.values()) if isinstance(value, Cache)]
    if all(isinstance(cache, PrefixCache) for cache in caches):
        options |= {"use_reentrant": False, "preserve_rng_state": False}
        return checkpoint(forward, *inputs, **options)
    return forward(*inputs, **options)


__all__ = ["checkpointed_layers", "less_memory"]
