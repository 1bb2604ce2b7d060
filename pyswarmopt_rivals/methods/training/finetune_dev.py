"""Fine-tuning on the dev items: the question that every merge of experts has to answer.

A new LoRA with the rank, scale and modules of the first expert, from the base (`execute`) or from the expert that is
best on dev (`from_best`), on the cross-entropy over each item's options: what is scored is what is trained. Learning
rate and number of epochs are chosen by cross-validation on dev; at a fixed rate they are those of the expert that a
search trains.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.models.choices import training_passes
from pyswarmopt_llm.models.training.folds import train_once
from pyswarmopt_llm.models.training.lora import Lora
from pyswarmopt_rivals.methods.changes import as_patch
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.training.on_dev import train_on_dev

RATES = (2e-3, 5e-4)


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Train from the base."""
    return Merged(_trained(experts, settings, Patch()))


def from_best(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Train from the best single expert; the result is both together."""
    best = _best(experts, settings)
    return Merged(best.with_low_rank(_trained(experts, settings, best).low_rank))


def at_fixed_rate(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Train from the base once, which is charged."""
    return Merged(_trained_once(experts, settings, Patch()))


def from_best_at_fixed_rate(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Train from the best single expert once: the expert of ``item-model+dev``, where no even sum is better."""
    best = _best(experts, settings)
    return Merged(best.with_low_rank(_trained_once(experts, settings, best).low_rank))


def _best(experts: Sequence[Adapter], settings: Settings) -> Patch:
    trial = settings.need_trial()
    patches = [as_patch(expert) for expert in experts]
    values = [trial.score(patch).value for patch in patches]
    return patches[values.index(max(values))]


def _trained_once(experts: Sequence[Adapter], settings: Settings, start: Patch) -> Patch:
    trial = settings.need_trial()
    trial.spend(training_passes(len(trial.choices)))
    trial.load(start)
    return train_once(trial.engine, trial.choices, experts[0].info, settings.seed)[0]


def _trained(experts: Sequence[Adapter], settings: Settings, start: Patch) -> Patch:
    trial = settings.need_trial()
    trial.load(start)

    def make() -> Lora:
        return Lora.like(experts[0].info, settings.seed, trial.model.device)

    return train_on_dev(trial, make, RATES, settings.seed)
