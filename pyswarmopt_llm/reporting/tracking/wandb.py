"""Weights & Biases: files in ``RUN/wandb`` for ``wandb sync``; uploaded directly only with ``WANDB_MODE=online``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import wandb

from pyswarmopt_llm.reporting.tracking import Tracker


def open_tracker(path: Path, name: str, config: Mapping[str, Any]) -> Tracker:
    """See `pyswarmopt_llm.reporting.tracking.Open`; an existing run of that name is continued."""
    mode = cast(Literal["online", "offline", "disabled"], os.environ.get("WANDB_MODE", "offline"))
    own = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name)  # allowed in ids
    run = wandb.init(
        project="swarm-llm", name=name, id=own, dir=path, config=dict(config), mode=mode, resume="allow"
    )
    return cast(Tracker, run)
