"""`swarm-llm advise`: what to do with these experts and examples, from a small trial."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.options import Config, DryRun, Json, Quiet
from pyswarmopt_llm.cli.runs.running import interruptible, print_plan, repeating, spoken
from pyswarmopt_llm.common import options as opt
from pyswarmopt_llm.common.config import SearchConfig, for_all_tasks
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.options import Option
from pyswarmopt_llm.reporting.terminal import progress
from pyswarmopt_llm.tasks.load import check_files

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.advise import Advised


@dataclass(frozen=True)
class Trial:
    """The options of `swarm-llm advise`, as `SearchConfig` calls them."""

    base: opt.Base
    experts: opt.Experts
    task: Annotated[str, replace(opt.TASK_FILE, required=False)] = ""
    out: Annotated[str, Option("Directory of the trial.", "DIR", opt.OUTPUT)] = "runs/advice"
    dev: opt.Dev = None
    columns: opt.Columns = ()
    template: opt.Template = ()
    split_seed: opt.SplitSeed = 0
    skip_bad_rows: opt.SkipBad = False
    seed: Annotated[int, Option("Random seed.", "S", least=0)] = 0
    metrics: Annotated[
        tuple[str, ...],
        Option(
            "accuracy, f1, judge, mine.py:score, ... (the task's).", "M", opt.TASK, name="metric"
        ),
    ] = ()
    prompts: opt.Prompts = None
    max_new_tokens: opt.NewTokens = None
    scoring: opt.Scoring = "auto"
    allow_overlap: opt.Overlap = False
    dtype: opt.Dtype = "auto"
    device: opt.Device = "auto"
    threads: opt.Threads = None

    @property
    def search(self) -> SearchConfig:
        """The search that the advice is about.

        Raises:
            InvalidOption: several metrics of its task.
        """
        general = for_all_tasks(self.metrics)
        if len(general) > 1:
            raise InvalidOption("metric", general[1], "a second one; the advice is about one score")
        tasks = (self.task,) if self.task else ()
        return SearchConfig(
            tasks=tasks, **{name: value for name, value in vars(self).items() if name != "task"}
        )


def command(
    settings: Trial,
    config: Config = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what is best: one expert, fine-tuning, a search, a score, or more examples.

    A small trial on the dev items estimates what each would gain on new ones: two searches on
    halves of them.

    Example: swarm-llm advise --base B --experts adapters/* --task questions.json
    """
    check_files(settings, settings.search.tasks)
    if dry_run:
        from pyswarmopt_llm.jobs.dry_run import dry_run_advise

        print_plan(dry_run_advise(settings.search), as_json)
        return
    from pyswarmopt_llm.jobs.advise import advise

    if not quiet and not user_path(settings.out).exists():
        echo(expected(settings.search), err=True)
    shown = nullcontext() if quiet else progress(open_console(stderr=True))
    with interruptible(repeating), shown as listener:
        advised = advise(
            settings.search, None if listener is None else lambda event: listener(spoken(event))
        )
    if as_json:
        typer.echo(json.dumps(advised.to_json()))
        return
    for line in advice_lines(advised):
        echo(line)


def expected(config: SearchConfig) -> str:
    """The time that the trial will take on this machine, by a batch that is timed."""
    from pyswarmopt_llm.jobs.advise import plan_trial
    from pyswarmopt_llm.jobs.dry_run import dry_run_advise
    from pyswarmopt_llm.reporting.summary import duration

    plan = dry_run_advise(config)
    what = "The trial searches on each half of the dev items"
    what += " and trains on it" if plan_trial(config).epochs else ""
    return (
        f"{what}: at most {plan.passes:,} forward passes of an item, {duration(plan.seconds)} "
        "on this machine"
    )


def advice_lines(advised: Advised) -> Iterator[str]:
    """The advice, its reason, and the commands."""
    yield from (advised.verdict.sentence, *advised.verdict.reasons)
    yield (
        f"Measured on {advised.items} dev items, each half by what was found on the other; test "
        "was not used."
    )
    yield from (f"To {purpose}: {step}" for purpose, step in advised.steps)
