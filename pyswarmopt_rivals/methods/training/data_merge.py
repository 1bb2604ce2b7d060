"""Data merge: one adapter trained on the union of all experts' data, in place of a merge.

A trivial baseline of Model Swarms (Feng et al. 2024, arXiv 2410.11163). Rank, alpha and modules are
those of the first expert.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter
from pyswarmopt_rivals.bench import as_patch
from pyswarmopt_rivals.methods.method import Merged, Settings


def execute(settings: Settings) -> Merged:
    """Train for one pass over the union, shuffled."""
    from pyswarmopt_llm.searching.training.examples import TrainingOptions
    from pyswarmopt_llm.searching.training.train import train_expert

    trial = settings.trial
    chats: list[Mapping[str, Any]] = []
    for expert in settings.experts:
        chats += trial.examples(expert.info.name)
    random.Random(settings.seed).shuffle(chats)
    modules = settings.experts[0].info.modules
    shape = next(iter(modules.values()))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "union"
        train_expert(
            trial.base,
            chats,
            out,
            TrainingOptions(
                rank=shape.rank,
                alpha=shape.rank * shape.scale,
                targets=tuple(sorted({name.rsplit(".", 1)[-1] for name in modules})),
                max_tokens=10**9,
                epochs=1.0,
                seed=settings.seed,
            ),
            dtype=str(trial.model.dtype).removeprefix("torch."),
            device=str(trial.model.device),
        )
        return Merged(as_patch(load_adapter(read_adapter(out))))
