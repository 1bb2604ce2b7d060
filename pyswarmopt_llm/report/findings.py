"""The findings of a finished search, in numbers and sentences, for terminal, report and card."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from pyswarmopt_llm.common.config import PARTICLES
from pyswarmopt_llm.common.words import mixture_text, split_small_weights
from pyswarmopt_llm.report.commands import (
    command_line,
    next_steps,
    user_settings,
    with_relative_paths,
)
from pyswarmopt_llm.report.pages import lines_of, words
from pyswarmopt_llm.report.reading import headroom
from pyswarmopt_llm.report.summary import mixture_name
from pyswarmopt_llm.report.verdict import Verdict, verdict
from pyswarmopt_llm.searching.scoring.result import Model, Result
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED, About


@dataclass(frozen=True)
class Findings:
    """The findings of a search, computed once.

    Attributes:
        verdict: on the result.
        result: ``result.json``.
        scored: the combination of several objectives; "" of one.
        rows: label -> model, the rivals first and the result last.
        about_dev: sentences on scores on dev whose items were trained on.
        remarks: paired tests, the gap from dev to test, and whatever else a reader of the scores
            should know.
        mixture: the weights on one line.
        weights, small: experts with their weights, the largest first, and the names of those with
            small ones.
        costs: name -> what the run spent, and why it stopped.
        method: the way of the search.
        steps: (purpose, command), what to do next.
        command: that searches again.
    """

    verdict: Verdict
    result: Result
    scored: str
    rows: dict[str, Model]
    about_dev: list[str]
    remarks: list[str]
    mixture: str
    weights: list[tuple[str, float]]
    small: list[str]
    costs: dict[str, str]
    method: str
    steps: list[tuple[str, str]]
    command: str


def findings(about: About, result: Result, out: str | None = None) -> Findings:
    """The findings of a run.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        out: where the run is now; None: where it was begun.
    """
    judged, why = verdict(result), about.notes.get(UNTRAINED)
    if why is not None:
        judged = replace(judged, reasons=(*judged.reasons, f"Nothing was trained: {why}."))
    weights, small = split_small_weights(result.coefficients)
    return Findings(
        verdict=judged,
        result=result,
        scored=words().scored(result),
        rows=score_rows(result),
        about_dev=lines_of(words().about_dev(result)),
        remarks=[line for line in remarks(result) if line != why],
        mixture=mixture_text(result.coefficients),
        weights=weights,
        small=small,
        costs=costs(result),
        method=method(about),
        steps=list(next_steps(judged.kind, about, result, out)),
        command=command_line(with_relative_paths(user_settings(about))),
    )


def score_rows(result: Result) -> dict[str, Model]:
    """Label -> model that was scored, the result last; what is a rival and the result, once."""
    rows, own = {}, result.models.get("trained")
    for line in lines_of(words().labels(result, mixture_name(result))):
        name, _, label = line.partition(": ")
        model = result.models.get(name)
        if model and not (own and name.endswith("_tuned") and model.same(own)):
            rows[label] = model
    return rows


def remarks(result: Result) -> list[str]:
    """Remarks on the scores: items gained and lost, headroom, the gap from dev to test, warnings."""
    return [*lines_of(words().remarks(result, headroom(result))), *result.notes]


def costs(result: Result) -> dict[str, str]:
    """The costs of the run, and why it stopped: name -> text."""
    lines = lines_of(words().costs(result, result.cost))
    return {name: text for name, _, text in (line.partition(": ") for line in lines)}


def method(about: About) -> str:
    """The search method, and its differences from Model Swarms as published.

    Example:
        >>> from pyswarmopt_llm.common.config import SearchConfig
        >>> settings = {"optimizer": "model-swarms", "space": "factor", "particles": 10}
        >>> config = SearchConfig("b", ("x",), (), "r", **settings)
        >>> method(About(config, {}))
        'Model Swarms as published (10 particles, at most 50 iterations)'
        >>> method(About(replace(config, space="delta", start="sums"), {}))
        'Model Swarms, not as published (space delta, starts: sums)'
    """
    config = about.config
    departures = about.kind.departures(asdict(config))
    size = max(config.particles or PARTICLES, len(config.experts))
    return " ".join(lines_of(words().method(config, departures, size)))
