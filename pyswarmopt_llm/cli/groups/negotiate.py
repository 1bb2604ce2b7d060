"""`swarm-llm negotiate`: several models argue, agree, play or divide the work."""

from __future__ import annotations

from typing import Annotated

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
from pyswarmopt_llm.cli.options import Config, Json, Quiet, names_block
from pyswarmopt_llm.common.options import (
    Columns,
    Device,
    Dtype,
    Option,
    Overlap,
    Scoring,
    SplitSeed,
    Template,
    Threads,
)
from pyswarmopt_llm.groups.config import CouncilConfig, StrategySettings
from pyswarmopt_llm.groups.registry import NEGOTIATIONS


def command(
    members: Members,
    prompt: Prompt = None,
    strategy: Annotated[str, Option("all, or some of the names above.", "S,S")] = "refine",
    task: OneTask = None,
    out: Out = None,
    base: OneBase = None,
    rounds: Annotated[int, Option("Most rounds (refine, societies).", "R", least=1)] = DEFAULT.rounds,
    agents: Annotated[int, Option("Agents of each society.", "N", least=1)] = DEFAULT.agents,
    passed: Annotated[
        str, Option("supported or different arguments (refine).", "P", name="pass")
    ] = DEFAULT.passed,
    budget: Annotated[
        int, Option("Most tokens of arguments a turn (refine).", "N", hidden=True, least=0)
    ] = DEFAULT.budget,
    quorum: Annotated[
        int | None, Option("Members a decision needs (more than half).", "Q", least=1)
    ] = None,
    dev: Dev = None,
    test: Test = None,
    columns: Columns = (),
    template: Template = (),
    split_seed: SplitSeed = 0,
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
        columns=columns,
        template=template,
        split_seed=split_seed,
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
