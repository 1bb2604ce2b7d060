"""The findings of a finished search, in numbers and sentences, for terminal, report and card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.evaluation.result import ModelScore, RunResult
from pyswarmopt_llm.evaluation.run_files import UNTRAINED, About
from pyswarmopt_llm.reporting.commands import as_typed, command_line, near, next_steps
from pyswarmopt_llm.reporting.report.pages import sentences
from pyswarmopt_llm.reporting.summary import duration, folded, mixture_name, mixture_text
from pyswarmopt_llm.reporting.verdict import WORDS, Verdict, verdict


@dataclass(frozen=True)
class Findings:
    """The findings of a search, computed once.

    Attributes:
        verdict: on the result.
        scored: what a score is, where several objectives make it.
        rows: scores of rivals, the best expert, the average, the mixture before or after training,
            and the result.
        about_dev: sentences on scores on dev whose items were trained on.
        remarks: paired tests, the gap from dev to test, and whatever else a reader of the scores
            should know.
        mixture: the weights on one line.
        weights, small: experts with their weights, the largest first, and the names of those with
            small ones.
        trained: whether the result was trained on dev.
        costs: name -> what the run spent, and why it stopped.
        steps: (purpose, command), what to do next.
        command: that searches again.
    """

    verdict: Verdict
    scored: str
    rows: list[ModelScore]
    about_dev: list[str]
    remarks: list[str]
    mixture: str
    weights: list[tuple[str, float]]
    small: list[str]
    trained: bool
    costs: dict[str, str]
    steps: list[tuple[str, str]]
    command: str

    @property
    def several_experts(self) -> bool:
        """There was something to mix."""
        return len(self.weights) + len(self.small) > 1


def findings(about: About, result: RunResult, out: str | None = None) -> Findings:
    """The findings of a run.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        out: where the run is now; None: where it was begun.
    """
    judged, why = verdict(result), about.notes.get(UNTRAINED)
    if why is not None:
        judged = replace(judged, reasons=(*judged.reasons, f"Nothing was trained: {why}."))
    weights, small = folded(result.coefficients)
    return Findings(
        verdict=judged,
        scored=_scored(about, result),
        rows=score_rows(result),
        about_dev=_lines(sentences(WORDS).about_dev(result)),
        remarks=[line for line in remarks(result) if line != why],
        mixture=mixture_text(result.coefficients),
        weights=weights,
        small=small,
        trained=bool(result.trained),
        costs=costs(result),
        steps=list(next_steps(judged.kind, about, result, out)),
        command=command_line(near(as_typed(about))),
    )


def _scored(about: About, result: RunResult) -> str:
    """The combination of several objectives, in words; "" of one."""
    if len(result.tasks) < 2:
        return ""
    by = {"auto": "harmonic mean", "harmonic": "harmonic mean", "arithmetic": "mean"}
    return f"{by.get(about.config.combine, about.config.combine)} of {', '.join(result.tasks)}"


def score_rows(result: RunResult) -> list[ModelScore]:
    """The models that were scored, the result last."""

    def row(label: str, model: str) -> ModelScore:
        dev, test = f"{model}_dev", f"{model}_test"
        bounds = result.intervals
        return ModelScore(
            label, getattr(result, dev), bounds.get(dev), getattr(result, test), bounds.get(test)
        )

    mixture = mixture_name(result)
    rows = [rival for rival in result.rivals if rival.row is None]
    experts = [row(f"best single expert: {result.best_single}", "best_single")]
    if result.uniform_dev is not None:  # in each space it is another model
        experts.append(
            row(
                f"uniform average (space {result.space})" if result.space else "uniform average",
                "uniform",
            )
        )
    if result.trained_dev is not None:
        before = row(f"{mixture}, before training", "mixture")
        experts.append(before if result.trained else row(f"{mixture}, trained", "trained"))
    return [*rows, *experts, row(f"{mixture}, trained" if result.trained else mixture, "best")]


def remarks(result: RunResult) -> list[str]:
    """Remarks on the scores: items gained and lost, headroom, the gap from dev to test, warnings."""
    return [*_lines(sentences(WORDS).remarks(result)), *result.notes]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def costs(result: RunResult) -> dict[str, str]:
    """The costs of the run, and why it stopped: name -> text."""
    seconds, scoring, saved = result.seconds, result.seconds_scoring, result.items_saved
    share = f"{scoring / seconds if seconds else 0.0:.1%} scoring"
    if result.workers is not None:
        share = f"{duration(scoring)} of scoring by {result.workers.asked} workers"
    stop = ", ".join(_stop_reason(name, value) for name, value in result.stop.items())
    texts = {
        "Evaluations": f"{result.evaluations:,}",
        "Items scored": f"{result.item_evaluations:,}"
        + (f" ({saved:.1%} skipped)" if saved else ""),
        "Scoring": result.scoring,
        "Time": f"{duration(seconds)} ({share})",
        "Peak memory": f"{result.peak_memory_bytes / 2**30:.1f} GiB",
        "Stopped": stop or "-",
    }
    if (use := result.expert_iteration) is not None:
        replies = f"{use.replies:,} replies, {use.tokens:,} tokens"
        texts["Expert iteration"] = f"{counted(use.rounds, 'round')}, {replies}"
    if result.passes_rivals is not None:
        time = duration(result.seconds_rivals or 0.0)
        texts["Rivals"] = f"{result.passes_rivals:,} passes of an item, {time}, counted apart"
    return texts


def _stop_reason(name: str, value: Any) -> str:
    """One of the reasons why a search ended.

    Example:
        >>> _stop_reason("patience", 10), _stop_reason("max_iter", 1), _stop_reason("tolfun", 1.0)
        ('after 10 iterations without a new best', 'after 1 iteration', 'tolfun 1.0')
    """
    if name in ("max_iter", "patience"):
        return f"after {counted(int(value), 'iteration')}{' without a new best' * (name == 'patience')}"
    if name == "proposals" and not value:
        return "with nothing new to propose"
    if name in ("max_evals", "proposals"):
        return f"after {counted(int(value), {'max_evals': 'evaluation', 'proposals': 'proposal'}[name])}"
    if name == "budget_items":
        return f"by the budget of {counted(int(value), 'item')}"
    return f"by the budget of {value:g} minutes" if name == "budget_minutes" else f"{name} {value}"
