"""`swarm-llm ensemble`: several models vote."""

from __future__ import annotations

from typing import Annotated

from pyswarmopt_groups.cli.options import Prompt, run_council, with_strategies
from pyswarmopt_groups.config import CouncilConfig, VoteSettings
from pyswarmopt_groups.registry import VOTES
from pyswarmopt_llm.cli.options import Config, Json, Quiet, names_block
from pyswarmopt_llm.common.options import Option


def command(
    council: CouncilConfig,
    settings: VoteSettings,
    *,
    prompt: Prompt = None,
    strategy: Annotated[str, Option("all, or some of the names above.", "S,S")] = "majority",
    config: Config = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    run_council(with_strategies(council, settings, strategy, VOTES), prompt, quiet, as_json)


command.__doc__ = """Let models vote on a task or a question; fitted on dev, reported on test.

\b
Example: swarm-llm ensemble --members adapters/* --base B --strategy weighted,borda --task questions.json
""" + "\n".join(names_block("Strategies", VOTES))
