"""Train a LoRA expert to choose among options (``train-expert --loss options``)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.models.adapters.write import write_adapter
from pyswarmopt_llm.models.base import BaseModel, resolve_base
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.models.files import check_free
from pyswarmopt_llm.models.training.fit import ITEMS_PER_STEP, Trained, fit
from pyswarmopt_llm.models.training.gradients import Gradients
from pyswarmopt_llm.models.training.lora import Lora
from pyswarmopt_llm.models.training.train import OnStep, TrainingCost, TrainingOptions, TrainingResult, expert_card
from pyswarmopt_llm.spaces.load import load_engine
from pyswarmopt_llm.tasks import Item


def train_on_options(
    base: str,
    items: Sequence[Item],
    out: str | Path,
    options: TrainingOptions,
    *,
    dtype: str = "auto",
    device: str = "auto",
    data: str = "",
    on_step: OnStep | None = None,
) -> TrainingResult:
    """Train a LoRA adapter by the cross-entropy over each item's options, and write it.

    The options are scored by likelihood, as a search scores them (see `models.training.fit`). Of the options of
    `TrainingOptions`, those of batches and of held-out examples have no effect; `epochs` is rounded up.

    Args:
        base: the frozen model, as `resolve_base` takes it.
        items: multiple-choice items.
        out: the directory to create.
        options: adapter and optimiser.
        dtype: of the frozen base.
        device: to train on.
        data: description of the items, for the card.
        on_step: called as ``on_step(epoch, epochs, loss)`` after each epoch.

    Raises:
        UserError: `out` exists, an item has no options, none has a right answer, or a target is not in the model.
    """
    out, model, epochs = Path(out), resolve_base(base), math.ceil(options.epochs)
    check_free(out)
    engine, choices, lora = _prepare(model, items, options, dtype, device)
    fed, start = engine.tokens_fed, time.perf_counter()

    def after_epoch(epoch: int, loss: float) -> None:
        if on_step is not None:
            on_step(epoch, epochs, loss)

    trained = [Trained(lora.tensors, options.lr)]
    losses = fit(Gradients(engine), choices, lora.additions(), trained, epochs, options.seed, after_epoch=after_epoch)
    result = TrainingResult(
        name=out.resolve().name,
        examples=len(choices),
        heldout=0,
        steps=epochs * math.ceil(len(choices) / ITEMS_PER_STEP),
        tokens=engine.tokens_fed - fed,
        seconds=time.perf_counter() - start,
        train_loss_first=losses[0],
        train_loss_last=losses[-1],
        heldout_loss_base=math.nan,
        heldout_loss_expert=math.nan,
    )
    write_adapter(
        out,
        lora.factors(),
        base_model_name=model.name,
        target_modules=options.targets,
        alpha=options.alpha,
        card=expert_card(result, model.name, data, options, "cross-entropy over the options"),
    )
    return result


def options_training_cost(
    base: str, items: Sequence[Item], options: TrainingOptions, *, dtype: str = "auto", device: str = "auto"
) -> TrainingCost:
    """The cost of `train_on_options` with these arguments, from one step that is taken twice.

    Raises:
        UserError: as `train_on_options`.
    """
    engine, choices, lora = _prepare(resolve_base(base), items, options, dtype, device)
    sample, epochs = choices[:ITEMS_PER_STEP], math.ceil(options.epochs)
    trained = [Trained(lora.tensors, options.lr)]
    for _ in range(2):  # the first one warms up
        fed, start = engine.tokens_fed, time.perf_counter()
        fit(Gradients(engine), sample, lora.additions(), trained, 1, options.seed)
        seconds, tokens = time.perf_counter() - start, engine.tokens_fed - fed
    rounds = epochs * len(choices) / len(sample)
    return TrainingCost(epochs * math.ceil(len(choices) / ITEMS_PER_STEP), round(rounds * tokens), rounds * seconds)


def _prepare(
    base: BaseModel, items: Sequence[Item], options: TrainingOptions, dtype: str, device: str
) -> tuple[TransformersEngine, list[Choices], Lora]:
    """The resident base, the items for training, and a new adapter."""
    engine = load_engine(base, dtype, device, options.threads)
    choices = Accuracy(items, "likelihood", engine.chat).choices()
    if not choices:
        raise InvalidOption("loss", "options", "no item has a right answer; give a task with answers")
    scale = options.alpha / options.rank
    return engine, choices, Lora.of_targets(engine.model, options.targets, options.rank, scale, options.seed)
