"""The configuration of a group; imports no model code, so ``--help`` can show the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from pyswarmopt_llm.common.options import (
    OUTPUT,
    RARE,
    TASK,
    Base,
    Columns,
    Dev,
    Device,
    Dtype,
    Option,
    Overlap,
    Scoring,
    TaskFile,
    Template,
    Test,
    Threads,
    documented,
)
from pyswarmopt_llm.common.own import use_names

if TYPE_CHECKING:
    from pyswarmopt_llm.scores.tasks import Task


@documented
@dataclass(frozen=True)
class GroupConfig:
    """The configuration of a group: its members, the task and the machine.

    ``strategies`` are names accepted by `registry.find_names`; with ``skip``, those that the task or
    the members do not support are left out, not refused. An empty ``task`` means a single prompt;
    without ``out`` nothing is written.
    """

    members: Annotated[
        tuple[str, ...],
        Option("Models, adapters, runs or URL#MODEL; most trusted first.", "M...", TASK),
    ]
    strategies: tuple[str, ...] = ()
    task: TaskFile = ""
    out: Annotated[
        str | None, Option("Directory to create or resume (default: save nothing).", "DIR", OUTPUT)
    ] = None
    base: Annotated[
        str | None, Option("Base model of the adapters (default: each one's own).", "B", TASK)
    ] = None
    seed: Annotated[int, Option("Seed for samples and noise.", "S", RARE, least=0)] = 0
    epsilon: Annotated[
        float | None,
        Option(
            "Randomise votes with this epsilon of differential privacy.", "E", least=0, below=100
        ),
    ] = None
    liar: Annotated[
        str | None, Option("Make this member answer wrongly (NAME:test: only on test).", "NAME")
    ] = None
    dev: Dev = None
    test: Test = None
    columns: Columns = ()
    template: Template = ()
    scoring: Scoring = "auto"
    max_new_tokens: Annotated[
        int | None,
        Option("Maximum tokens per reply (default: 128, or what fits the window).", "N", least=1),
    ] = None
    dtype: Dtype = "auto"
    device: Device = "auto"
    threads: Threads = None
    allow_overlap: Overlap = False
    skip: bool = False

    def __post_init__(self) -> None:
        """Turn paths into texts."""
        use_names(self)

    def load(self) -> Task:
        """The task; `task` must not be empty.

        Raises:
            UserError: the task cannot be read.
        """
        from pyswarmopt_llm.scores.tasks.load import load_task_of

        return load_task_of(self, self.task)


@documented
@dataclass(frozen=True, kw_only=True)
class DistillConfig(GroupConfig):
    """A group, its strategy and task, and how an adapter of ``base`` learns from the group.

    The group answers truthfully, so ``epsilon`` and ``liar`` are no options here.
    """

    # `field()`: required, other than in `GroupConfig`
    base: Base = field()
    task: Annotated[
        str, Option("Task: dev examples train the adapter, test examples score it.", "T", TASK)
    ] = field()
    out: Annotated[str, Option("Adapter directory to create.", "DIR", OUTPUT)] = field()
    strategy: Annotated[str, Option("A strategy of ensemble or negotiate.", "S")] = "weighted"
    rank: Annotated[int, Option("LoRA rank.", "R", least=1)] = 8
    lr: Annotated[float, Option("Peak learning rate.", "LR")] = 5e-4
    epochs: Annotated[float, Option("Maximum passes over the dev examples.", "E")] = 2.0
    seed: Annotated[int, Option("Random seed.", "S", least=0)] = 0
    epsilon: None = None
    liar: None = None
