"""`swarm-llm eval`: the score of a model on a task, or of two models side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.common.config import is_server
from pyswarmopt_llm.report.pages import lines_of, words
from pyswarmopt_llm.report.terminal import items_bar
from pyswarmopt_llm.scores.tasks.load import check_files
from pyswarmopt_llm.searching.use.config import EvalConfig

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.use.against import Against
    from pyswarmopt_llm.searching.use.model import EvalResult

SHOWN = 3  # items gained, and items lost

Shown = tuple[Sequence[str], dict[str, Any], str]  # lines, JSON, note
OnItems = Callable[[int, int], None]


def command(options: EvalConfig, quiet: Quiet = False, as_json: Json = False) -> None:
    """Score a model, or compare it with another: with 95% intervals.

    Example: swarm-llm eval --base B --adapter runs/first/best --task questions.json --split test
    """
    evaluated(options, _single if options.against is None else _two, quiet, as_json)


def evaluated(
    options: EvalConfig, way: Callable[[EvalConfig, OnItems], Shown], quiet: bool, as_json: bool
) -> None:
    """Evaluate as the options say, those of their run included, and print what there is to say.

    Args:
        options: of the command.
        way: the evaluation.
        quiet: without progress and note.
        as_json: print JSON.
    """
    # a run knows how its tasks are read
    if options.task and options.run is None:
        check_files(options, [options.task])
    from pyswarmopt_llm.searching.use.names import with_run

    config = with_run(options)
    placed(config.engine, config.run, quiet=quiet or as_json)
    with items_bar(open_console(stderr=True), quiet or as_json) as on_items:
        lines, record, note = way(config, on_items)
    if note and not quiet:
        echo(with_flags(note), err=True)
    if as_json:
        typer.echo(json.dumps(record | ({"note": note} if note else {})))
        return
    for line in lines:
        echo(line)


def placed(engine: str, run: str | Path | None, *, quiet: bool) -> str:
    """The engine on which a model runs (see `place_of`); a server is named on stderr."""
    from pyswarmopt_llm.searching.use.names import place_of

    place = place_of(engine, run)
    if is_server(place) and not quiet:
        echo(f"runs on the server at {place} (here: --engine transformers)", err=True)
    return place


def _single(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.searching.use.model import evaluate

    return scored(config, evaluate(config, on_items))


def scored(config: EvalConfig, result: EvalResult) -> Shown:
    """The score of one model."""
    score = result.score
    record: dict[str, Any] = {"base": config.base, "adapter": config.adapter, "task": result.task}
    record |= {"split": config.split, "value": score.value, "interval": list(result.interval)}
    record |= {"stderr": score.stderr, "n": result.n, "scoring": result.scoring}
    record |= {"metric": result.metric, **({"named": dict(score.named)} if score.named else {})}
    return lines_of(words().scored_model(result, config.split)), record, result.note


def _two(config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.report.verdict import between
    from pyswarmopt_llm.searching.use.against import evaluate_against

    result = evaluate_against(config, on_items)
    model, other = (_model_record(result, k) for k in range(2))
    record = model | {"task": result.task, "split": config.split, "n": result.paired.n}
    record |= {"scoring": result.scoring, "metric": result.metric, "against": other}
    record |= {"paired": result.paired.record()}
    first, second = (score.value for score in result.scores)
    verdict = between(result.names, (first, second), result.paired, config.split)
    record |= {"verdict": {"kind": verdict.kind, "sentence": verdict.sentence}}
    record |= {"gained": [item.record() for item in result.gained]}
    record |= {"lost": [item.record() for item in result.lost]}
    return lines_of(words().against(result, verdict, SHOWN)), record, result.note


def _model_record(result: Against, k: int) -> dict[str, Any]:
    (base, adapter), score = result.models[k], result.scores[k]
    values = {"value": score.value, "interval": list(result.intervals[k]), "stderr": score.stderr}
    return {"base": base, "adapter": adapter, **values}
