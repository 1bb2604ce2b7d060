"""`swarm-llm merge`: experts combined by a fixed rule, or by a method that looks at a task."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt.cli.words import counted
from pyswarmopt_llm.baselines import METHODS, SEARCHING
from pyswarmopt_llm.cli.options import Base, Experts, Json, names_block
from pyswarmopt_llm.common.errors import UserError


def command(
    base: Base,
    experts: Experts,
    out: Annotated[str, typer.Option(metavar="ADAPTER", help="Adapter directory to create.")],
    method: Annotated[str, typer.Option(metavar="M", help="A name of the table above.")] = "uniform-soup",
    space: Annotated[
        str | None, typer.Option(metavar="S", help="factor (A and B) or delta (B A); else its own.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="W,W", help="One number per expert, or one for all: 0.5,0.3,0.2.")
    ] = None,
    density: Annotated[float | None, typer.Option(metavar="X", help="Share of the entries that is kept.")] = None,
    t: Annotated[float | None, typer.Option("--t", metavar="X", help="slerp of two: 0 first, 1 second.")] = None,
    rank: Annotated[int | None, typer.Option(metavar="R", help="LoRA rank of the result (delta only).")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of whatever is drawn at random (0).")] = None,
    task: Annotated[
        str | None, typer.Option(metavar="T", help="File or builtin:NAME, for methods that look at dev items.")
    ] = None,
    budget_items: Annotated[int, typer.Option(min=1, metavar="N", help="Dev items they may ask.")] = 8000,
    as_json: Json = False,
) -> None:
    from pyswarmopt_llm.baselines.method import Options
    from pyswarmopt_llm.jobs.merge import merge_experts

    options = Options(weights=_numbers(weights), density=density, t=t, rank=rank, seed=seed)
    done = merge_experts(base, experts, method, space, out, options, task, budget_items)
    if as_json:
        told = {"out": out, "method": method, "space": done.space, "experts": experts, "ranks": list(done.ranks)}
        typer.echo(json.dumps({**told, "relative_error": done.error, "items": done.items}))
        return
    ranks = ", ".join(map(str, done.ranks))
    of = counted(len(experts), "expert")
    echo(f"wrote {out}: {method} of {of} ({done.space} space), rank {ranks}; {done.loss()}")


def _numbers(text: str | None) -> tuple[float, ...] | None:
    """``0.5,0.3`` -> (0.5, 0.3)."""
    if text is None:
        return None
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise UserError(f"--weights {text}: give numbers with commas between them, such as 0.5,0.3,0.2") from error


# The help shows the table of methods; \b keeps its lines as they are.
command.__doc__ = """Combine experts: by a fixed rule, or by a method that looks at a task's dev items.

\b
Example: swarm-llm merge --base B --experts adapters/* --method ties --out merged
""" + "\n".join(
    [
        *(f"  {name:<16} {method.text}" for name, method in METHODS.items()),
        *names_block("With --task", [name for name in SEARCHING if name != "data-merge"]),
    ]
)
