"""Group relative policy optimisation (GRPO) of a fresh LoRA, under a budget of replies.

Shao et al. 2024, arXiv 2402.03300: to every prompt a group of G replies is sampled, the advantage
of a reply is its reward less the group's mean over the group's standard deviation, the same for all
of its tokens (section 4.1.2), and the objective is eq. 3, a clipped ratio less beta times an
estimate of the divergence from the reference (eq. 4). The reference is the model that training
starts from.

As in the paper: beta 0.04. G is 8 here (64 there), and the bounds of the ratio are 0.2, which the
paper leaves open; the optimiser is AdamW with gradients cut to norm 1.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.batching import TokenPair, build_plan
from pyswarmopt_llm.engine.generation import Draw, write
from pyswarmopt_llm.engine.passes import target_logprobs
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import AdapterInfo
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.training.trainer import Lora, training
from pyswarmopt_rivals.bench import Trial

Reward = Callable[[Sequence[Item], Sequence[str]], Sequence[float]]


@dataclass(frozen=True)
class GrpoOptions:
    """Sizes and rates.

    Attributes:
        prompts: prompts per batch of replies.
        lr: constant learning rate of AdamW.
        updates: optimiser steps per batch of replies.
        group: replies to a prompt.
        clip: epsilon, the ratio's distance from 1 beyond which it earns nothing.
        beta: weight of the divergence from the reference.
    """

    prompts: int
    lr: float
    updates: int = 1
    group: int = 8
    clip: float = 0.2
    beta: float = 0.04


@dataclass(frozen=True)
class GrpoResult:
    """The trained model, and what there was to learn from.

    Attributes:
        patch: the model after the last update.
        rewarded: of the prompts in the first pass over dev, the share with a reward above 0.
    """

    patch: Patch
    rewarded: float


def advantages(rewards: Tensor) -> Tensor:
    """Rewards, (prompts, G), less the mean of their group, over its standard deviation, if not 0.

    Example:
        >>> advantages(torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]])).tolist()
        [[1.0, -1.0, -1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """
    centred = rewards - rewards.mean(1, keepdim=True)
    spread = rewards.std(1, keepdim=True, correction=0)
    return torch.where(spread > 0, centred / spread, torch.zeros_like(centred))


def divergence(logprobs: Tensor, reference: Tensor) -> Tensor:
    """KL(policy, reference) as eq. 4 estimates it, token by token: r - ln r - 1.

    r is the reference's probability over the policy's.

    Example:
        >>> divergence(torch.tensor([0.5, 0.25]).log(), torch.tensor([0.5, 0.5]).log()).tolist()
        [0.0, 0.30685...]
    """
    log_ratio = reference - logprobs
    return log_ratio.exp() - log_ratio - 1


def objective(
    logprobs: Tensor,
    old: Tensor,
    reference: Tensor,
    advantage: Tensor,
    owner: Tensor,
    options: GrpoOptions,
) -> Tensor:
    """Eq. 3, to be maximised: the mean over replies of the mean over their tokens.

    Args:
        logprobs: ln P of each token of all replies under the policy, with its graph, (T,).
        old: the same under the policy that sampled the replies.
        reference: the same under the reference.
        advantage: of each reply, (N,).
        owner: the reply that a token belongs to, (T,).
        options: bounds of the ratio and beta.
    """
    ratio = (logprobs - old).exp()
    bounded = ratio.clamp(1 - options.clip, 1 + options.clip)
    gain = torch.minimum(ratio * advantage[owner], bounded * advantage[owner])
    tokens = gain - options.beta * divergence(logprobs, reference)
    sums = torch.zeros(len(advantage), dtype=tokens.dtype).index_add(0, owner, tokens)
    return (sums / owner.bincount(minlength=len(advantage))).mean()


def token_logprobs(
    engine: TransformersEngine,
    replies: Sequence[TokenPair],
) -> tuple[Tensor, Tensor]:
    """ln P of each token of all replies by the resident model, and the replies they belong to.

    Replies to one prompt are a tree behind it, so that nothing is computed twice.

    Returns:
        (T,) float64 and (T,) int64.
    """
    plan = build_plan(replies, engine.batch_tokens)
    prefix = engine.passes.prefix(plan.prefix)
    parts = []
    for batch in plan.batches:
        parts.append(target_logprobs(batch, engine.passes.logits(batch, prefix)))
    return torch.cat(parts), torch.cat([batch.target_pair for batch in plan.batches])


def sampled_replies(
    engine: TransformersEngine,
    prompts: Sequence[tuple[int, ...]],
    max_new_tokens: int,
    seeds: Sequence[int],
) -> list[TokenPair]:
    """Replies at temperature 1, each with its prompt and the token that ended it, if one did."""
    stops = engine.stops()
    decoder = engine.decoder(prompts, max_new_tokens)
    replies = write(decoder, len(seeds), stops, max_new_tokens, Draw(1.0, tuple(seeds)))
    pairs = []
    for prompt, ids in zip(prompts, replies, strict=True):
        end = () if len(ids) == max_new_tokens else (min(stops),)
        pairs.append((prompt, (*ids, *end)))
    return pairs


def batches(n: int, size: int, draws: random.Random) -> Iterator[list[int]]:
    """Endless batches of indices below n; each pass takes all of them once, in a new order.

    Example:
        >>> endless = batches(4, 2, random.Random(0))
        >>> sorted([*next(endless), *next(endless)])
        [0, 1, 2, 3]
    """
    waiting: list[int] = []
    while True:
        while len(waiting) < size:
            waiting += draws.sample(range(n), n)
        yield waiting[:size]
        waiting = waiting[size:]


def train(
    trial: Trial,
    start: Patch,
    info: AdapterInfo,
    reward: Reward,
    options: GrpoOptions,
    seed: int,
    max_new_tokens: int,
) -> GrpoResult:
    """Train a fresh LoRA on top of a model until the budget of replies is spent.

    Args:
        trial: the dev items and what is left of the budget.
        start: the model to start from, which is the reference.
        info: the expert whose modules, rank and scale the LoRA has.
        reward: items and texts -> a reward for each.
        options: sizes and rates.
        seed: of the LoRA, the order of prompts and the replies.
        max_new_tokens: maximum length of a reply.
    """
    engine, dev = trial.engine, trial.bench.task.dev
    turns = [engine.chat(turn) for turn in trial.bench.questions["dev"].turns]
    prompts = engine.encode_prompts(turns, max_new_tokens)
    lora, draws = Lora.like(info, seed), random.Random(seed)
    optimizer = torch.optim.AdamW(lora.tensors, lr=options.lr, weight_decay=0.0)
    order = batches(len(dev), options.prompts, draws)
    highest: dict[int, float] = {}
    while trial.items_left >= options.group:
        chosen = next(order)[: trial.items_left // options.group]
        rows = [index for index in chosen for _ in range(options.group)]
        engine.load(start.with_low_rank(lora.patch().low_rank))
        seeds = [draws.getrandbits(60) for _ in rows]
        replies = sampled_replies(engine, [prompts[i] for i in rows], max_new_tokens, seeds)
        trial.spend(len(rows))
        texts = [engine.tokenizer.decode(ids, skip_special_tokens=True) for _, ids in replies]
        rewards = torch.tensor(reward([dev[i] for i in rows], texts)).view(len(chosen), -1)
        for index, best in zip(chosen, rewards.amax(1).tolist(), strict=True):
            highest.setdefault(index, best)
        engine.load(start)
        _update(engine, lora, optimizer, replies, advantages(rewards).flatten(), options)
    patch = start.with_low_rank(lora.patch().low_rank)
    return GrpoResult(patch, sum(best > 0 for best in highest.values()) / max(len(highest), 1))


def _update(
    engine: TransformersEngine,
    lora: Lora,
    optimizer: torch.optim.Optimizer,
    replies: Sequence[TokenPair],
    advantage: Tensor,
    options: GrpoOptions,
) -> None:
    """Optimiser steps on one batch of replies; the reference is resident."""
    with torch.no_grad():
        reference, _ = token_logprobs(engine, replies)
    old = None
    with training(engine.model, lora.additions()):
        for _ in range(options.updates):
            logprobs, owner = token_logprobs(engine, replies)
            old = logprobs.detach() if old is None else old
            loss = -objective(logprobs, old, reference, advantage, owner, options)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(lora.tensors, 1.0)
            optimizer.step()
