"""Trackio: a local database, unless its own environment variables name a Space; view it with ``trackio show``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import trackio

from pyswarmopt_llm.reporting.tracking import Tracker


def open_tracker(path: Path, name: str, config: Mapping[str, Any]) -> Tracker:
    """See `pyswarmopt_llm.reporting.tracking.Open`; an existing run of that name is continued."""
    run = trackio.init(project="swarm-llm", name=name, config=dict(config), resume="allow", embed=False)
    return cast(Tracker, run)
