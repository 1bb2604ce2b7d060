"""`swarm-llm ensemble`: several models vote."""

from __future__ import annotations

from typing import Annotated

import typer

from pyswarmopt_llm.cli.groups.options import (
    DEFAULT,
    Dev,
    Judge,
    Members,
    OneBase,
    OneTask,
    Out,
    Prompt,
    Test,
    chosen,
    run_council,
)
from pyswarmopt_llm.cli.options import Config, Device, Dtype, Json, Overlap, Quiet, Scoring, Threads, names_block
from pyswarmopt_llm.groups.config import CouncilConfig, StrategySettings
from pyswarmopt_llm.groups.registry import VOTES


def command(
    members: Members,
    prompt: Prompt = None,
    strategy: Annotated[str, typer.Option(metavar="S,S", help="all, or some of the names above.")] = "majority",
    task: OneTask = None,
    out: Out = None,
    base: OneBase = None,
    samples: Annotated[
        int, typer.Option(min=1, metavar="N", help="Texts a member (self-consistency).")
    ] = DEFAULT.samples,
    temperature: Annotated[
        float, typer.Option(min=0, metavar="T", help="Of samples.", hidden=True)
    ] = DEFAULT.temperature,
    neighbours: Annotated[
        int, typer.Option(min=1, metavar="K", help="Dev items (nearest, route-neighbours).", hidden=True)
    ] = DEFAULT.neighbours,
    judge: Judge = None,
    reward: Annotated[str | None, typer.Option(metavar="R", help="Reward model (reward).")] = None,
    dev: Dev = None,
    test: Test = None,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Of samples.", hidden=True)] = DEFAULT.seed,
    scoring: Scoring = "auto",
    allow_overlap: Overlap = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    threads: Threads = None,
    config: Config = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    settings = StrategySettings(
        samples=samples,
        temperature=temperature,
        neighbours=neighbours,
        judge=judge,
        reward=reward,
        seed=seed,
        device=device,
    )
    council = CouncilConfig(
        members=tuple(members),
        **chosen(strategy, VOTES, settings),
        task=task or "",
        out=out,
        base=base,
        settings=settings,
        dev=dev,
        test=test,
        scoring=scoring,
        dtype=dtype,
        device=device,
        threads=threads,
        allow_overlap=allow_overlap,
    )
    run_council(council, prompt, quiet, as_json)


command.__doc__ = """Let models vote on a task or a question; fitted on dev, reported on test.

\b
Example: swarm-llm ensemble --members adapters/* --base B --strategy weighted,borda --task questions.json
""" + "\n".join(names_block("Strategies", VOTES))
