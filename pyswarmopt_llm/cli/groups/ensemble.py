"""`swarm-llm ensemble`: several models vote."""

from __future__ import annotations

from typing import Annotated

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
from pyswarmopt_llm.groups.registry import VOTES


def command(
    members: Members,
    prompt: Prompt = None,
    strategy: Annotated[str, Option("all, or some of the names above.", "S,S")] = "majority",
    task: OneTask = None,
    out: Out = None,
    base: OneBase = None,
    samples: Annotated[
        int, Option("Texts a member (self-consistency).", "N", least=1)
    ] = DEFAULT.samples,
    temperature: Annotated[
        float, Option("Of samples.", "T", hidden=True, least=0)
    ] = DEFAULT.temperature,
    neighbours: Annotated[
        int, Option("Dev items (nearest, route-neighbours).", "K", hidden=True, least=1)
    ] = DEFAULT.neighbours,
    judge: Judge = None,
    reward: Annotated[str | None, Option("Reward model (reward).", "R")] = None,
    dev: Dev = None,
    test: Test = None,
    columns: Columns = (),
    template: Template = (),
    split_seed: SplitSeed = 0,
    seed: Annotated[int, Option("Of samples.", "S", hidden=True, least=0)] = DEFAULT.seed,
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


command.__doc__ = """Let models vote on a task or a question; fitted on dev, reported on test.

\b
Example: swarm-llm ensemble --members adapters/* --base B --strategy weighted,borda --task questions.json
""" + "\n".join(names_block("Strategies", VOTES))
