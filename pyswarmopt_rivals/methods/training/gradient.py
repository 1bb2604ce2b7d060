"""The experts' coefficients by gradient descent on dev: the candidates of a swarm in ``delta`` space, found otherwise.

dW = sum_i c_i s_i B_i A_i, with one c_i for each expert (`execute`) or for each expert and module (`for_modules`),
c = 1/n at first, by AdamW on the cross-entropy over each item's options. Liu et al. 2026 (arXiv 2602.12323) merge by
gradient on as few items; loss, learning rates and stopping (see `on_dev`) are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.models.training.trainer import Addition
from pyswarmopt_rivals.methods.changes import SideBySide, by_module
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.training.on_dev import train_on_dev

RATES, MODULE_RATES = (0.05, 0.15), (0.02, 0.005)


class Mixture:
    """A weighted sum of the experts' changes, with trainable coefficients, (1 or modules, n) float32, 1/n at first."""

    def __init__(self, experts: Sequence[Adapter], single: bool, model: Any) -> None:
        self._parts = {module: SideBySide.of(part) for module, part in by_module(experts)}
        self._resident = {
            name: (part.a.to(model.device, model.dtype), part.b.to(model.device, model.dtype), part.owner)
            for name, part in self._parts.items()
        }
        self._rows = {module: 0 if single else row for row, module in enumerate(self._parts)}
        shape = (1 if single else len(self._parts), len(experts))
        self.coefficients = torch.full(shape, 1 / len(experts), device=model.device, requires_grad=True)
        self.tensors: Sequence[Tensor] = [self.coefficients]

    def additions(self) -> dict[str, Addition]:
        """Module name -> the mixture's part of its output."""
        return {module: partial(self._output, module) for module in self._parts}

    def _output(self, module: str, x: Tensor) -> Tensor:
        a, b, owner = self._resident[module]
        weights = self.coefficients[self._rows[module]][owner].to(x.dtype)
        return ((x @ a.T) * weights) @ b.T

    def patch(self) -> Patch:
        """The candidate at the present coefficients."""
        rows = self.coefficients.detach().cpu()
        changes = {f"{name}.weight": part.weighted(rows[self._rows[name]]) for name, part in self._parts.items()}
        return Patch(low_rank=changes)


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """One coefficient for each expert."""
    return _descend(experts, settings, True, RATES)


def for_modules(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """One coefficient for each expert and module."""
    return _descend(experts, settings, False, MODULE_RATES)


def _descend(experts: Sequence[Adapter], settings: Settings, single: bool, rates: Sequence[float]) -> Merged:
    trial = settings.need_trial()
    trial.load(Patch())
    return Merged(train_on_dev(trial, lambda: Mixture(experts, single, trial.model), rates, settings.seed))
