"""Methods that look inside the loaded model: Fisher merging, RegMean and AdaMerging.

Their prompts come from `BudgetedBench.prompts`: the first 200 of each expert's own data, without answers,
where the papers use training inputs; without data the dev questions serve for all experts. A look
at a prompt costs an item evaluation, with gradients `PASSES`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import torch
from torch import Tensor
from transformers import BatchEncoding

from pyswarmopt_groups.ensembles.selection import padded
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.choices import PASSES
from pyswarmopt_llm.training.trainer import training
from pyswarmopt_rivals.bench import as_patch
from pyswarmopt_rivals.methods.changes import SideBySide, side_by_side
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.training.on_dev import TrainableMixture

BATCH = 8  # texts per batch


def token_batches(
    engine: TransformersEngine, texts: Sequence[str], size: int = BATCH
) -> Iterator[BatchEncoding]:
    """The texts in order, `size` at a time, padded; a chat template has already written the special
    tokens.
    """
    for start in range(0, len(texts), size):
        yield padded(engine, map(engine.encode_prompt, texts[start : start + size]))


def answer_logits(
    model: Any, batch: BatchEncoding, parameters: dict[str, Tensor] | None = None
) -> Tensor:
    """Logits of the token after each text, (N, V) float32; `parameters` (name -> value) replace the
    model's.
    """
    out = torch.func.functional_call(model, parameters or {}, (), {**batch, "use_cache": False})
    ends = batch["attention_mask"].sum(1) - 1
    return out.logits[torch.arange(len(ends), device=ends.device), ends].float()


def prompts_of_each(settings: Settings, passes: float) -> Iterator[Sequence[str]]:
    """With each expert loaded in turn, as many of its prompts as an equal share of the budget
    covers.

    `passes` is the number of forward passes per prompt; an expert's cost is rounded up.
    """
    trial = settings.trial
    share = trial.items_left // len(settings.experts)
    for expert in settings.experts:
        prompts = trial.prompts(expert.info.name)[: int(share / passes)]
        trial.spend(math.ceil(passes * len(prompts)))
        trial.engine.load(as_patch(expert))
        yield prompts


_FLOOR = 1e-6


def fisher(settings: Settings) -> Merged:
    """Average the experts, each weight by how strongly the expert's outputs depend on it.

    Matena & Raffel 2022, arXiv 2111.09832: theta = sum_i F_i theta_i / sum_i F_i, entry by entry,
    with the diagonal Fisher information F_i = E_x E_(y ~ p_i(y | x)) [grad log p_i(y | x)]^2 of
    expert i. The base cancels, so the same holds for dW. Experts have equal weight; the paper also
    searches a coefficient for each on validation data. y is the first token after the prompt, drawn
    once per prompt from the expert's own distribution (a class in the paper); each F_i gets 1e-6 of
    the mean of all added, so that entries without influence on any expert are averaged evenly.
    """
    engine = settings.trial.engine
    generator = settings.generator()
    parts = side_by_side(settings.experts)
    changes = {}
    each = prompts_of_each(settings, PASSES)
    squares = [information(engine, parts, prompts, generator) for prompts in each]
    for name, part in parts.items():
        weights = torch.stack([of_expert[name] for of_expert in squares])
        weights += _FLOOR * weights.mean().clamp(min=1e-30)
        changes[name] = (weights * part.dense()).sum(0) / weights.sum(0)
    return Merged(Patch(full_rank=changes))


def information(
    engine: TransformersEngine,
    names: Iterable[str],
    prompts: Sequence[str],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Weight -> mean over prompts of the loaded model's squared gradient, (out, in) float32 on the
    CPU.
    """
    model: Any = engine.model
    weights = {name: model.get_parameter(name) for name in names}
    squares = {name: torch.zeros(value.shape) for name, value in weights.items()}
    with torch.enable_grad():
        # Inference tensors cannot have gradients, but copies can.
        leaves = {name: value.detach().clone().requires_grad_() for name, value in weights.items()}
        for batch in token_batches(engine, prompts, size=1):
            logprobs = answer_logits(model, batch, leaves).log_softmax(-1)[0]
            drawn = int(torch.multinomial(logprobs.detach().cpu().exp(), 1, generator=generator))
            gradients = torch.autograd.grad(logprobs[drawn], list(leaves.values()))
            for name, gradient in zip(leaves, gradients, strict=True):
                squares[name] += gradient.float().cpu() ** 2 / len(prompts)
    return squares


ALPHA = 0.9
_RIDGE = 1e-6  # share of the mean diagonal to add: unused inputs leave the sum singular


def merge_module(part: SideBySide, grams: Sequence[Tensor]) -> LowRank:
    """The merged change of one module.

    `grams` are the (in, in) float64 sums of x^T x over the inputs in each expert's model.
    """
    # off-diagonal entries are multiplied by alpha
    soft = [ALPHA * gram + (1 - ALPHA) * torch.diag(gram.diagonal()) for gram in grams]
    total = torch.stack(soft).sum(0)
    ridge = _RIDGE * total.diagonal().mean().clamp(min=1e-12)
    total += ridge * torch.eye(len(total), dtype=total.dtype)
    # (a_i G_i) S^-1 = (S^-1 (a_i G_i)^T)^T, since S and G_i are symmetric.
    a = [
        torch.linalg.solve(total, (change.a.double() @ gram).T).T
        for change, gram in zip(part.of_each(), soft, strict=True)
    ]
    return LowRank(b=part.b, a=torch.cat(a).float())


@torch.no_grad()
def input_grams(
    engine: TransformersEngine, names: Iterable[str], prompts: Sequence[str]
) -> dict[str, Tensor]:
    """Weight -> sum of x^T x over its inputs x in the loaded model, for all tokens of the prompts,
    (in, in) float64 on the CPU.
    """
    model: Any = engine.model
    sizes = {name: model.get_parameter(name).shape[1] for name in names}
    grams = {name: torch.zeros(n, n, dtype=torch.float64) for name, n in sizes.items()}
    mask: Tensor | None = None
    handles = []

    def add(name: str, _: object, args: tuple[Tensor, ...]) -> None:
        x = args[0][mask == 1].double().cpu()
        grams[name] += x.T @ x

    try:
        for name in grams:
            module = model.get_submodule(name.removesuffix(".weight"))
            handles.append(module.register_forward_pre_hook(partial(add, name)))
        for batch in token_batches(engine, prompts):
            mask = batch["attention_mask"]
            answer_logits(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return grams


def regmean(settings: Settings) -> Merged:
    """Find the linear layers whose outputs are nearest, in least squares, to each expert's on its
    own inputs.

    Jin et al. 2023, arXiv 2212.09849: W_M = (sum_i G_i)^-1 sum_i G_i W_i with G_i = X_i^T X_i, X_i
    the inputs of the layer in model i, and the off-diagonal entries of G_i multiplied by alpha =
    0.9. The base cancels: with y = x W^T as in torch, dW_M = (sum_i dW_i G_i) (sum_i G_i)^-1, of
    rank sum r_i and so exact as a LoRA, B = [B_1 | B_2 | ...].
    """
    engine = settings.trial.engine
    parts = side_by_side(settings.experts)
    grams = [input_grams(engine, parts, prompts) for prompts in prompts_of_each(settings, 1)]
    changes = {}
    for name, part in parts.items():
        changes[name] = merge_module(part, [of_expert[name] for of_expert in grams])
    return Merged(Patch(low_rank=changes))


START = 0.3
STEP = 1e-2
MOST_STEPS = 500
_STEP_PRICE = math.ceil(PASSES * BATCH)  # in item evaluations


def adamerging(settings: Settings) -> Merged:
    """Learn coefficients per expert and module by gradient descent on the entropy of the
    predictions.

    Yang et al. 2024, arXiv 2310.02575, layer-wise: theta_l = theta_0l + sum_i lambda_il tau_il;
    lambda starts at 0.3, is clipped to [0, 1] and follows Adam with learning rate 1e-3 on the mean
    entropy of the predictions on unlabelled inputs (as in the authors' released code). They use
    test inputs; here the inputs are the dev questions without answers, a prediction is the
    distribution of the answer's first token (in the paper over a classifier's classes), and a layer
    is an adapted module. The questions are repeated until the budget is spent, for at most 500
    steps.

    The learning rate is 0.01 instead of 0.001: budgets here cover tens of steps, the paper's runs
    hundreds. A step on 8 prompts costs 20 item evaluations (`PASSES` each).
    """
    trial = settings.trial
    trial.engine.load(Patch())
    batches = cycle(list(token_batches(trial.engine, trial.prompts(""))))
    mixture = TrainableMixture(settings.experts, False, trial.model, START, (0.0, 1.0))
    optimizer = torch.optim.Adam(mixture.tensors, lr=STEP)
    with training(trial.model, mixture.additions()):
        for _ in range(min(MOST_STEPS, trial.items_left // _STEP_PRICE)):
            trial.spend(_STEP_PRICE)
            optimizer.zero_grad()
            logprobs = answer_logits(trial.model, next(batches)).log_softmax(-1)
            entropy = -(logprobs.exp() * logprobs).sum(-1).mean()
            entropy.backward()
            optimizer.step()
    return Merged(mixture.patch())
