"""What a finished run left: the base and the adapter, or the model or mixture that needs no base."""

from __future__ import annotations

from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.evaluation.run_files import read_about, stored_config


def result_of(run: Path) -> tuple[str, str | None]:
    """(base, adapter) of a finished run; of one over whole models (its best model, mixture or graph, None).

    Raises:
        UserError: not a run directory, or one that has not ended yet.
    """
    base = stored_config(run, read_about(run)).base
    if not (run / "best").is_dir():
        raise UserError(f"{run}: has no best/ yet; finish it with: swarm-llm resume {run}")
    return (base, str(run / "best")) if (run / "best" / "adapter_config.json").is_file() else (str(run / "best"), None)


__all__ = ["result_of"]
