"""Weights & Biases: files in ``RUN/wandb`` for ``wandb sync``; sent at once only if ``WANDB_MODE=online`` says so."""

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
        name: of the run, and its id: one that is there goes on.
        config: shown beside the run.
    """

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        mode = cast(Mode, os.environ.get("WANDB_MODE", "offline"))
        own = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name)  # an id takes few signs
        self._run = wandb.init(
            project="swarm-llm", name=name, id=own, dir=folder, config=dict(config), mode=mode, resume="allow"
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Keep these values of this step."""
        self._run.log(dict(values), step=step)

    def finish(self) -> None:
        """Wait until all is written."""
        self._run.finish()


def open_tracker(path: Path, name: str, config: Mapping[str, Any]) -> WeightsAndBiases:
    """See `pyswarmopt_llm.reporting.tracking.Open`."""
    return WeightsAndBiases(path, name, config)
