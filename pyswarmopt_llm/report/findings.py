"""What a finished search means, for terminal, report and model card: was it worth it, the scores, notes and
next steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyswarmopt.base.words import cut
from pyswarmopt_llm.common.config import MODEL_SWARMS, MODELS, command
from pyswarmopt_llm.common.events import duration, mixture_text
from pyswarmopt_llm.report.curve import curve_note
from pyswarmopt_llm.report.phrases import more_examples, one_line, score, score_text, tested
from pyswarmopt_llm.run.directory import About
from pyswarmopt_llm.run.result import CONTROLS, Model, RunResult
from pyswarmopt_llm.scores.tasks.types import SPLITS, TaskForm

if TYPE_CHECKING:
    from rich.console import Console

ENDED = {
    "proposals": "after {} proposals",
    "max_iter": "after {} iterations, the limit",
    "patience": "no better candidate for {} iterations",
    "max_evals": "after {} evaluations, the limit",
}
KINDS = {1: "better", 0: "level", -1: "worse"}
UNIT = 5e-4  # a weight this close to 0 or 1 is printed as 0 or 1
FEW = 20  # dev examples below which one of them moves a score by more than 0.05
_NAME = 40  # most characters of an adapter's name


@dataclass(frozen=True)
class Verdict:
    """Whether a search was worth it.

    Attributes:
        kind: ``better``, ``level`` or ``worse`` than the strongest control, ``same`` (the result is
            an adapter or the base model itself), ``gamed``, ``untested`` (no test split) or
            ``unpaired`` (no scores of single examples).
        sentence: the answer, in at most 20 words with one score, or two if it is no.
        reasons: the reasons for it, one sentence each.
    """

    kind: str
    sentence: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """The findings of a search, computed once.

    Attributes:
        about: ``run.json``.
        result: ``result.json``.
        verdict: verdict on the result.
        rows: name -> model, by score on test, the best first.
        notes: one fact each; those in ``result.json`` were shown during the search.
        steps: purpose -> command of each next step.
        command: command that repeats the search.
    """

    about: About
    result: RunResult
    verdict: Verdict
    rows: dict[str, Model]
    notes: list[str]
    steps: dict[str, str]
    command: str


def findings(about: About, result: RunResult) -> Findings:
    """The findings of a run, from its ``run.json`` and its ``result.json``."""
    judged = verdict(result)
    return Findings(
        about,
        result,
        judged,
        score_rows(result),
        notes=list(notes(result, judged.kind)),
        steps=next_steps(about, result),
        command=about.command.replace(f"{Path.cwd()}/", ""),
    )


def verdict(result: RunResult) -> Verdict:
    """Whether the search was worth it: the result against the strongest control on test."""
    known = names(result)
    best = known["best"]
    on_dev = f"{result.best.dev.value:.3f}"
    if result.alarms:
        return Verdict(
            "gamed",
            f"No: the replies that score {on_dev} seem to game the metric; read them in the report.",
            tuple(result.alarms),
        )
    if result.chosen:
        from pyswarmopt_llm.report.front import front_verdict

        return Verdict(*front_verdict(result))
    if result.best.test is None:
        return Verdict(
            "untested", f"Not known: there is no test split; on dev, {best} scores {on_dev}."
        )
    ours = result.best.test.value
    if not result.best.trained and best.startswith(("the base", "the expert")):
        return Verdict(
            "same", f"No: no mixture was selected over {best}, which scores {ours:.3f} on test."
        )
    control, theirs = strongest(result)
    pair = result.leads["test"].get(control)
    if pair is None:
        return Verdict(
            "unpaired",
            f"Not known: there are no per-example scores to test; {best} scores {ours:.3f}.",
        )
    other = known[control]
    scores = f"{ours:.3f} vs. {theirs:.3f} on {pair.n:,} test examples"
    reason = f"Compared with {other}: {scores}, {tested(pair)}."
    kind = KINDS[pair.sign]
    more = more_examples(pair.needed, pair.n) if kind == "level" else ()
    return Verdict(kind, answer(kind, best, ours, other, theirs), (reason, *more))


def answer(kind: str, best: str, ours: float, other: str, theirs: float) -> str:
    """Whether a search was worth it, given its result and the strongest control.

    Args:
        kind: ``better``, ``level`` or ``worse``.
        best: the result in a sentence.
        ours: its score on test.
        other: the control in a sentence.
        theirs: its score on test.

    Example:
        >>> answer("level", "the mixture", 0.84, "the fine-tuned base model", 0.85)
        'No: the mixture (0.840 on test) is not significantly better than the fine-tuned base model (0.850).'
    """
    if kind == "better":
        return f"Yes: {best} scores {ours:.3f} on test, significantly better than {other}."
    if kind == "level":
        return f"No: {best} ({ours:.3f} on test) is not significantly better than {other} ({theirs:.3f})."
    return f"No: {other} ({theirs:.3f} on test) is significantly better than {best} ({ours:.3f})."


def strongest(result: RunResult) -> tuple[str, float]:
    """The control with the best score on test, and this score; "" if none has one."""
    scored = [
        (name, model.test.value)
        for name in CONTROLS
        if (model := result.models.get(name)) and model.test and not model.same(result.best)
    ]
    return max(scored, key=itemgetter(1), default=("", 0.0))


def names(result: RunResult) -> dict[str, str]:
    """Model -> its name in a sentence."""
    single = f"best expert {cut(one_line(result.best_single), _NAME)}"
    mixture = _mixture_name(result)
    best = f"the fine-tuned {mixture}" if result.best.trained else f"the {mixture}"
    return {
        "commonest": "the majority class",
        "base": "the base model",
        "base_tuned": "the fine-tuned base model",
        "best_single": f"the {single}",
        "expert_tuned": f"the fine-tuned {single}",
        "uniform": "the uniform average",
        "mixture": f"the {mixture} before training",
        "trained": f"the fine-tuned {mixture}",
        "best": best,
    }


def _mixture_name(result: RunResult) -> str:
    """The result before training, named by its weights."""
    if result.space == "graph":
        return "graph"
    used = {name: weight for name, weight in result.coefficients.items() if abs(weight) >= UNIT}
    if not used:
        return "base model"
    if len(used) == 1 and abs(sum(used.values()) - 1) < UNIT:
        return f"expert {cut(one_line(min(used)), _NAME)}"
    return "mixture"


def score_rows(result: RunResult) -> dict[str, Model]:
    """Name -> scored model, by score on test, else on dev, the best first; a control that is also
    the result appears once.
    """
    rows = {}
    for name, called in names(result).items():
        model = result.models.get(name)
        label = called.removeprefix("the ")
        if name == "best":
            rows[f"{label} (result)"] = result.best
        elif model is not None and not any(map(model.same, (result.best, *rows.values()))):
            rows[label] = model

    def rank(row: tuple[str, Model]) -> tuple[bool, float]:
        test = row[1].test
        return test is None, -(test or row[1].dev).value

    return dict(sorted(rows.items(), key=rank))


def notes(result: RunResult, kind: str) -> Iterator[str]:
    """What a reader of the scores should know besides a verdict of this kind: one fact each, the most
    important first.
    """
    if result.quantize:
        yield _note_on_rounding(result)
    if result.curve:
        yield curve_note(result)
    if "trained" in result.models and not result.chosen:
        yield from _notes_on_training(result)
    dev, test = (result.leads[split].get("best_single") for split in SPLITS)
    if dev and test and dev.interval[0] > max(test.difference, 0):
        yield (
            f"The gain on dev, {dev.difference:+.3f}, does not hold on test: the mixture was "
            f"selected from {result.evaluations:,} evaluations."
        )
    if dev and dev.n < FEW:
        yield (
            f"With only {dev.n} dev examples, the best of many candidates may win by luck; use at "
            "least 100."
        )
    tests = len(result.leads["test"])
    if tests > 1 and kind != "same" and not result.chosen:
        yield f"Intervals and p-values of the differences are corrected for {tests} tests (Holm)."


def _note_on_rounding(result: RunResult) -> str:
    """What the scores of a search for a file of few bits are of."""
    scores = f"All scores are of the merged model as {result.quantize} holds it"
    if any(model.trained for model in result.models.values()):
        return f"{scores}, but for those of trained models on dev, which are from before rounding."
    return f"{scores}."


def _notes_on_training(result: RunResult) -> Iterator[str]:
    if not result.best.trained:
        yield "Training lowered the dev score, so the result is the model before training."
    elif gain := result.leads["test"].get("mixture"):
        yield f"Training changes the test score by {tested(gain)}."
    if learnt := ", ".join(name for name in result.learnt if result.coefficients.get(name)):
        yield f"Its dev score is not held out: {learnt} had been trained on some dev examples."
    elif result.expert_iteration is None:
        yield "Its dev score is cross-fitted: each example is scored by a model trained without it."


def combination(result: RunResult) -> str:
    """The combination of several tasks' scores; "" for one task."""
    if not result.several_tasks:
        return ""
    if result.chosen:
        return one_line(next(iter(result.objectives)))
    mean = {"harmonic": "harmonic mean", "arithmetic": "mean"}.get(result.combine, result.combine)
    return one_line(f"{mean} of {', '.join(result.objectives)}")


def method(about: About) -> str:
    """The method of a search, in words."""
    config = about.config
    if config.method in MODELS:
        told = "each example's score" if config.method == "items" else "the mean score"
        if config.front:
            told = "each score"
        return f"a Gaussian process of {told}, space {one_line(config.space)}"
    name = "Model Swarms" if config.optimizer == MODEL_SWARMS else config.optimizer
    size = f"{config.population} particles, at most {config.iterations} iterations"
    return one_line(f"{name}, space {config.space} ({', '.join([size, *config.settings])})")


def ended(stop: Mapping[str, Any]) -> str:
    """Why a search ended, in words.

    Args:
        stop: reason -> value, as in ``result.json``.

    Example:
        >>> ended({"proposals": 6}), ended({"patience": 3, "wall_clock": 9})
        ('after 6 proposals', 'no better candidate for 3 iterations; wall clock: 9')
    """
    return "; ".join(
        ENDED.get(reason, reason.replace("_", " ") + ": {}").format(value)
        for reason, value in stop.items()
    )


def next_steps(about: About, result: RunResult) -> dict[str, str]:
    """Purpose -> command, for what can be done with a result."""
    run = about.config.out.rstrip("/")
    labelling = labelled(about, result)
    task = (labelling or about.task_names)[0] if result.several_tasks else None
    if labelling is None:
        found = {"ask a question": command("generate", "YOUR QUESTION", run=run, task=task)}
    else:
        labels = command("predict", "new.csv", run=run, task=task, out="labelled.csv")
        found = {"label new rows": labels}
    if about.kind.adapters:
        purpose = "merge it for Ollama or vLLM"
        if result.quantize:
            purpose = f"merge it, ready for {result.quantize}"
        found[purpose] = command("export", run, out=f"{run}-merged")
    return found


def labelled(about: About, result: RunResult) -> tuple[str, TaskForm] | None:
    """The first task whose options are compared, and the form of its questions; None without one."""
    for name, form in about.forms.items():
        objective = result.objective_of(name)
        if objective and objective.scoring in ("letter", "likelihood") and not form.written:
            return name, form
    return None


def _components(result: RunResult) -> Iterator[str]:
    """The named numbers of each score on test, beside the best expert's."""
    single = result.models["best_single"].test
    if result.best.test is None or single is None:
        return
    for task, outcome in result.best.test.tasks.items():
        theirs = single.tasks[task].named
        parts = [
            f"{one_line(name)} {value:.3f} ({score_text(theirs.get(name))})"
            for name, value in outcome.named.items()
        ]
        if parts:
            yield f"On test, {one_line(task)} (best expert): {', '.join(parts)}"


def _by_score(result: RunResult) -> Iterator[str]:
    """Each of several scores of the result, with its unit, beside the best expert's."""
    from pyswarmopt_llm.report.front import cell, heading

    split = "dev" if result.best.test is None else "test"
    ours, theirs = (getattr(result.models[name], split) for name in ("best", "best_single"))
    if not result.several_tasks or result.chosen:
        return
    for name, objective in result.objectives.items():
        both = (cell(name, objective, scores) for scores in (ours, theirs))
        yield "{}: {} (best expert {}) on {}".format(heading(name, objective), *both, split)


def print_findings(console: Console, run: Path, found: Findings) -> None:
    """Print verdict, scores, the first notes, mixture and cost, file locations and next steps.

    Args:
        console: where to print.
        run: the run directory.
        found: findings of the run.
    """
    from rich.table import Table
    from rich.text import Text

    result = found.result
    table = Table(title=Text(combination(result)), title_justify="left")
    for heading in ("", "dev", "test [95% interval]"):
        table.add_column(heading, overflow="fold")
    for label, model in found.rows.items():
        table.add_row(label, score_text(model.dev.value), score(model.test))
    reasons = found.verdict.reasons[:1]
    if result.chosen:
        from pyswarmopt_llm.report.front import front_table

        table = front_table(result, console.width)
        reasons = found.verdict.reasons
    for part in (
        found.verdict.sentence,
        table,
        *reasons,
        *_by_score(result),
        *found.notes[:2],
        f"Mixture: {mixture_text(result.coefficients)}; {result.evaluations:,} evaluations, "
        f"{duration(result.seconds)}",
        *_components(result),
        f"Files: {run}/best; report: {run}/report.html",
        *(f"To {purpose}: {line}" for purpose, line in list(found.steps.items())[:1]),
    ):
        # names from files are never read as markup
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str))
