"""RegMean: the linear layer whose outputs are nearest, in least squares, to each expert's on the expert's inputs.

Jin et al. 2023, arXiv 2212.09849: W_M = (sum_i G_i)^-1 sum_i G_i W_i with G_i = X_i^T X_i, X_i the inputs of the layer
in model i, and the entries of G_i off the diagonal multiplied by alpha = 0.9. The base cancels: with y = x W^T as in
torch, dW_M = (sum_i dW_i G_i) (sum_i G_i)^-1, which is of rank sum r_i and so exact as a LoRA, B = [B_1 | B_2 | ...].
The inputs are those of `Trial.prompts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.models.adapters.adapter import Adapter, Factors
from pyswarmopt_rivals.methods.changes import as_patch, by_module
from pyswarmopt_rivals.methods.method import Merged, Settings, Trial
from pyswarmopt_rivals.methods.training.forward import answer_logits, over_prompts, token_batches

ALPHA = 0.9
_RIDGE = 1e-6  # of the mean diagonal: inputs that never occur leave the sum singular


def softened(gram: Tensor, alpha: float = ALPHA) -> Tensor:
    """The matrix with its off-diagonal entries multiplied by alpha.

    Example:
        >>> softened(torch.tensor([[2.0, 1.0], [1.0, 3.0]]), alpha=0.5).tolist()
        [[2.0, 0.5], [0.5, 3.0]]
    """
    return alpha * gram + (1 - alpha) * torch.diag(gram.diagonal())


def merge_module(parts: Sequence[Factors | None], grams: Sequence[Tensor], alpha: float = ALPHA) -> LowRank:
    """The merged change of one module.

    `parts` are each expert's factors or None; `grams` the (in, in) float64 sums of x^T x over the inputs in each model.
    """
    soft = [softened(gram, alpha) for gram in grams]
    total = torch.stack(soft).sum(0)
    total += _RIDGE * total.diagonal().mean().clamp(min=1e-12) * torch.eye(len(total), dtype=total.dtype)
    present = [(part, gram) for part, gram in zip(parts, soft, strict=True) if part is not None]
    # (a_i G_i) S^-1 = (S^-1 (a_i G_i)^T)^T, since S and G_i are symmetric.
    a = [torch.linalg.solve(total, (part.a.double() @ gram).T).T for part, gram in present]
    return LowRank(b=torch.cat([p.b * p.scale for p, _ in present], dim=1), a=torch.cat(a).float())


@torch.no_grad()
def input_grams(trial: Trial, expert: Adapter, modules: Sequence[str], prompts: Sequence[str]) -> dict[str, Tensor]:
    """Module -> sum of x^T x over all tokens of the prompts, (in, in) float64 on the CPU. Leaves the expert loaded."""
    model: Any = trial.model
    grams: dict[str, Tensor] = {}
    mask: Tensor | None = None
    handles = []

    def listen(module: str) -> Any:
        def hook(_: object, args: tuple[Tensor, ...]) -> None:
            x = args[0][mask == 1].double().cpu()
            grams[module] = grams.get(module, torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)) + x.T @ x

        return hook

    trial.load(as_patch(expert))
    try:
        handles = [model.get_submodule(m).register_forward_pre_hook(listen(m)) for m in modules]
        for batch in token_batches(trial.tokenizer, prompts, model.device):
            mask = batch.mask
            answer_logits(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return grams


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """One pass of each expert over its prompts, then a linear solve for each module."""
    trial = settings.need_trial()
    parts = dict(by_module(experts))
    modules = list(parts)
    grams = over_prompts(trial, experts, 1, lambda expert, prompts: input_grams(trial, expert, modules, prompts))
    changes = {}
    for module, part in parts.items():
        of_module = [of_expert[module] for of_expert in grams]
        changes[f"{module}.weight"] = merge_module(part, of_module)
    return Merged(Patch(low_rank=changes))
