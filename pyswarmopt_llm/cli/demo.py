"""`swarm-llm demo`: a real search on the experts of the checkout."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Annotated

from pyswarmopt_llm.cli.options import DryRun, Json, Quiet
from pyswarmopt_llm.cli.running import print_plan, run_job
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.options import OUTPUT, Option

# beside the package in a clone; the working directory, perhaps a stranger's, is not searched
SEARCHES = Path(__file__).resolve().parents[2] / "examples" / "demo.py"


def command(
    out: Annotated[
        Path | None, Option("Run directory to create (runs/demo).", "RUN", OUTPUT)
    ] = None,
    seed: Annotated[int, Option("Random seed, of the questions too.", "S", least=0)] = 0,
    score: Annotated[bool, Option("Without labels: a program scores written letters.")] = False,
    token: Annotated[bool, Option("Models of three architectures, by --space token.")] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """A real search in a few minutes: eleven small experts, five of them useful; with --score, a
    metric without labels; with --token, models of three architectures.

    Example: swarm-llm demo --out runs/demo
    """
    run = out or Path("runs", f"demo{'-score' * score}{'-token' * token}")
    if score and token:
        raise UserError("--score and --token are two demos; give one of them")
    name = "labelled"
    if score or token:
        name = "score" if score else "token"
    config = demo_search(name, seed, run)
    if dry_run:
        from pyswarmopt_llm.searching.dry_run import dry_run_search

        print_plan(dry_run_search(config), as_json)
        return
    from pyswarmopt_llm.report.run import search

    run_job(lambda on_event: search(config, on_event), run, quiet, as_json)


def demo_search(name: str, seed: int, out: Path) -> SearchConfig:
    """A search of `examples/demo.py`, in this package's clone.

    Raises:
        UserError: there is no clone of the package.
    """
    if not SEARCHES.is_file():
        raise UserError(
            "the demos' models come with a clone of the repository, not with the package; run "
            "`make demo` in a clone, or install the package from it: pip install -e '.[llm]'"
        )
    config: SearchConfig = runpy.run_path(str(SEARCHES))[name](seed, out)
    return config
