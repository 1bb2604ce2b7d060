"""The main commands: `swarm-llm search`, `resume` for an interrupted run, and `report` to rewrite a
finished run's report.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Allow, Config, DryRun, Json, Quiet, RunFolder
from pyswarmopt_llm.cli.running import (
    check_adapters,
    check_files,
    check_model,
    loading,
    print_either,
    print_result,
    watched,
)
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.options import Rare
from pyswarmopt_llm.report.progress import planned

Memory = Annotated[
    str | None,
    Rare(
        "Only check whether the search fits on a GPU of this size, such as 24GB.",
        "SIZE",
    ),
]


def command(
    *,
    settings: SearchConfig,
    config: Config = None,
    dry_run: DryRun = False,
    memory: Memory = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Find a better mixture of experts and train it; RUN/best contains the adapter.

    Example: swarm-llm search --base B --experts adapters/* --task questions.json --out runs/first
    """
    from pyswarmopt_llm.run.directory import check_new

    if memory is not None:
        with loading(as_json or quiet):
            from pyswarmopt_llm.searching.dry_run import fit_of

        if (fit := fit_of(settings, memory)) is not None:
            print_either({"fits": fit.fits, **asdict(fit)}, [fit.line], as_json)
        return
    check_files(settings, settings.tasks)
    for name in (settings.base, *settings.experts):
        check_model(name)
    check_new(user_path(settings.out))
    if dry_run:
        with loading(as_json or quiet):
            check_adapters(settings.experts)
            from pyswarmopt_llm.searching.dry_run import dry_run_search
        plan = dry_run_search(settings)
        print_either(asdict(plan), map(with_flags, planned(plan)), as_json)
        return
    with loading(quiet):
        check_adapters(settings.experts)
        from pyswarmopt_llm.api import search
    with watched(Path(settings.out), quiet) as on_event:
        found = search(settings, on_event)
    print_result(found, as_json)


def resume(
    run: RunFolder,
    *,
    allow: Allow = (),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Resume an interrupted run; the result is the same as without the interruption.

    If the run executes code (a function, a harness YAML, a metric's script, a Ray cluster) or uses
    a judge, allow each by name.

    Example: swarm-llm resume runs/first
    """
    with loading(quiet):
        from pyswarmopt_llm.api import resume as go_on
    with watched(run, quiet) as on_event:
        found = go_on(run, on_event, allow)
    print_result(found, as_json)


def report(
    run: RunFolder,
) -> None:
    """Rewrite RUN/report.html, for example after restoring a task file.

    Example: swarm-llm report runs/first
    """
    from pyswarmopt_llm.report.write import write_report

    echo(f"wrote {write_report(user_path(run))}")
