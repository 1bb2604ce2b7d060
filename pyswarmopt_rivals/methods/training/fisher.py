"""Fisher merging: an average in which each weight counts by how much the expert's outputs depend on it.

Matena & Raffel 2022, arXiv 2111.09832: theta = sum_i F_i theta_i / sum_i F_i, entry by entry, with the diagonal Fisher
information F_i = E_x E_(y ~ p_i(y | x)) [grad log p_i(y | x)]^2 of expert i. The base cancels, so the same holds for
dW. y is the token after the prompt, drawn once per prompt from the expert's own distribution; F_i has 1e-6 of its mean
added, so that entries on which no expert depends are averaged evenly. The prompts are those of `Trial.prompts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.models.choices import PASSES
from pyswarmopt_rivals.methods.changes import as_patch, by_module, dense_changes
from pyswarmopt_rivals.methods.method import Merged, Settings, Trial
from pyswarmopt_rivals.methods.training.forward import answer_logits, over_prompts, token_batches

_FLOOR = 1e-6


def weighted_by(information: Tensor, changes: Tensor) -> Tensor:
    """sum_i F_i x_i / sum_i F_i, entry by entry, for F and x (n, ...).

    Example:
        >>> weighted_by(torch.tensor([[3.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 2.0], [5.0, 4.0]])).tolist()
        [2.0, 3.0]
    """
    mean = information.flatten(1).mean(1).clamp(min=1e-30)
    weights = information + _FLOOR * mean.view(-1, *[1] * (information.dim() - 1))
    even = information.sum(0) == 0
    weights = torch.where(even, torch.ones_like(weights), weights)
    return (weights * changes).sum(0) / weights.sum(0)


def information(
    trial: Trial, expert: Adapter, modules: Sequence[str], prompts: Sequence[str], generator: torch.Generator
) -> dict[str, Tensor]:
    """Module -> mean over prompts of the squared gradient, (out, in) float32 on the CPU. Leaves the expert loaded."""
    trial.load(as_patch(expert))
    model: Any = trial.model
    weights = {f"{module}.weight": model.get_submodule(module).weight for module in modules}
    squares = {name: torch.zeros(value.shape) for name, value in weights.items()}
    with torch.enable_grad():
        # Inference tensors cannot carry gradients: copies can.
        leaves = {name: value.detach().clone().requires_grad_() for name, value in weights.items()}
        for batch in token_batches(trial.tokenizer, prompts, model.device, size=1):
            logprobs = answer_logits(model, batch, leaves).log_softmax(-1)[0]
            drawn = int(torch.multinomial(logprobs.detach().cpu().exp(), 1, generator=generator))
            gradients = torch.autograd.grad(logprobs[drawn], list(leaves.values()))
            for name, gradient in zip(leaves, gradients, strict=True):
                squares[name] += gradient.float().cpu() ** 2 / len(prompts)
    return {name.removesuffix(".weight"): value for name, value in squares.items()}


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """One forward and backward pass of each expert over each of its prompts."""
    trial, generator = settings.need_trial(), settings.generator()
    parts = dict(by_module(experts))
    fisher = over_prompts(
        trial, experts, PASSES, lambda expert, prompts: information(trial, expert, list(parts), prompts, generator)
    )
    changes = {}
    for module, part in parts.items():
        of_module = torch.stack([of_expert[module] for of_expert in fisher])
        changes[f"{module}.weight"] = weighted_by(of_module, dense_changes(part))
    return Merged(Patch(full_rank=changes))
