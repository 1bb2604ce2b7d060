"""`swarm-llm negotiate`: several models argue, agree, play or divide the work."""

from __future__ import annotations

from typing import Annotated

import typer

from pyswarmopt_llm.cli.groups.options import (
    DEFAULT,
    Dev,
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
from pyswarmopt_llm.groups.registry import NEGOTIATIONS


def command(
    members: Members,
    prompt: Prompt = None,
    strategy: Annotated[str, typer.Option(metavar="S,S", help="all, or some of the names above.")] = "refine",
    task: OneTask = None,
    out: Out = None,
    base: OneBase = None,
    rounds: Annotated[int, typer.Option(min=1, metavar="R", help="Most rounds (refine, societies).")] = DEFAULT.rounds,
    agents: Annotated[int, typer.Option(min=1, metavar="N", help="Agents of each society.")] = DEFAULT.agents,
    passed: Annotated[
        str, typer.Option("--pass", metavar="P", help="supported or different arguments (refine).")
    ] = DEFAULT.passed,
    budget: Annotated[
        int, typer.Option(min=0, metavar="N", help="Most tokens of arguments a turn (refine).", hidden=True)
    ] = DEFAULT.budget,
    quorum: Annotated[
        int | None, typer.Option(min=1, metavar="Q", help="Members a decision needs (more than half).")
    ] = None,
    dev: Dev = None,
    test: Test = None,
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
        rounds=rounds, agents=agents, passed=passed, budget=budget, quorum=quorum, device=device
    )
    council = CouncilConfig(
        members=tuple(members),
        **chosen(strategy, NEGOTIATIONS, settings),
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


command.__doc__ = """Let models argue, agree by quorum, play games or divide the work, on a task or a question.

\b
Example: swarm-llm negotiate --members adapters/* --base B --strategy societies --task questions.json --out DIR
""" + "\n".join(names_block("Strategies", [*NEGOTIATIONS, "society:cce:ddr"]))
