"""`swarm-llm search`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt_llm.cli.runs.running import run_job
from pyswarmopt_llm.cli.options import (
    Base,
    Config,
    Device,
    Dtype,
    Experts,
    Json,
    JsonLines,
    Overlap,
    Quiet,
    Scoring,
    Threads,
    Track,
)
from pyswarmopt_llm.common.config import SearchConfig

Default = SearchConfig


def command(
    experts: Experts,
    out: Annotated[str, typer.Option(metavar="RUN", help="Run directory to create.")],
    base: Base = "",
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
    space: Annotated[str, typer.Option(metavar="S", help="factor, delta, full, token or graph.")] = Default.space,
    optimizer: Annotated[
        str, typer.Option(metavar="O", help="model-swarms, constriction, ..., pycma or nevergrad:NAME.")
    ] = Default.optimizer,
    particles: Annotated[int, typer.Option(min=1, metavar="N", help="Particles.")] = Default.particles,
    start: Annotated[
        str, typer.Option(metavar="W", help="Beside the experts: segments (the paper's), sums or auto.", hidden=True)
    ] = Default.start,
    max_iter: Annotated[int, typer.Option(min=0, metavar="K", help="Most iterations.")] = Default.max_iter,
    patience: Annotated[
        int, typer.Option(min=1, metavar="C", help="Stop after C iterations without a new best.")
    ] = Default.patience,
    dev: Annotated[int | None, typer.Option(min=1, metavar="N", help="Use the first N dev items.")] = Default.dev,
    test: Annotated[int | None, typer.Option(min=1, metavar="N", help="Use the first N test items.")] = Default.test,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Same seed, same run.")] = Default.seed,
    compat: Annotated[str, typer.Option(metavar="C", help="paper, or reference (the authors' code).")] = Default.compat,
    exact_flat: Annotated[
        bool, typer.Option("--exact-flat", help="Move the flat factors, not coefficients.", hidden=True)
    ] = Default.exact_flat,
    granularity: Annotated[
        str, typer.Option(metavar="G", help="Coefficients per model, block or module.", hidden=True)
    ] = Default.granularity,
    output_rank: Annotated[
        int | None, typer.Option(min=1, metavar="R", help="Truncate the result to rank R (delta).", hidden=True)
    ] = Default.output_rank,
    screen: Annotated[
        float | None,
        typer.Option(metavar="P", help="Do not ask what a model foretells but for probability P: 0.05.", hidden=True),
    ] = Default.screen,
    drop_k: Annotated[
        float, typer.Option(metavar="P", help="Leave out an iteration's evaluations at random.", hidden=True)
    ] = Default.drop_k,
    drop_n: Annotated[
        float, typer.Option(metavar="P", help="Leave out single evaluations at random.", hidden=True)
    ] = Default.drop_n,
    budget_minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Let evaluations take M minutes in all.")
    ] = Default.budget_minutes,
    budget_items: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Ask N items in the search.", hidden=True)
    ] = Default.budget_items,
    contrast: Annotated[
        bool, typer.Option("--contrast", help="Space token: negative weights speak against a token.", hidden=True)
    ] = Default.contrast,
    scoring: Scoring = Default.scoring,
    allow_overlap: Overlap = Default.allow_overlap,
    dtype: Dtype = Default.dtype,
    device: Device = Default.device,
    threads: Threads = Default.threads,
    batch_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="Padded tokens in a forward pass.", hidden=True)
    ] = Default.batch_tokens,
    engine: Annotated[
        str, typer.Option(metavar="E", help="transformers, or vllm where much is written.", hidden=True)
    ] = Default.engine,
    workers: Annotated[
        str, typer.Option(metavar="W", help="Processes that score: a number, ray or ray://HOST.")
    ] = Default.workers,
    one_by_one: Annotated[
        bool, typer.Option("--async", help="Particles move one by one, none waits for the others.", hidden=True)
    ] = Default.one_by_one,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Replace a worker that is silent for S seconds.", hidden=True)
    ] = Default.timeout,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Choose threads, dtype and batch by a short trial.", hidden=True)
    ] = Default.calibrate,
    config: Config = None,
    track: Track = None,
    quiet: Quiet = False,
    as_json: Json = False,
    as_lines: JsonLines = False,
) -> None:
    """Let a swarm of experts look for a better one; RUN/best is the adapter it found.

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
        start=start,
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
        contrast=contrast,
        allow_overlap=allow_overlap,
        granularity=granularity,
        output_rank=output_rank,
        batch_tokens=batch_tokens,
        calibrate=calibrate,
        screen=screen,
        drop_k=drop_k,
        drop_n=drop_n,
        budget_minutes=budget_minutes,
        budget_items=budget_items,
        engine=engine,
        workers=workers,
        timeout=timeout,
        one_by_one=one_by_one,
    )
    from pyswarmopt_llm.jobs.search.loop import search

    run_job(
        lambda on_event: search(settings, on_event),
        Path(out),
        quiet=quiet,
        as_json=as_json,
        as_lines=as_lines,
        track=track,
    )
