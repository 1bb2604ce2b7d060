"""Trackio: a local database, unless its own environment variables name a Space; view it with ``trackio show``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import trackio


class Trackio:
    """Logs to a trackio run.

    Args:
        name: of the run; an existing one is continued.
        config: shown beside the run.
    """

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        with redirect_stdout(sys.stderr):  # it prints a greeting, and stdout is for results
            self._run = trackio.init(project="swarm-llm", name=name, config=dict(config), resume="allow", embed=False)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log the values of a step."""
        self._run.log(dict(values), step=step)

    def finish(self) -> None:
        """Wait until everything is written."""
        with redirect_stdout(sys.stderr):
            self._run.finish()


def open_tracker(path: Path, name: str, config: Mapping[str, Any]) -> Trackio:
    """See `pyswarmopt_llm.reporting.tracking.Open`."""
    return Trackio(name, config)
