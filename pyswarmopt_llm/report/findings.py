"""The findings of a finished search, in numbers and sentences, for terminal, report and card; the
verdict on it, or on two models: what their scores on the same items say.

The words are those of ``words.txt.j2``; here is which of them hold.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from pyswarmopt_llm.common.config import PARTICLES
from pyswarmopt_llm.common.events import mixture_text, split_small_weights
from pyswarmopt_llm.common.statistics import Comparison
from pyswarmopt_llm.report.commands import (
    command_line,
    next_steps,
    user_settings,
    with_relative_paths,
)
from pyswarmopt_llm.report.pages import lines_of, mixture_name, words
from pyswarmopt_llm.report.reading import headroom
from pyswarmopt_llm.searching.scoring.result import Model, Result
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED, About


@dataclass(frozen=True)
class Verdict:
    """The meaning of a result.

    Attributes:
        kind: ``better``, ``level``, ``worse``, ``same`` (it is an expert itself), ``untested`` (no
            test split) or ``unpaired`` (no outcomes item by item).
        sentence: the result in words.
        reasons: what else was measured, the most telling first.
    """

    kind: str
    sentence: str
    reasons: tuple[str, ...] = ()


def verdict(result: Result) -> Verdict:
    """The verdict on a finished search, with at most two reasons."""
    test, alone = result.lead(), _alone(result)
    if alone:
        kind = "same"
    elif result.best.test is None or result.models["best_single"].test is None:
        kind = "untested"
    else:
        kind = "unpaired" if test is None else kind_of(test)
    sentence = " ".join(lines_of(words().outcome(kind, result, test, alone)))
    reasons = lines_of(words().reasons(kind, result, result.lead(split="dev"), test))
    return Verdict(kind, sentence, tuple(reasons[:2]))


def kind_of(pair: Comparison) -> str:
    """``better``, ``level`` or ``worse``: the interval decides, and p says the same."""
    return {1: "better", 0: "level", -1: "worse"}[pair.sign]


def _alone(result: Result) -> str | None:
    """The result's name if it equals one of its sources, and no item is answered otherwise."""
    if result.best.trained or result.graph is not None:
        return None
    name = mixture_name(result)
    if name == "base":
        return "the base"
    pairs = [*result.by_task(split="dev").values(), *result.by_task().values()]
    changed = any(pair.gained or pair.lost for pair in pairs)
    best = name == f"expert {result.best_single}"
    return name if name.startswith("expert ") and not (best and changed) else None


def between(
    names: tuple[str, str], scores: tuple[float, float], pair: Comparison, split: str
) -> Verdict:
    """The verdict on two models on the same items.

    Args:
        names: of the models.
        scores: of each.
        pair: the first compared with the second.
        split: that of the items, dev or test.

    Example:
        >>> pair = Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, 80)
        >>> found = between(("the base", "x"), (0.7, 0.6), pair, "test")
        >>> found.kind, found.sentence.partition(", ")[2]
        ('better', '+0.100 (95% interval +0.020 to +0.180, p = 0.014).')
    """
    kind = kind_of(pair) if pair.gained or pair.lost else "same"
    sentence = words().between(kind, *names, scores, pair, f"{split} example")
    return Verdict(kind, sentence, tuple(lines_of(words().about(kind, pair, split))))


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
