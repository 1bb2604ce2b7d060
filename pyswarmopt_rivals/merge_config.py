"""The configuration of a merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pyswarmopt_llm.common import options as opt
from pyswarmopt_llm.common.options import Option
from pyswarmopt_llm.common.own import use_names


@opt.documented
@dataclass(frozen=True)
class MergeConfig:
    """The configuration of `swarm-llm merge`.

    ``slerp`` and weights depend on the order of the experts. A method of `SEARCHING` uses the
    task's dev items.
    """

    base: opt.Base
    experts: opt.Experts
    out: Annotated[str, Option("Adapter directory to create.", "ADAPTER", opt.OUTPUT)]
    method: Annotated[str, Option("A method (listed below).", "M")] = "uniform-soup"
    space: Annotated[
        str | None, Option("delta (B A) or factor (A and B); default: the method's own.", "S")
    ] = None
    weights: Annotated[
        str | None,
        Option("One number per expert, or one for all.", "W,W"),
    ] = None
    density: Annotated[
        float | None, Option("Fraction of entries to keep.", "X", above=0, most=1)
    ] = None
    rank: Annotated[
        int | None, Option("Truncate the merged adapter to this rank (delta only).", "R", least=1)
    ] = None
    seed: Annotated[int | None, Option("Random seed (default: 0).", "N", least=0)] = None
    task: Annotated[
        str | None,
        Option("File or builtin:NAME, for methods that use dev examples.", "T", opt.TASK),
    ] = None
    columns: opt.Columns = ()
    template: opt.Template = ()
    budget_items: Annotated[int, Option("Dev-example budget.", "N", least=1)] = 8000

    def __post_init__(self) -> None:
        """Turn paths into texts."""
        use_names(self)
