"""The configuration of `swarm-llm eval`; imports no model code, since ``--help`` reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pyswarmopt_llm.common import options as opt
from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.options import Option, documented
from pyswarmopt_llm.common.own import use_names
from pyswarmopt_llm.scores.tasks.table import SUFFIXES

OnItems = Callable[[int, int], None]  # items done so far, and in total


@dataclass(frozen=True)
class Machine:
    """Where a model runs, and how it is prompted."""

    dtype: opt.Dtype = "auto"
    device: opt.Device = "auto"
    threads: opt.Threads = None
    system: str = ""  # turn before every question
    thinking: int = 0  # most tokens of thoughts before an answer
    quantize: opt.Quantize = None  # None: as in the run's search


@documented
@dataclass(frozen=True)
class EvalConfig:
    """The model, the items, and the model to compare with."""

    base: Annotated[str, replace(opt.BASE, required=False)] = ""
    task: Annotated[str, replace(opt.TASK_FILE, required=False)] = ""
    adapter: Annotated[
        str | None, Option("LoRA adapter, run or model (default: the base).", "A", opt.TASK)
    ] = None
    against: Annotated[
        str | None,
        Option(
            "Adapter, run or model to compare with; base: `base` without an adapter.", "B", opt.TASK
        ),
    ] = None
    run: Annotated[
        str | None,
        Option(
            "Finished run, which provides base, task and adapter unless they are set.",
            "RUN",
            opt.TASK,
        ),
    ] = None
    split: Annotated[str, Option("dev or test.", "S", opt.TASK, choices=("dev", "test"))] = "test"
    dev: opt.Dev = None
    test: opt.Test = None
    columns: opt.Columns = ()
    template: opt.Template = ()
    system: opt.System = ""
    thinking: opt.Thinking = 0
    scoring: opt.Scoring = "auto"
    metric: Annotated[
        str | None,
        Option(
            "accuracy, f1, reward:MODEL, judge, mine.py:score, ... (default: the task's).",
            "M",
            opt.TASK,
        ),
    ] = None
    max_new_tokens: opt.NewTokens = None
    allow_overlap: opt.Overlap = False
    dtype: opt.Dtype = "auto"
    device: opt.Device = "auto"
    threads: opt.Threads = None
    quantize: opt.Quantize = None

    def __post_init__(self) -> None:
        """Turn paths into texts."""
        use_names(self)


def check_run(run: Path) -> None:
    """Refuse a directory that is not a run with a result, before a model is loaded.

    Raises:
        UserError: there is no run, or it has not ended.
    """
    if not (run / "run.json").is_file():
        raise UserError(f"{run} is not a run directory (it has no run.json); check the path")
    if not all((run / name).exists() for name in ("best", "result.json")):
        raise UserError(f"{run} is not finished; continue it with: {command('resume', str(run))}")


def check_table_out(out: Path) -> None:
    """Refuse an output table that cannot be written, before a model is loaded.

    Raises:
        UserError: the file type is unsupported, the file exists, or its folder does not.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise InvalidOption(
            "out", out, f"is not a table; use one of the suffixes {', '.join(SUFFIXES)}"
        )
    if not out.parent.is_dir():
        raise InvalidOption(
            "out", out, f": there is no folder {out.parent}; create it, or use another file"
        )
    if out.exists():
        raise InvalidOption("out", out, "already exists; remove it, or use another file")
