"""The training loop: AdamW on a change of a frozen model; and LoRA, one such change.

A change is a function of a linear layer's input, added to its output, so the loaded model stays
unchanged. If memory runs out, layers keep only their inputs and are recomputed in the backward pass
(gradient checkpointing, Chen et al. 2016, arXiv 1604.06174); then batches shrink.

The loss of a labelled item is cross-entropy over its options. Their scores are those that decide
(log-likelihood per byte, or a letter's log-probability), times the mean length of the item's
options, which restores the size of log-likelihoods. The loss of an item without options is the
negative log-likelihood of its answer.
"""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from pyswarmopt_llm.common.errors import NoRoomError
from pyswarmopt_llm.common.hardware import give_back_memory, out_of_memory
from pyswarmopt_llm.common.interfaces import Engine, LowRank, Patch
from pyswarmopt_llm.engine.packed_attention import NAME as PACKED
from pyswarmopt_llm.engine.passes import PrefixCache, target_logprobs
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import AdapterInfo
from pyswarmopt_llm.scores.choices import EPOCHS, RATE, Choices, fold_count

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)
ITEMS_PER_STEP = 16
_BETAS = 0.9, 0.98  # of AdamW: a shorter memory of squares than usual, as in Vaswani et al. 2017
_CLIP = 1.0  # largest norm of the gradient
_WARMUP = 0.05  # share of the steps
_FLOOR = 0.05  # share of the peak learning rate at the last step
Addition = Callable[[Tensor], Tensor]
"""Input of a linear layer, (..., in) -> what is added to its output, (..., out)."""
OnRound = Callable[[int, int, float], None]
"""Called with the number of finished rounds, the number of all rounds, and the last round's mean
loss.
"""
OnStep = Callable[[int, int], None]
"""Called with the number of the step that begins, and the number of all steps."""


def shuffled(items: Sequence[Choices], epochs: int, seed: int) -> list[list[list[Choices]]]:
    """The items of each step of each epoch, `ITEMS_PER_STEP` per step."""
    draws = random.Random(seed)
    rounds = []
    for _ in range(epochs):
        order = draws.sample(items, len(items))
        starts = range(0, len(items), ITEMS_PER_STEP)
        rounds.append([order[start : start + ITEMS_PER_STEP] for start in starts])
    return rounds


def folds(
    items: Sequence[Choices], seed: int, identities: Sequence[Hashable] | None = None
) -> list[list[int]]:
    """The indices of each fold's items, ascending, stratified by answer: a label's items are dealt
    out to the folds in turn.

    The items of a fold can be scored with a model trained on the others (cross-fitting; stacked
    generalisation, Wolpert 1992, Neural Networks 5). If all examples of a label were in one fold,
    the label would look unlearnable from the other folds. Identical items are in one fold, unless
    there are fewer distinct ones than folds.

    Args:
        items: items to divide, at least two.
        seed: seed of the order.
        identities: identity of each item; None: its options with their prompt, and which option is
            right.

    Example:
        >>> items = [Choices(((q, "yes" if q < "e" else "no"),), (1.0,), 0) for q in "aabcdefgh"]
        >>> [[items[index].pairs[0][0] for index in fold] for fold in folds(items, seed=0)]
        [['c', 'e'], ['a', 'a', 'f'], ['d', 'h'], ['g'], ['b']]
    """

    def answer(item: Choices) -> str:
        return item.pairs[item.right][1]

    count = fold_count(len(items))
    known_by = identities or [(item.pairs, item.right) for item in items]
    if len(set(known_by)) < count:
        known_by = range(len(items))
    indices: dict[Hashable, list[int]] = {}
    for index, identity in enumerate(known_by):
        indices.setdefault(identity, []).append(index)
    groups = list(indices.values())
    random.Random(seed).shuffle(groups)
    groups.sort(key=lambda group: answer(items[group[-1]]))
    return [sorted(chain.from_iterable(groups[k::count])) for k in range(count)]


def choice_losses(engine: TransformersEngine, items: Sequence[Choices]) -> Iterator[Tensor]:
    """Losses of all items in nats, (items of a batch,) float64 on the CPU, differentiable."""
    owners = [number for number, item in enumerate(items) for _ in item.pairs]
    pairs = [pair for item in items for pair in item.pairs]
    for indices, values in loglikelihoods(engine, pairs):
        # indices ascend and an item's pairs share a batch, so each item has one part of the values
        counts = Counter(owners[index] for index in indices)
        parts = values.split(list(counts.values()))
        losses = [choice_loss(items[k], part) for k, part in zip(counts, parts, strict=True)]
        yield torch.stack(losses)


def choice_loss(item: Choices, totals: Tensor) -> Tensor:
    """Loss of an item, in nats, times its weight.

    Args:
        item: item with options.
        totals: (options,) log-likelihoods.

    Example:
        >>> item = Choices((("q", "a"), ("q", "bcd")), (1.0, 3.0), 0)  # scores -1 and -1, times 2
        >>> round(float(choice_loss(item, torch.tensor([-1.0, -3.0]))), 4)  # ln 2
        0.6931
    """
    if len(item.pairs) == 1:
        return -totals[0] * item.weight
    lengths = torch.tensor(item.lengths, dtype=totals.dtype)
    logits = totals / lengths * fmean(item.lengths)
    return -logits.log_softmax(0)[item.right] * item.weight


def loglikelihoods(
    engine: TransformersEngine, pairs: Sequence[tuple[str, str]]
) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """`TransformersEngine.loglikelihood` of the current model, batch by batch, with gradients.

    See `trainer.training`. The contexts' common prefix is computed once per batch, and gradients
    flow through its keys and values. Pairs with the same context are in the same batch.

    Yields:
        The indices of the pairs of a batch, ascending, and their values, (P,) float64 on the CPU.

    Raises:
        UserError: a pair exceeds the context window.
    """
    encoded = [engine.encode_continuation(*pair) for pair in pairs]
    plan = engine.passes.plan(encoded, engine.batch_tokens)
    for batch in plan.batches:
        # Computed again for each batch: backpropagation frees the prefix's graph, too.
        prefix = engine.passes.prefix(plan.prefix)
        values = target_logprobs(batch, engine.passes.logits(batch, prefix))
        totals = torch.zeros(len(pairs), dtype=torch.float64)
        totals = totals.index_add(0, batch.target_pair, values)
        yield tuple(batch.pairs.tolist()), totals[batch.pairs]


class Trainable(Protocol):
    """A trainable change of a model; `tensors` are its leaves, changed in place."""

    tensors: Sequence[Tensor]

    def additions(self) -> dict[str, Addition]:
        """Module name -> function whose value is added to the module's output."""

    def patch(self) -> Patch:
        """The current change of weights."""


def train(
    engine: TransformersEngine,
    change: Trainable,
    rounds: Sequence[Sequence[Sequence[Choices]]],
    lr: float,
    last: int | None = None,
    on_round: OnRound | None = None,
    on_step: OnStep | None = None,
) -> list[float]:
    """Minimise the mean loss by AdamW (Loshchilov & Hutter 2019) with warm-up and cosine decay.

    Args:
        engine: engine with the start of training loaded.
        change: the trained change.
        rounds: items of each step of each round; the learning rate is planned for all rounds.
        lr: peak learning rate.
        last: stop after this round; None: after all.
        on_round: called after each round, with the change in place.
        on_step: called before each step.

    Returns:
        The mean loss of each round, measured during it.

    Raises:
        NoRoomError: memory runs out even for a single item.
    """
    tensors = list(change.tensors)
    step_count = sum(map(len, rounds))
    optimizer = torch.optim.AdamW(tensors, lr, betas=_BETAS, weight_decay=0.0)
    factor = partial(warmup_cosine, steps=step_count)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    mean_losses = []
    savings = _less_memory(engine)
    with training(engine.model, change.additions()), closing(savings):
        for number, steps in enumerate(rounds[:last], start=1):
            sums = []
            for items in steps:
                if on_step is not None:
                    on_step(schedule.last_epoch + 1, step_count)  # the schedule's epochs are steps
                sums += _gradients(engine, tensors, items, savings)
                torch.nn.utils.clip_grad_norm_(tensors, _CLIP)
                optimizer.step()
                schedule.step()
                give_back_memory()
            mean_losses.append(sum(map(float, sums)) / sum(map(len, steps)))
            if on_round is not None:
                on_round(number, len(rounds), mean_losses[-1])
    return mean_losses


def _gradients(
    engine: TransformersEngine,
    tensors: Sequence[Tensor],
    items: Sequence[Choices],
    savings: Iterator[bool],
) -> list[Tensor]:
    """The sums of a step's losses, part by part; the gradients are left in the tensors.

    If memory runs out, the step is repeated with less.

    Args:
        engine: see `train`.
        tensors: the trained tensors.
        items: items of the step.
        savings: takes one memory-saving measure at each `next`, see `_less_memory`.

    Raises:
        NoRoomError: there is no further measure.
    """
    for tensor in tensors:
        tensor.grad = None
    sums = []  # kept on the device: no synchronisation
    try:
        for values in choice_losses(engine, items):
            (values.sum() / len(items)).backward()
            sums.append(values.detach().sum())
        return sums
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    # not in the handler, where the error's traceback keeps the tensors of the failed pass
    if not next(savings, False):
        raise NoRoomError
    return _gradients(engine, tensors, items, savings)


def _less_memory(engine: TransformersEngine) -> Generator[bool]:
    """Take a memory-saving measure at each `next`; all are undone when it is closed."""
    with checkpointed_layers(engine.model):
        log.warning("out of memory: training continues with gradient checkpointing")
        yield True
        while engine.halve_batches():
            log.warning("out of memory: training continues with smaller batches")
            yield True


@contextmanager
def checkpointed_layers(model: PreTrainedModel) -> Iterator[None]:
    """Checkpoint the layers of a model in this context.

    Transformers' own version drops the keys and values passed to a layer, and so the shared prefix.
    """
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers:
        layer.forward = partial(_checkpointed, layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _checkpointed(forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """A layer's pass, checkpointed unless it fills a cache (as for a shared prefix)."""
    caches = [value for value in (*inputs, *options.values()) if isinstance(value, Cache)]
    if all(isinstance(cache, PrefixCache) for cache in caches):
        options |= {"use_reentrant": False, "preserve_rng_state": False}
        return checkpoint(forward, *inputs, **options)
    return forward(*inputs, **options)


def warmup_cosine(step: int, steps: int) -> float:
    """Fraction of the peak learning rate: linear warm-up, then cosine decay to a small floor."""
    warmup = max(1, int(_WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


@contextmanager
def training(model: PreTrainedModel, additions: Mapping[str, Addition]) -> Iterator[None]:
    """Add functions to the outputs of linear layers, by module name, and let gradients flow.

    Undone at the end, except that the model's weights stay frozen. On a CPU the backward pass of
    plain matrix products is faster than the fused attention kernel's.

    Raises:
        AttributeError: the model has no such module.
    """
    attention = model.config._attn_implementation
    hooks = [
        model.get_submodule(name).register_forward_hook(partial(_add, addition))
        for name, addition in additions.items()
    ]
    try:
        model.requires_grad_(False)
        if model.device.type == "cpu" and attention != PACKED:
            model.set_attn_implementation("eager")
        with torch.enable_grad():
            yield
    finally:
        for hook in hooks:
            hook.remove()
        model.set_attn_implementation(attention)


def _add(addition: Addition, module: object, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    return output + addition(inputs[0]).to(output.dtype)


class Lora:
    """``x -> scale * B A x`` in each of several modules (Hu et al. 2021, arXiv 2106.09685, section
    4.1). At first A is uniform in +- 1 / sqrt(in), as in peft, and B is zero.

    Args:
        shapes: module name -> (out, in) of its weight.
        rank: r.
        scale: alpha / r.
        seed: seed of A.
        device: device of the model.

    Attributes:
        tensors: all A and B, float32, as leaves.

    Example:
        >>> lora = Lora({"layer": (3, 4)}, rank=2, scale=2.0, seed=0)
        >>> lora.patch().low_rank["layer.weight"].dense().abs().sum().item()
        0.0
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        rank: int,
        scale: float,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self._scale = scale
        self._factors: dict[str, tuple[Tensor, Tensor]] = {}  # module -> A, B
        draws = torch.Generator().manual_seed(seed)
        for module, (out, into) in shapes.items():
            a = (2 * torch.rand(rank, into, generator=draws) - 1) / math.sqrt(into)
            b = torch.zeros(out, rank, device=device, requires_grad=True)
            self._factors[module] = (a.to(device).requires_grad_(), b)
        pairs = self._factors.values()
        self.tensors: Sequence[Tensor] = [*(a for a, _ in pairs), *(b for _, b in pairs)]

    @classmethod
    def like(cls, info: AdapterInfo, seed: int, device: torch.device | str = "cpu") -> Lora:
        """An initial LoRA on the modules of an adapter, with the first module's rank and scale."""
        first = next(iter(info.modules.values()))
        shapes = {module: shape.weight_shape for module, shape in info.modules.items()}
        return cls(shapes, first.rank, first.scale, seed, device)

    def additions(self) -> dict[str, Addition]:
        """Module name -> the LoRA's contribution to its output."""
        return {module: partial(self._output, module) for module in self._factors}

    def _output(self, module: str, x: Tensor) -> Tensor:
        a, b = self._factors[module]
        return (x @ a.T.to(x.dtype)) @ (b * self._scale).T.to(x.dtype)

    def patch(self) -> Patch:
        """The current change of weights, float32 on the CPU, the scale folded into B."""
        changes = {}
        for module, (a, b) in self._factors.items():
            scaled = b.detach().cpu() * self._scale
            changes[f"{module}.weight"] = LowRank(b=scaled, a=a.detach().cpu())
        return Patch(low_rank=changes)


def fit(
    engine: Engine,
    start: Patch,
    items: Sequence[Choices],
    pattern: AdapterInfo,
    seed: int,
    after_epoch: OnRound | None = None,
    epochs: int = EPOCHS,
    on_step: OnStep | None = None,
) -> Patch:
    """Train a new LoRA on top of `start` at `RATE`; the trained model is both together.

    Args:
        engine: a transformers engine.
        start: the model to train further.
        items: training items.
        pattern: an adapter; the LoRA has its modules, rank and scale.
        seed: seed of the initial LoRA and the order.
        after_epoch: see `on_round` of `train`.
        epochs: number of epochs; the learning rate is planned for them.
        on_step: see `train`.

    Raises:
        TypeError: the engine runs several models, or none that can be trained.
    """
    if not isinstance(engine, TransformersEngine):
        raise TypeError(f"only a transformers engine can be trained, not {type(engine).__name__}")
    engine.load(start)
    lora = Lora.like(pattern, seed, engine.model.device)
    rounds = shuffled(items, epochs, seed)
    train(engine, lora, rounds, RATE, on_round=after_epoch, on_step=on_step)
    return lora.patch()
