"""The configuration of a comparison: everything that decides its figures, in one frozen record."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Annotated

from pyswarmopt_llm.common import options as opt
from pyswarmopt_llm.common.options import Option
from pyswarmopt_llm.common.own import use_names


@opt.documented
@dataclass(frozen=True)
class CompareConfig:
    """The configuration of `swarm-llm compare`; each field has its option's help.

    Example:
        >>> CompareConfig(base="b", experts=("x", "y"), tasks=("t.json",), out="out").budget_items
        8000
    """

    base: opt.Base
    experts: opt.Experts
    tasks: Annotated[
        tuple[str, ...],
        Option(
            "File or builtin:NAME; repeat to compare on several tasks.",
            "T",
            opt.TASK,
        ),
    ]
    out: Annotated[str, Option("Output directory to create or resume.", "DIR", opt.OUTPUT)]
    _: KW_ONLY
    methods: Annotated[
        tuple[str, ...],
        Option("Methods (listed below), FILE.py:NAME, or all.", "M,M", commas=True),
    ] = ("all",)
    seeds: Annotated[int, Option("Number of seeds for randomised methods.", "N", least=1)] = 3
    budget_items: Annotated[
        int, Option("Dev-example budget per method, task and seed.", "N", least=1)
    ] = 8000
    data: Annotated[
        tuple[str, ...],
        Option(
            "An expert's training chats, for data-merge: JSONL or builtin:NAME.", "NAME=D", opt.TASK
        ),
    ] = ()
    data_epochs: Annotated[
        float | None,
        Option("Epochs of data-merge (default: as for the adapters).", "E", opt.TASK, above=0),
    ] = None
    data_lr: Annotated[
        float | None,
        Option(
            "Peak learning rate of data-merge (default: as for the adapters).",
            "LR",
            opt.TASK,
            above=0,
        ),
    ] = None
    dev: opt.Dev = None
    test: opt.Test = None
    columns: opt.Columns = ()
    template: opt.Template = ()
    metrics: Annotated[
        tuple[str, ...],
        Option(
            "accuracy, f1, judge, mine.py:score, ... (default: the task's).",
            "M",
            opt.TASK,
        ),
    ] = ()
    max_new_tokens: opt.NewTokens = None
    scoring: opt.Scoring = "auto"
    allow_overlap: opt.Overlap = False
    dtype: opt.Dtype = "auto"
    device: opt.Device = "auto"
    threads: opt.Threads = None

    def __post_init__(self) -> None:
        """Turn paths into texts."""
        use_names(self)
