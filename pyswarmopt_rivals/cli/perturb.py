"""`swarm-llm perturb`: the score of a model on perturbed items."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from pyswarmopt_llm.cli.evaluate import Shown, evaluated, scored
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.searching.use.config import EvalConfig, OnItems


def command(
    rates: Annotated[
        list[float],
        typer.Argument(metavar="RATE...", help="Share of letters with a typo, one or several."),
    ],
    options: EvalConfig,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score a model on questions with typos.

    Example: swarm-llm perturb 0.05 0.1 --run runs/first
    """
    evaluated(options, partial(_perturbed, rates), quiet, as_json)


def _perturbed(rates: list[float], config: EvalConfig, on_items: OnItems) -> Shown:
    from pyswarmopt_llm.report.phrases import p_text, score_text
    from pyswarmopt_rivals.perturbed import evaluate_perturbed

    plain, results = evaluate_perturbed(config, rates, on_items)
    lines, record, note = scored(config, plain)
    shown = list(lines)
    rows = {}
    for rate, (result, paired) in results.items():
        low, high = paired.interval
        shown.append(
            f"  typos {rate:g}: {score_text(result.score.value, result.interval)}, difference "
            f"{paired.difference:+.3f} [{low:+.3f}, {high:+.3f}], {paired.gained} gained and "
            f"{paired.lost} lost, {p_text(paired.p_value)}"
        )
        rows[f"{rate:g}"] = {
            "value": result.score.value,
            "interval": list(result.interval),
            "paired": paired.record(),
        }
    return shown, {**record, "seed": config.seed, "perturbed": rows}, note
