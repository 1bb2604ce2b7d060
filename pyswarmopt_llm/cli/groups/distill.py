"""`swarm-llm distill`: one adapter that learns what a group answers."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt.cli.words import counted
from pyswarmopt_llm.cli.models.train_expert import step_display
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.common.options import (
    OUTPUT,
    TASK,
    Base,
    Columns,
    Dev,
    Device,
    Dtype,
    Option,
    Overlap,
    Scoring,
    SplitSeed,
    Template,
    Test,
    Threads,
)
from pyswarmopt_llm.groups.config import CouncilConfig
from pyswarmopt_llm.groups.registry import NEGOTIATIONS, VOTES, find_names


def command(
    base: Base,
    members: Annotated[
        tuple[str, ...], Option("Models, adapters, runs, mixtures or URL#MODEL; trusted first.", "M...", TASK)
    ],
    task: Annotated[str, Option("Its dev questions are taught, its test questions reported.", "T", TASK)],
    out: Annotated[str, Option("Adapter directory to create.", "DIR", OUTPUT)],
    strategy: Annotated[str, Option("A strategy of ensemble or negotiate.", "S")] = "weighted",
    soft: Annotated[bool, Option("Teach the group's probabilities, not its answers.")] = False,
    rank: Annotated[int, Option("LoRA rank.", "R", least=1)] = 8,
    lr: Annotated[float, Option("Peak learning rate.", "LR")] = 5e-4,
    epochs: Annotated[float, Option("Most passes over the questions.", "E")] = 2.0,
    max_tokens: Annotated[int, Option("Most tokens to train on.", "N", least=1)] = 120_000,
    dev: Dev = None,
    test: Test = None,
    columns: Columns = (),
    template: Template = (),
    split_seed: SplitSeed = 0,
    seed: Annotated[int, Option("Same seed, same adapter.", "S", least=0)] = 0,
    scoring: Scoring = "auto",
    allow_overlap: Overlap = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train one adapter on a group's answers to dev questions, so that one model does what the group did.

    Example: swarm-llm distill --base B --members adapters/* --task questions.json --strategy weighted --out student
    """
    from pyswarmopt_llm.groups.distillation import Training, distill

    (name,) = find_names([strategy], {**VOTES, **NEGOTIATIONS})
    council = CouncilConfig(
        members=tuple(members),
        strategies=(name,),
        task=task,
        base=base,
        dev=dev,
        test=test,
        columns=columns,
        template=template,
        split_seed=split_seed,
        scoring=scoring,
        dtype=dtype,
        device=device,
        threads=threads,
        allow_overlap=allow_overlap,
    )
    training = Training(out, soft=soft, rank=rank, lr=lr, epochs=epochs, max_tokens=max_tokens, seed=seed)
    with step_display(quiet) as on_step:
        found = distill(base, council, training, on_step)
    if as_json:
        typer.echo(json.dumps(found))
        return
    if "note" in found:
        echo(found["note"], err=True)
    for who in ("base", "group", "student"):
        low, high = found[who]["test_interval"]
        echo(
            f"{who:8}test {found[who]['test']:.3f} [{low:.3f}, {high:.3f}], {found[who]['tokens']:,.0f} tokens an item"
        )
    echo(f"wrote {out}: taught {counted(found['questions'], 'dev question')}, {counted(found['steps'], 'step')}")
