"""`swarm-llm advise`: what to do with these experts and examples, from a small trial."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.options import Config, DryRun, Json, Quiet
from pyswarmopt_llm.cli.runs.planning import print_plan
from pyswarmopt_llm.cli.runs.running import interruptible, repeating
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common import options as opt
from pyswarmopt_llm.common.options import Option
from pyswarmopt_llm.reporting.terminal.progress import progress

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.advise import Advised


@dataclass(frozen=True)
class Trial:
    """The options of `swarm-llm advise`, as `SearchConfig` calls them."""

    base: opt.Base
    experts: opt.Experts
    task: opt.TaskFile
    out: Annotated[str, Option("Directory of the trial.", "DIR", opt.OUTPUT)] = "runs/advice"
    dev: opt.Dev = None
    columns: opt.Columns = ()
    template: opt.Template = ()
    split_seed: opt.SplitSeed = 0
    seed: Annotated[int, Option("Random seed.", "S", least=0)] = 0
    scoring: opt.Scoring = "auto"
    allow_overlap: opt.Overlap = False
    dtype: opt.Dtype = "auto"
    device: opt.Device = "auto"
    threads: opt.Threads = None

    @property
    def search(self) -> SearchConfig:
        """The search that the advice is about."""
        return SearchConfig(tasks=(self.task,), **{name: value for name, value in vars(self).items() if name != "task"})


def command(
    settings: Trial, config: Config = None, dry_run: DryRun = False, quiet: Quiet = False, as_json: Json = False
) -> None:
    """Say what is best: one expert, a merge, training, a search, or more examples.

    A small trial on the dev items estimates what each would gain on new ones: two searches on halves of them.

    Example: swarm-llm advise --base B --experts adapters/* --task questions.json
    """
    if dry_run:
        from pyswarmopt_llm.jobs.dry_run.search import dry_run_advise

        print_plan(dry_run_advise(settings.search), as_json)
        return
    from pyswarmopt_llm.jobs.advise import advise

    shown = nullcontext() if quiet else progress(open_console(stderr=True))
    with interruptible(repeating), shown as on_event:
        found = advise(settings.search, on_event)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
        return
    for line in advice_lines(found):
        echo(line)


def advice_lines(found: Advised) -> Iterator[str]:
    """What to do, why, and the commands."""
    yield from (found.verdict.sentence, *found.verdict.reasons)
    yield f"Measured on {found.items} dev items, each half by what was found on the other; test was not used."
    yield from (f"To {purpose}: {step}" for purpose, step in found.steps)
