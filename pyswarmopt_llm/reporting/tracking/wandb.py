"""Weights & Biases: files in ``RUN/wandb`` for ``wandb sync``; uploaded directly only with ``WANDB_MODE=online``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import wandb

Mode = Literal["online", "offline", "disabled"]


class WeightsAndBiases:
    """Logs to a wandb run.

    Args:
        folder: where its files go.
        name: of the run, and its id; an existing one is continued.
        config: shown beside the run.
    """

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        mode = cast(Mode, os.environ.get("WANDB_MODE", "offline"))
        own = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name)  # allowed in ids
        self._run = wandb.init(
            project="swarm-llm", name=name, id=own, dir=folder, config=dict(config), mode=mode, resume="allow"
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log the values of a step."""
        self._run.log(dict(values), step=step)

    def finish(self) -> None:
        """Wait until everything is written."""
        self._run.finish()


def open_tracker(path: Path, name: str, config: Mapping[str, Any]) -> WeightsAndBiases:
    """See `pyswarmopt_llm.reporting.tracking.Open`."""
    return WeightsAndBiases(path, name, config)
