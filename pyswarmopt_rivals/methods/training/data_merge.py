"""Data merge: one adapter trained on the union of all experts' data, in place of a merge.

A trivial baseline of Model Swarms (Feng et al. 2024, arXiv 2410.11163). Epochs and learning rate
come from the comparison, by default as in `train-expert`. Rank, alpha and modules are the first
expert's. No chat is held out unless the comparison says so, and none is cut below the context
window (`train-expert` holds out 60 and cuts at 448 tokens), since the held-out loss is not used
here.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter
from pyswarmopt_llm.searching.training.expert import train_expert
from pyswarmopt_rivals.bench import as_patch
from pyswarmopt_rivals.methods.method import Merged, Settings

UNBOUNDED = 10**9  # most tokens


def execute(settings: Settings) -> Merged:
    """Train on the union, shuffled."""
    trial = settings.trial
    chats: list[Mapping[str, Any]] = []
    for expert in settings.experts:
        chats += trial.examples(expert.info.name)
    random.Random(settings.seed).shuffle(chats)
    modules = settings.experts[0].info.modules
    shape = next(iter(modules.values()))
    options = replace(
        trial.bench.schedule,
        rank=shape.rank,
        alpha=shape.rank * shape.scale,
        targets=tuple(sorted({name.rsplit(".", 1)[-1] for name in modules})),
        max_tokens=UNBOUNDED,
        max_len=trial.engine.window or UNBOUNDED,
        seed=settings.seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "union"
        train_expert(
            trial.base,
            chats,
            out,
            options,
            dtype=str(trial.model.dtype).removeprefix("torch."),
            device=str(trial.model.device),
        )
        return Merged(as_patch(load_adapter(read_adapter(out))))
