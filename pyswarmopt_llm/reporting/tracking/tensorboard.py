"""TensorBoard: event files in ``RUN/tensorboard``; view them with ``tensorboard --logdir RUN``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Writes scalars, flushed at each step so that a killed search loses none.

    Args:
        folder: where the event files go.
        config: shown as text.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._writer = SummaryWriter(str(folder))
        self._writer.add_text("config", f"    {json.dumps(config)}")

    def log(self, values: dict[str, float], /, step: int) -> None:
        """Log the values of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self) -> None:
        """Close the file."""
        self._writer.close()


def open_tracker(path: Path, name: str, config: Mapping[str, Any]) -> TensorBoard:
    """See `pyswarmopt_llm.reporting.tracking.Open`."""
    return TensorBoard(path / "tensorboard", config)
