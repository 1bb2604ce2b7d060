"""`swarm-llm negotiate`: several models argue, agree, play or divide the work."""

from __future__ import annotations

from typing import Annotated

from pyswarmopt_groups.cli.options import Prompt, run_council, with_strategies
from pyswarmopt_groups.config import CouncilConfig, NegotiationSettings
from pyswarmopt_groups.registry import NEGOTIATIONS
from pyswarmopt_llm.cli.options import Config, Json, Quiet, names_block
from pyswarmopt_llm.common.options import Option


def command(
    council: CouncilConfig,
    settings: NegotiationSettings,
    *,
    prompt: Prompt = None,
    strategy: Annotated[str, Option("all, or some of the names above.", "S,S")] = "refine",
    config: Config = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    run_council(with_strategies(council, settings, strategy, NEGOTIATIONS), prompt, quiet, as_json)


command.__doc__ = """Let models argue, agree by quorum, play games or divide the work, on a task or a question.

\b
Example: swarm-llm negotiate --members adapters/* --base B --strategy societies --task questions.json --out DIR
""" + "\n".join(names_block("Strategies", [*NEGOTIATIONS, "society:cce:ddr"]))
