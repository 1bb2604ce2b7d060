"""AdaMerging: coefficients per expert and module, learnt by gradient descent on the entropy of the predictions.

Yang et al. 2024, arXiv 2310.02575, layer-wise: theta_l = theta_0l + sum_i lambda_il tau_il; lambda starts at 0.3, is
clipped to [0, 1] and follows Adam with learning rate 1e-3 on the mean entropy of the predictions on unlabelled inputs
(as in the authors' released code). They use test inputs; here it is the dev questions without their answers, a
prediction is the distribution of the first token of the answer (theirs is over a classifier's classes), and a layer is
an adapted module.

The learning rate is 0.01 instead of 0.001: budgets here pay for tens of steps, the paper's runs for hundreds. A step on
8 prompts costs 20 item evaluations (`PASSES` for each).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.models.choices import PASSES
from pyswarmopt_rivals.methods.changes import SideBySide, by_module
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.training.forward import BATCH, answer_logits, token_batches

START, STEP, MOST_STEPS = 0.3, 1e-2, 500
_STEP_PRICE = math.ceil(PASSES * BATCH)  # item evaluations


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy, in nats, of softmax(logits), (N, V).

    Example:
        >>> round(float(entropy(torch.zeros(3, 4))), 4)  # ln 4
        1.3863
    """
    logprobs = logits.log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1).mean()


def merged_parameters(
    base: Mapping[str, Tensor], factors: Mapping[str, SideBySide], weights: Tensor
) -> dict[str, Tensor]:
    """theta_0 + sum_i lambda_i tau_i of each parameter, in the base's dtype; lambda (modules, n), clipped to [0, 1]."""
    pairs = zip(weights.clamp(0, 1), base.items(), strict=True)
    return {n: (value.float() + factors[n].weighted(row).dense()).to(value.dtype) for row, (n, value) in pairs}


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Cycle through the dev questions until the budget is spent."""
    trial = settings.need_trial()
    trial.load(Patch())
    model: Any = trial.model
    parts = {f"{module}.weight": SideBySide.of(part) for module, part in by_module(experts)}
    on_device = {name: part.to(model.device) for name, part in parts.items()}
    base = {name: model.get_parameter(name).detach() for name in parts}
    batches = cycle(list(token_batches(trial.tokenizer, trial.prompts(""), model.device)))
    with torch.enable_grad():
        weights = torch.full((len(parts), len(experts)), START, device=model.device, requires_grad=True)
        optimizer = torch.optim.Adam([weights], lr=STEP)
        for _ in range(min(MOST_STEPS, trial.items_left // _STEP_PRICE)):
            trial.spend(_STEP_PRICE)
            loss = entropy(answer_logits(model, next(batches), merged_parameters(base, on_device, weights)))
            weights.grad = torch.autograd.grad(loss, weights)[0]
            optimizer.step()
    learnt = weights.detach().clamp(0, 1).cpu()
    pairs = zip(learnt, parts.items(), strict=True)
    return Merged(Patch(low_rank={name: part.weighted(row) for row, (name, part) in pairs}))
