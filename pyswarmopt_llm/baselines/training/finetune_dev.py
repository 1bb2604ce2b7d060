"""Fine-tuning on the dev items: the question that every merge of experts has to answer.

A new LoRA with the rank, scale and modules of the first expert, from the base (`execute`) or from the expert that is
best on dev (`from_best`), on the cross-entropy over each item's options: what is scored is what is trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pyswarmopt_llm.baselines.changes import as_patch
from pyswarmopt_llm.baselines.method import Merged, Settings
from pyswarmopt_llm.baselines.training.on_dev import train_on_dev
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.models.training.lora import Lora

RATES = (2e-3, 5e-4)


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Train from the base."""
    return Merged(_trained(experts, settings, Patch()))


def from_best(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Train from the best single expert; the result is both side by side."""
    trial = settings.need_trial()
    patches = [as_patch(expert) for expert in experts]
    values = [trial.score(patch).value for patch in patches]
    best = patches[values.index(max(values))]
    return Merged(side_by_side(best, _trained(experts, settings, best)))


def _trained(experts: Sequence[Adapter], settings: Settings, start: Patch) -> Patch:
    trial, first = settings.need_trial(), experts[0].info
    shapes = {module: shape.weight_shape for module, shape in first.modules.items()}
    one = next(iter(first.modules.values()))
    trial.load(start)

    def make() -> Lora:
        return Lora(shapes, one.rank, one.scale, settings.seed, trial.model.device)

    return train_on_dev(trial, make, RATES, settings.seed)


def side_by_side(one: Patch, other: Patch) -> Patch:
    """The sum of two changes of low rank."""
    return Patch(low_rank={name: _both(one.low_rank.get(name), other.low_rank[name]) for name in other.low_rank})


def _both(one: LowRank | None, other: LowRank) -> LowRank:
    return other if one is None else LowRank(b=torch.cat([one.b, other.b], 1), a=torch.cat([one.a, other.a], 0))
