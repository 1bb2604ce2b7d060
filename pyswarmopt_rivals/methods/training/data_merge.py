"""Data merge: one adapter trained on the union of all experts' data, in place of a merge.

A trivial baseline of Model Swarms (Feng et al. 2024, arXiv 2410.11163). Epochs and learning rate
are those that the experts were trained with. Rank, alpha and modules are the first expert's. No chat
is held out, and none is cut below the context window (`train-expert` holds out 60 and cuts at 448
tokens), since the held-out loss is not used here.
"""

from __future__ import annotations

import random
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.training.examples import TrainingOptions
from pyswarmopt_llm.training.expert import train_expert
from pyswarmopt_rivals.methods.method import Merged, Settings

UNBOUNDED = 10**9  # most tokens
CARD = re.compile(r"peak lr (?P<lr>[\d.e+-]+), at most (?P<epochs>[\d.e+]+) epochs")


def schedule(
    experts: Sequence[AdapterInfo], lr: float | None, epochs: float | None
) -> TrainingOptions:
    """How to train on the union: at this rate, for so many epochs, or as the experts' cards say.

    Args:
        experts: adapters as `train-expert` writes them, with their cards.
        lr: peak learning rate; None: that of the cards.
        epochs: number of epochs; None: that of the cards.

    Raises:
        InvalidOption: a value is not given, and not the same in all cards.
    """
    cards = {_of_card(expert) for expert in experts}
    if len(cards) == 1:
        ((card_lr, card_epochs),) = cards
        lr = lr or card_lr
        epochs = epochs or card_epochs
    if lr is None or epochs is None:
        why = ": the adapters' cards do not all state the same learning rate and epochs"
        raise InvalidOption(
            "data_lr", lr, f"{why}; set `data_lr` and `data_epochs` to those used in training"
        )
    return TrainingOptions(lr=lr, epochs=epochs, heldout=0)


def _of_card(expert: AdapterInfo) -> tuple[float | None, float | None]:
    """Peak learning rate and epochs, as an adapter's card says."""
    card = expert.path / "README.md"
    match = None
    if card.is_file():
        match = CARD.search(card.read_text(encoding="utf-8"))
    if match is None:
        return None, None
    return float(match["lr"]), float(match["epochs"])


def execute(settings: Settings) -> Merged:
    """Train on the union, once for all tasks."""
    bench = settings.trial.bench
    if settings.seed not in bench.unions:
        start = time.perf_counter()
        patch = _trained(settings)
        bench.unions[settings.seed] = patch, time.perf_counter() - start
        return Merged(patch)
    patch, seconds = bench.unions[settings.seed]
    bench.replayed_seconds += seconds
    return Merged(patch)


def _trained(settings: Settings) -> Patch:
    """A LoRA trained on the union, shuffled."""
    bench = settings.trial.bench
    chats = [chat for expert in settings.experts for chat in bench.chats[expert.info.name]]
    random.Random(settings.seed).shuffle(chats)
    modules = settings.experts[0].info.modules
    shape = next(iter(modules.values()))
    options = replace(
        bench.schedule,
        rank=shape.rank,
        alpha=shape.rank * shape.scale,
        targets=tuple(sorted({name.rsplit(".", 1)[-1] for name in modules})),
        max_tokens=UNBOUNDED,
        seed=settings.seed,
    )
    model = bench.engine.model
    dtype = str(model.dtype).removeprefix("torch.")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "union"
        train_expert(bench.base, chats, out, options, dtype=dtype, device=str(model.device))
        return Patch(low_rank=load_factors(read_adapter(out)))
