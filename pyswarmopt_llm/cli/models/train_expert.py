"""`swarm-llm train-expert`: a LoRA expert from chat examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import Progress

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt.cli.words import counted
from pyswarmopt_llm.cli.options import Base, Device, Dtype, Json, Quiet, Threads

# As many as a few minutes of two cores can read.
BUILTIN_EXAMPLES = 2000


@contextmanager
def step_display(quiet: bool) -> Iterator[Callable[[int, int, float], None] | None]:
    """A progress bar on stderr that counts training steps; None when quiet."""
    if quiet:
        yield None
        return
    with Progress(console=open_console(stderr=True)) as bar:
        row = bar.add_task("loss -", total=None)
        yield lambda step, steps, loss: bar.update(row, completed=step, total=steps, description=f"loss {loss:.3f}")


def command(
    base: Base,
    data: Annotated[
        list[str],
        typer.Option(metavar="D", help='JSONL of {"messages": [...]}, or builtin:NAME (generated); repeatable.'),
    ],
    out: Annotated[str, typer.Option(metavar="DIR", help="Adapter directory to create.")],
    examples: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help=f"Examples of each D (all, or {BUILTIN_EXAMPLES} generated)."),
    ] = None,
    rank: Annotated[int, typer.Option(min=1, metavar="R", help="LoRA rank.")] = 8,
    alpha: Annotated[float, typer.Option(metavar="A", help="LoRA alpha; the scale is alpha / rank.")] = 16,
    targets: Annotated[
        str, typer.Option(metavar="M,M", help="Modules that get an adapter, by name.")
    ] = "q_proj,k_proj,v_proj,o_proj",
    lr: Annotated[float, typer.Option(metavar="LR", help="Peak learning rate.")] = 5e-4,
    epochs: Annotated[float, typer.Option(metavar="E", help="Most passes over the examples.")] = 2.0,
    max_tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Most tokens to train on.")] = 120_000,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Same seed, same expert.")] = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a LoRA expert on examples; loss on the answers only.

    Example: swarm-llm train-expert --base B --data builtin:dates --out experts/dates --rank 4
    """
    from pyswarmopt_llm.models.base import resolve_base
    from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
    from pyswarmopt_llm.models.training.examples import load_examples
    from pyswarmopt_llm.models.training.train import TrainingOptions, train_expert

    where = pick_device(device)
    sources = {spec: load_examples(spec, examples, seed) for spec in data}
    with step_display(quiet) as on_step:
        done = train_expert(
            resolve_base(base),
            [chat for chats in sources.values() for chat in chats],
            out,
            TrainingOptions(
                rank=rank,
                alpha=alpha,
                targets=[name.strip() for name in targets.split(",") if name.strip()],
                lr=lr,
                epochs=epochs,
                max_tokens=max_tokens,
                seed=seed,
                threads=threads,
            ),
            dtype=pick_dtype(dtype, where),
            device=where,
            data="; ".join(f"{spec}, {len(chats)} examples" for spec, chats in sources.items()),
            on_step=on_step,
        )
    if as_json:
        told = {key: None if value != value else value for key, value in asdict(done).items()}  # JSON knows no nan
        typer.echo(json.dumps({"out": out, **told}))
        return
    echo(
        f"wrote {out}: {counted(done.steps, 'step')}, {counted(done.tokens, 'token')} in {done.seconds:.0f} s; "
        f"held-out loss {done.heldout_loss_base:.3f} (base) -> {done.heldout_loss_expert:.3f} (expert)"
    )
