"""`swarm-llm merge`: experts combined by a fixed rule, or by a method that looks at a task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json, names_block
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.options import (
    OUTPUT,
    TASK,
    Base,
    Columns,
    Experts,
    Option,
    SplitSeed,
    Template,
)
from pyswarmopt_rivals.methods import METHODS, SEARCHING


@dataclass(frozen=True)
class Merge:
    """The options of `swarm-llm merge`."""

    base: Base
    experts: Experts
    out: Annotated[str, Option("Adapter directory to create.", "ADAPTER", OUTPUT)]
    method: Annotated[str, Option("A method (--help-all names them).", "M")] = "uniform-soup"
    space: Annotated[
        str | None, Option("factor (A and B) or delta (B A); default: the method's own.", "S")
    ] = None
    weights: Annotated[
        str | None, Option("One number per expert, or one for all: 0.5,0.3,0.2.", "W,W")
    ] = None
    density: Annotated[float | None, Option("Fraction of entries to keep.", "X")] = None
    t: Annotated[
        float | None, Option("slerp of two experts: 0 is the first, 1 the second.", "X")
    ] = None
    rank: Annotated[int | None, Option("LoRA rank to cut the result to (delta only).", "R")] = None
    seed: Annotated[int | None, Option("Random seed (0).", "N")] = None
    task: Annotated[
        str | None, Option("File or builtin:NAME, for methods that use dev items.", "T", TASK)
    ] = None
    columns: Columns = ()
    template: Template = ()
    split_seed: SplitSeed = 0
    budget_items: Annotated[int, Option("Dev-item budget.", "N", least=1)] = 8000


def command(merge: Merge, as_json: Json = False) -> None:
    from pyswarmopt_rivals.methods.method import Options

    options = Options(_numbers(merge.weights), merge.density, merge.t, merge.rank, merge.seed)
    from pyswarmopt_rivals.merge import merge_experts

    done = merge_experts(
        *(merge.base, merge.experts, merge.method, merge.space, merge.out, options),
        *(merge.task, merge.budget_items, merge.columns, merge.template, merge.split_seed),
    )
    if done.note:
        echo(with_flags(done.note), err=True)
    if as_json:
        record: dict[str, Any] = {"out": merge.out, "method": merge.method, "space": done.space}
        record |= {"experts": merge.experts, "ranks": list(done.ranks)}
        record |= {"relative_error": done.error, "items": done.items}
        typer.echo(json.dumps(record))
        return
    ranks = ", ".join(map(str, done.ranks))
    of = counted(len(merge.experts), "expert")
    echo(
        f"wrote {merge.out}: {merge.method} of {of} ({done.space} space), rank {ranks}; "
        f"{done.loss()}"
    )


def _numbers(text: str | None) -> tuple[float, ...] | None:
    """``0.5,0.3`` -> (0.5, 0.3)."""
    if text is None:
        return None
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise UserError(
            f"--weights {text}: give numbers with commas between them, such as 0.5,0.3,0.2"
        ) from error


# The help shows the table of methods; \b keeps its lines as they are.
command.__doc__ = """Merge experts by a rule, or with a task's dev items.

Example: swarm-llm merge --base B --experts adapters/* --method ties --out merged

\b
""" + "\n".join(
    [
        *(f"  {name:<16} {method.text}" for name, method in METHODS.items()),
        *names_block("With --task", [name for name in SEARCHING if name != "data-merge"]),
    ]
)
