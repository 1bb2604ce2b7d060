"""What a finished run left: the base and the adapter, or the model or mixture that needs no base."""

from __future__ import annotations

import json
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError


def result_of(run: Path) -> tuple[str, str | None]:
    """(base, adapter) of a finished run; of one over whole models (its best model, mixture or graph, None).

    Raises:
        UserError: not a run directory, or one that has not ended yet.
    """
    try:
        config = json.loads((run / "run.json").read_text(encoding="utf-8"))["config"]
        base, whole = config["base"], config.get("space") in ("full", "token", "graph")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{run}: not a run directory (no readable run.json); check --run") from error
    if not (run / "best").is_dir():
        raise UserError(f"{run}: has no best/ yet; finish it with: swarm-llm resume {run}")
    return (str(run / "best"), None) if whole else (str(base), str(run / "best"))


__all__ = ["result_of"]
