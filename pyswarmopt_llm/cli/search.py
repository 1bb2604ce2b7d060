"""`swarm-llm search`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt_llm.cli._job import run_job
from pyswarmopt_llm.cli._options import (
    Base,
    Config,
    Device,
    Dtype,
    Experts,
    Json,
    Overlap,
    Quiet,
    Scoring,
    Threads,
)
from pyswarmopt_llm.config import SearchConfig

Default = SearchConfig


def command(
    base: Base,
    experts: Experts,
    out: Annotated[str, typer.Option(metavar="RUN", help="Run directory to create.")],
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="T", help="File, builtin:, hub:, published:, lm-eval:NAME."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="M", help="accuracy, f1, reward:MODEL, judge, ... (the task's)."),
    ] = None,
    utility: Annotated[
        list[str] | None, typer.Option(metavar="M:F", help="Python function of the engine; repeatable.", hidden=True)
    ] = None,
    combine: Annotated[
        str, typer.Option(metavar="C", help="harmonic, arithmetic, minimum or weighted:2,1.", hidden=True)
    ] = Default.combine,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="K=V", help="Coefficients: inertia=0.1, ...; repeatable.", hidden=True),
    ] = None,
    confirm: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Keep N dev items to score the leaders again.", hidden=True)
    ] = Default.confirm,
    space: Annotated[str, typer.Option(metavar="S", help="factor or delta.")] = Default.space,
    optimizer: Annotated[
        str, typer.Option(metavar="O", help="model-swarms, constriction, ..., pycma or nevergrad:NAME.")
    ] = Default.optimizer,
    particles: Annotated[int, typer.Option(min=1, metavar="N", help="Particles.")] = Default.particles,
    max_iter: Annotated[int, typer.Option(min=0, metavar="K", help="Most iterations.")] = Default.max_iter,
    patience: Annotated[
        int, typer.Option(min=1, metavar="C", help="Stop after C iterations without a new best.")
    ] = Default.patience,
    dev: Annotated[int | None, typer.Option(min=1, metavar="N", help="Use the first N dev items.")] = Default.dev,
    test: Annotated[int | None, typer.Option(min=1, metavar="N", help="Use the first N test items.")] = Default.test,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Same seed, same run.")] = Default.seed,
    compat: Annotated[
        str, typer.Option(metavar="C", help="paper, or reference: the authors' code where it differs.")
    ] = Default.compat,
    exact_flat: Annotated[
        bool, typer.Option("--exact-flat", help="Move the flat factors, not coefficients.")
    ] = Default.exact_flat,
    scoring: Scoring = Default.scoring,
    allow_overlap: Overlap = Default.allow_overlap,
    dtype: Dtype = Default.dtype,
    device: Device = Default.device,
    threads: Threads = Default.threads,
    config: Config = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Let a swarm of experts look for a better one; RUN/best is the adapter it found.

    More options: docs/objectives.md (--utility, --combine, --confirm, --set).

    Example: swarm-llm search --base B --experts adapters/* --task questions.json --out runs/first
    """
    settings = SearchConfig(
        base=base,
        experts=tuple(experts),
        tasks=tuple(task or ()),
        metrics=tuple(metric or ()),
        utilities=tuple(utility or ()),
        combine=combine,
        settings=tuple(setting or ()),
        confirm=confirm,
        out=out,
        space=space,
        optimizer=optimizer,
        particles=particles,
        max_iter=max_iter,
        patience=patience,
        dev=dev,
        test=test,
        seed=seed,
        dtype=dtype,
        device=device,
        threads=threads,
        compat=compat,
        scoring=scoring,
        exact_flat=exact_flat,
        allow_overlap=allow_overlap,
    )
    from pyswarmopt_llm.search import search

    run_job(lambda on_event: search(settings, on_event), Path(out), quiet=quiet, as_json=as_json)
