"""The findings of a finished search, in numbers and sentences, for terminal, report and card:
verdict, score table, remarks, and next steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyswarmopt_llm.common.config import search_command
from pyswarmopt_llm.common.statistics import Comparison
from pyswarmopt_llm.report import words
from pyswarmopt_llm.report.commands import labelled, next_steps, with_relative_paths
from pyswarmopt_llm.report.phrases import mixture_name
from pyswarmopt_llm.report.reading import headroom
from pyswarmopt_llm.report.remarks import only_chooses, remarks
from pyswarmopt_llm.searching.scoring.result import Model, Result
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED, About


@dataclass(frozen=True)
class Verdict:
    """The meaning of a result.

    Attributes:
        kind: ``better``, ``level``, ``worse``, ``same`` (the result is an expert itself),
            ``untested`` (no test split) or ``unpaired`` (no item scores).
        sentence: the result in words.
        reasons: further evidence, most telling first.
    """

    kind: str
    sentence: str
    reasons: tuple[str, ...] = ()


def verdict(result: Result) -> Verdict:
    """The verdict on a finished search, with up to two reasons."""
    test = result.lead()
    alone = _alone(result)
    if alone:
        kind = "same"
    elif result.best.test is None or result.models["best_single"].test is None:
        kind = "untested"
    else:
        kind = "unpaired" if test is None else kind_of(test)
    sentence = " ".join(words.outcome(kind, result, alone))
    reasons = list(words.reasons(kind, result, result.lead(split="dev"), test))
    return Verdict(kind, sentence, tuple(reasons[:2]))


def kind_of(pair: Comparison) -> str:
    """``better``, ``level`` or ``worse``, by the interval; p agrees."""
    return {1: "better", 0: "level", -1: "worse"}[pair.sign]


def _alone(result: Result) -> str | None:
    """The result's name if it is one of its sources, and answers every item in the same way."""
    if result.best.trained or result.graph is not None:
        return None
    name = mixture_name(result)
    if name == "base":
        return "the base"
    pairs = [*result.by_task(split="dev").values(), *result.by_task().values()]
    changed = any(pair.gained or pair.lost for pair in pairs)
    best = name == f"expert {result.best_single}"
    return name if name.startswith("expert ") and not (best and changed) else None


@dataclass(frozen=True)
class Findings:
    """The findings of a search, computed once.

    Attributes:
        about: ``run.json``.
        result: ``result.json``.
        verdict: verdict on the result.
        rows: label -> model, baselines first and the result last.
        remarks: remarks for readers of the scores: paired tests, the gap from dev to test, and
            others.
        steps: (purpose, command) of each next step.
        command: command that repeats the search.
    """

    about: About
    result: Result
    verdict: Verdict
    rows: dict[str, Model]
    remarks: list[str]
    steps: list[tuple[str, str]]
    command: str


def findings(about: About, result: Result, out: str | None = None) -> Findings:
    """The findings of a run.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        out: where the run is now; None: where it started.
    """
    judged = verdict(result)
    why = about.notes.get(UNTRAINED)
    if why is not None:
        judged = replace(judged, reasons=(*judged.reasons, f"Nothing was trained: {why}."))
    said = [*remarks(result, headroom(result)), *result.notes]
    if about.kind.library and labelled(about, result):
        said.append(only_chooses())
    return Findings(
        about,
        result,
        judged,
        score_rows(result),
        remarks=[line for line in said if line != why],
        steps=list(next_steps(judged.kind, about, result, out)),
        command=search_command(with_relative_paths(about.typed)),
    )


def score_rows(result: Result) -> dict[str, Model]:
    """Label -> scored model, the result last; a baseline that is also the result appears once."""
    rows = {}
    own = result.models.get("trained")
    for name, label in words.model_labels(result).items():
        model = result.models.get(name)
        if model and not (own and name.endswith("_tuned") and model.same(own)):
            rows[label] = model
    return rows
