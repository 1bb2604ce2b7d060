"""Train a LoRA expert to choose among options (`loss` options of train-expert)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.engine.load import load_engine
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.files import check_free
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.training.choice_losses import choice_trainer
from pyswarmopt_llm.searching.training.train import TrainingOptions, TrainingResult, write_expert
from pyswarmopt_llm.searching.training.trainer import OnRound


def train_on_options(
    base: str,
    items: Sequence[Item],
    out: str | Path,
    options: TrainingOptions,
    *,
    dtype: str = "auto",
    device: str = "auto",
    data: str = "",
    on_step: OnRound | None = None,
) -> TrainingResult:
    """Train a LoRA adapter by the cross-entropy over each item's options, and write it.

    The options are scored by likelihood, as a search scores them: see `choice_losses`. The
    `TrainingOptions` of batches and of held-out examples have no effect; `epochs` is rounded up.

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
        UserError: `out` exists, an item has no options, none has a right answer, or a target is not
            in the model.
    """
    out = Path(out)
    check_free(out)
    model = resolve_base(base)
    engine = load_engine(model, dtype, device, options.threads)
    choices = Accuracy(items, "likelihood", engine.chat).choices()
    if not choices:
        raise InvalidOption(
            "loss", "options", "no item has a right answer; give a task with answers"
        )
    lora = options.lora(model, engine.model)
    epochs = math.ceil(options.epochs)
    trainer = choice_trainer(engine, choices, lora, options.lr, epochs, options.seed)
    fed, start = engine.tokens_fed, time.perf_counter()
    losses = trainer.run(on_round=on_step)
    result = TrainingResult(
        name=out.resolve().name,
        examples=len(choices),
        heldout=0,
        steps=trainer.steps,
        tokens=engine.tokens_fed - fed,
        seconds=time.perf_counter() - start,
        train_loss_first=losses[0],
        train_loss_last=losses[-1],
        heldout_loss_base=math.nan,
        heldout_loss_expert=math.nan,
    )
    write_expert(out, lora, result, model.name, data, options, "cross-entropy over the options")
    return result


__all__ = ["train_on_options"]
