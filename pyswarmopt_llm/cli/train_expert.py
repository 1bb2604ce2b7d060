"""`swarm-llm train-expert`: a LoRA expert from chat examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import Progress

from pyswarmopt.base.words import counted
from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.common.options import (
    OUTPUT,
    TASK,
    Base,
    Columns,
    Device,
    Dtype,
    Option,
    Threads,
)

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.training.train import TrainingOptions, TrainingResult
    from pyswarmopt_llm.searching.training.trainer import OnRound

BUILTIN_EXAMPLES = 2000  # what two cores train on in a few minutes
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


@contextmanager
def step_display(quiet: bool) -> Iterator[Callable[[int, int, float], None] | None]:
    """A progress bar on stderr that counts training steps; None when quiet."""
    if quiet:
        yield None
        return
    with Progress(console=open_console(stderr=True)) as bar:
        row = bar.add_task("loss -", total=None)
        yield lambda step, steps, loss: bar.update(
            row, completed=step, total=steps, description=f"loss {loss:.3f}"
        )


@dataclass(frozen=True)
class Training:
    """The options of `swarm-llm train-expert`."""

    base: Base
    data: Annotated[
        tuple[str, ...],
        Option(
            'JSONL of {"messages": [...]}, a task file, builtin:NAME.',
            "D",
            TASK,
        ),
    ]
    out: Annotated[str, Option("Adapter directory to create.", "DIR", OUTPUT)]
    examples: Annotated[
        int | None,
        Option(f"Examples per D (all, or {BUILTIN_EXAMPLES} generated).", "N", TASK, least=1),
    ] = None
    loss: Annotated[
        Literal["answer", "options"],
        Option(
            "answer: of the right answer; options: cross-entropy over the options of a task D.",
            "KIND",
            TASK,
        ),
    ] = "answer"
    columns: Columns = ()
    rank: Annotated[int, Option("LoRA rank.", "R", least=1)] = 8
    alpha: Annotated[float, Option("LoRA alpha; the scale is alpha / rank.", "A", hidden=True)] = 16
    targets: Annotated[
        tuple[str, ...], Option("Names of the target modules.", "M,M", commas=True, hidden=True)
    ] = TARGETS
    lr: Annotated[float, Option("Peak learning rate.", "LR")] = 5e-4
    epochs: Annotated[float, Option("Maximum number of epochs.", "E")] = 2.0
    max_tokens: Annotated[int, Option("Training budget in tokens.", "N", hidden=True, least=1)] = (
        120_000
    )
    max_len: Annotated[int, Option("Cut chats to N tokens.", "N", hidden=True, least=2)] = 448
    seed: Annotated[int, Option("Random seed.", "S", least=0)] = 0
    dtype: Dtype = "auto"
    device: Device = "auto"
    threads: Threads = None


def command(options: Training, quiet: Quiet = False, as_json: Json = False) -> None:
    """Train a LoRA expert: on answers, or to choose among options.

    Example: swarm-llm train-expert --base B --data builtin:dates --out experts/dates --rank 4
    """
    sources = _sources(options)  # read before a model is loaded
    if not (as_json or quiet):
        for spec, source in sources.items():
            echo(f"{spec}: {counted(len(source), 'row')}")
    with step_display(quiet) as on_step:
        done = _train(options, sources, on_step)
    if as_json:
        # JSON has no NaN
        record = {key: None if value != value else value for key, value in asdict(done).items()}
        typer.echo(json.dumps({"out": options.out, **record}))
        return
    loss = f"training loss {done.train_loss_first:.3f} (first) -> {done.train_loss_last:.3f} (last)"
    if done.heldout:
        loss = (
            f"held-out loss {done.heldout_loss_base:.3f} (base) -> "
            f"{done.heldout_loss_expert:.3f} (expert)"
        )
    if done.cut or done.dropped:
        echo(
            f"of {sum(map(len, sources.values()))} chats {done.cut} are cut to "
            f"{options.max_len} tokens, and {done.dropped} left out, whose answers begin later; "
            "--max-len N takes more"
        )
    steps, tokens = counted(done.steps, "step"), counted(done.tokens, "token")
    echo(f"wrote {options.out}: {steps}, {tokens} in {done.seconds:.0f} s; {loss}")


def _train(
    options: Training, sources: Mapping[str, Sequence[Any]], on_step: OnRound | None
) -> TrainingResult:
    examples = [example for source in sources.values() for example in source]
    to = (options.out, _recipe(options))
    data = "; ".join(f"{spec}, {len(source)} examples" for spec, source in sources.items())
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_llm.searching.training.train import train_expert

    return train_expert(
        resolve_base(options.base),
        examples,
        *to,
        loss=options.loss,
        dtype=options.dtype,
        device=options.device,
        data=data,
        on_step=on_step,
    )


def _sources(options: Training) -> dict[str, Sequence[Any]]:
    """Each D and its examples: items, or chats."""
    if options.loss == "options":
        from pyswarmopt_llm.searching.training.examples import training_items

        return {
            spec: training_items(spec, options.examples, options.seed, options.columns)
            for spec in options.data
        }
    from pyswarmopt_llm.searching.training.examples import load_examples

    return {
        spec: load_examples(spec, options.examples, options.seed, options.columns)
        for spec in options.data
    }


def _recipe(options: Training) -> TrainingOptions:
    from pyswarmopt_llm.searching.training.train import TrainingOptions

    names = (
        *("rank", "alpha", "targets", "lr", "epochs", "max_tokens", "max_len", "seed"),
        "threads",
    )
    given = {name: getattr(options, name) for name in names}
    return TrainingOptions(**given)
