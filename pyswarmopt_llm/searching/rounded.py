"""The models of a search for a file of few bits (`quantize`), as the format holds them.

Candidates are compared and trained before rounding. On a base that lies on the format's grid, every
expert alone rounds to about the base, weight by weight, so rounded candidates would all score alike. The
result and all models that it is compared with are then rounded so that their layers compute the same on the
dev prompts (`formats.feedback`), and are scored on test as rounded models.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from pyswarmopt_llm.common.events import note
from pyswarmopt_llm.common.interfaces import Format, Patch
from pyswarmopt_llm.scores.tasks import AnswerFormat

if TYPE_CHECKING:
    from pyswarmopt_llm.engine.feedback import Rounding
    from pyswarmopt_llm.engine.transformers import TransformersEngine
    from pyswarmopt_llm.searching.prepare import Job


def in_format(job: Job, patch: Patch, answer_formats: Mapping[str, AnswerFormat]) -> Patch:
    """A model in the search's format, rounded with its dev prompts unless it was before."""
    if patch.rounded:
        return replace(patch, format=job.format)
    from pyswarmopt_llm.formats.packed import PackedWeights

    weights = PackedWeights.of(_rounded_weights(job, patch, answer_formats))
    return replace(patch, format=job.format, rounded=weights)


def save_in_format(
    job: Job, patch: Patch, answer_formats: Mapping[str, AnswerFormat], folder: Path
) -> Patch:
    """Write the rounded weights of a saved adapter beside it, and return the adapter with them."""
    job.tell(note(f"rounding the result, then what it is compared with, for {job.config.quantize}"))
    from pyswarmopt_llm.formats.packed import PackedWeights

    weights = PackedWeights.of(_rounded_weights(job, patch, answer_formats))
    if weights:
        weights.save(folder, job.config.quantize or "")
    return replace(patch, rounded=weights)


def seconds_per_rounding(job: Job) -> float:
    """Seconds to round the weights of a candidate together, from those of its first one."""
    rounding = _rounding(job, job.pool.space.realise(job.pool.space.vertices()[0]))
    layers = rounding.layers
    work = {name: layer.weight.numel() * layer.in_features for name, layer in layers.items()}
    if not work:
        return 0.0
    first = next(iter(work))
    moments = torch.eye(layers[first].in_features, device=layers[first].weight.device)
    start = time.perf_counter()
    rounding.rounded(first, moments)
    seconds = time.perf_counter() - start
    job.engine.load(Patch())
    return seconds * sum(work.values()) / work[first]


def _rounded_weights(
    job: Job, patch: Patch, answer_formats: Mapping[str, AnswerFormat]
) -> Iterator[tuple[str, str, Tensor]]:
    """Name, type and values of a model's weights that are rounded together."""
    utilities = job.utilities("dev", answer_formats).values()

    def read() -> None:
        for utility in utilities:
            utility(job.engine)

    return _rounding(job, patch).weights(read)


def _rounding(job: Job, patch: Patch) -> Rounding:
    """Rounds a model, which is loaded without a format."""
    engine = cast("TransformersEngine", job.engine)  # no other has a format
    engine.load(replace(patch, format=None))
    return engine.rounding(cast(Format, job.format))
