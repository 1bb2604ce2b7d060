"""What a finished search means, for terminal, report and model card: was it worth it, the scores, notes and
next steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyswarmopt.base.words import counted, cut
from pyswarmopt_llm.common.config import search_command
from pyswarmopt_llm.common.events import duration, listed
from pyswarmopt_llm.common.statistics import Comparison
from pyswarmopt_llm.report.commands import next_steps, with_relative_paths
from pyswarmopt_llm.report.phrases import few, mixture_name, one_line, score_text, tested
from pyswarmopt_llm.searching.scoring.result import Model, Result
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED, About

KINDS = {1: "better", 0: "level", -1: "worse"}
# What a result has to beat to be worth its search.
CONTROLS = ("best_single", "base", "base_tuned", "expert_tuned", "uniform", "commonest")
_MODELS = {"items": "the margins of the answers", "scores": "the scores"}
_NAME = 40  # most characters of an adapter's name in a sentence


@dataclass(frozen=True)
class Verdict:
    """Whether a search was worth it.

    Attributes:
        kind: ``better``, ``level`` or ``worse`` than the strongest control, ``same`` (the result is
            an adapter or the base model itself), ``gamed``, ``untested`` (no test split) or
            ``unpaired`` (no scores of single examples).
        sentence: the answer, in at most 20 words with one number.
        reasons: the comparisons behind it, one each.
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
        rows: label -> model, by score on test, the best first.
        notes: one fact each.
        steps: (purpose, command) of each next step.
        command: command that repeats the search.
    """

    about: About
    result: Result
    verdict: Verdict
    rows: dict[str, Model]
    notes: list[str]
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
    said = [] if why is None else [f"Nothing was trained: {why}."]
    said += notes(result)
    return Findings(
        about,
        result,
        judged,
        score_rows(result),
        notes=said + [note for note in result.notes if note != why],
        steps=list(next_steps(judged.kind, about, result, out)),
        command=search_command(with_relative_paths(about.typed)),
    )


# The verdict


def verdict(result: Result) -> Verdict:
    """Whether the search was worth it: the result against the strongest control on test."""
    best = _called(result)
    if result.alarms:
        sentence = (
            f"No: the replies that score {result.best.dev.value:.3f} look gamed; read them in the "
            "report before you use it."
        )
        return Verdict("gamed", sentence, tuple(result.alarms))
    if result.best.test is None:
        value = result.best.dev.value
        return Verdict(
            "untested", f"Not known: there is no test split; on dev {best} scores {value:.3f}."
        )
    ours = result.best.test.value
    if source := unchanged(result):
        return Verdict(
            "same", f"No: no mixture was selected over {source}, which scores {ours:.3f} on test."
        )
    control = strongest(result)
    pair = result.lead(control) if control else None
    if pair is None:
        return Verdict(
            "unpaired", f"Not known: one number per model is no test; {best} scores {ours:.3f}."
        )
    kind = KINDS[pair.sign]
    other = control_names(result)[control]
    theirs = _test_of(result, control)
    sentence = answer(kind, best, ours, other, theirs)
    return Verdict(kind, sentence, tuple(_comparisons(result, control)))


def answer(kind: str, best: str, ours: float, other: str, theirs: float) -> str:
    """Whether a search was worth it, by its result and the strongest control.

    Args:
        kind: ``better``, ``level`` or ``worse``.
        best: the result in a sentence.
        ours: its score on test.
        other: the control in a sentence.
        theirs: its score on test.

    Example:
        >>> answer("level", "the mixture", 0.84, "the fine-tuned base model", 0.85)
        'No: the fine-tuned base model does as well as the mixture, 0.850 on test.'
    """
    if kind == "better":
        beaten = other.rstrip(",")
        return f"Yes: {best} scores {ours:.3f} on test, significantly better than {beaten}."
    does = "does as well as" if kind == "level" else "is better than"
    return f"No: {other} {does} {best}, {theirs:.3f} on test."


def strongest(result: Result) -> str:
    """The control with the best score on test; "" if none has one."""
    scored = {}
    for name in CONTROLS:
        model = result.models.get(name)
        if model is not None and model.test is not None and not model.same(result.best):
            scored[name] = model.test.value
    return max(scored, key=lambda name: scored[name], default="")


def control_names(result: Result) -> dict[str, str]:
    """Control -> its name in a sentence."""
    expert = expert_noun(result)
    single = cut(one_line(result.best_single), _NAME)
    tuned = "fine-tuned"
    if result.expert_iteration is not None:
        tuned = "self-trained"
    return {
        "commonest": "the majority class",
        "base": "the base model",
        "base_tuned": f"the {tuned} base model",
        "best_single": f"the best {expert}, {single},",
        "expert_tuned": f"the {tuned} best {expert}, {single},",
        "uniform": "the uniform average",
    }


def expert_noun(result: Result) -> str:
    """What the experts of a search are."""
    if result.space in ("token", "full") or result.graph is not None:
        return "model"
    return "adapter"


def unchanged(result: Result) -> str:
    """The adapter or model that the result is, answer by answer; "" for a mixture, or after
    training.
    """
    name = mixture_name(result)
    if result.best.trained or result.graph is not None:
        return ""
    if name == "base":
        return "the base model"
    pairs = [*result.by_task(split="dev").values(), *result.by_task().values()]
    changed = any(pair.gained or pair.lost for pair in pairs)
    single = name == f"expert {result.best_single}"
    if not name.startswith("expert ") or (single and changed):
        return ""
    return cut(one_line(name.removeprefix("expert ")), _NAME)


def _called(result: Result) -> str:
    """The result in a sentence."""
    name = mixture_name(result)
    if name == "base":
        name = "base model"
    elif name.startswith("expert "):
        name = f"{expert_noun(result)} {cut(one_line(name.removeprefix('expert ')), _NAME)}"
    return f"the fine-tuned {name}" if result.best.trained else f"the {name}"


def _test_of(result: Result, name: str) -> float:
    test = result.models[name].test
    return float("nan") if test is None else test.value


def _comparisons(result: Result, control: str) -> Iterator[str]:
    """The result against the strongest control, the best expert, and a majority class that it does
    not beat.
    """
    names = control_names(result)
    shown = [control, *(name for name in ("best_single", "commonest") if name != control)]
    for name in shown:
        pair = result.lead(name)
        if pair is None or (name == "commonest" and pair.sign > 0):
            continue
        scores = f"{_test_of(result, 'best'):.3f} vs. {_test_of(result, name):.3f}"
        items = counted(pair.n, "test example")
        yield f"Against {names[name].rstrip(',')}: {scores} on {items}, {tested(pair)}."


# The table of scores


def score_rows(result: Result) -> dict[str, Model]:
    """Label -> scored model, by score on test, else on dev, the best first; a control that is also
    the result appears once.
    """
    rows = {}
    for name, label in labels(result).items():
        model = result.models.get(name)
        if model is not None and (name == "best" or not model.same(result.best)):
            rows[label] = model

    def rank(label: str) -> tuple[bool, float]:
        test = rows[label].test
        return test is None, -(rows[label].dev if test is None else test).value

    return {label: rows[label] for label in sorted(rows, key=rank)}


def labels(result: Result) -> dict[str, str]:
    """Model -> its label in the table of scores."""
    expert = expert_noun(result)
    single = one_line(result.best_single)
    tuned = "fine-tuned"
    if result.expert_iteration is not None:
        tuned = "self-trained"
    name = _called(result).removeprefix("the ").removeprefix("fine-tuned ")
    return {
        "commonest": "majority class",
        "base": "base model",
        "base_tuned": f"base model, {tuned}",
        "best_single": f"best {expert} ({single})",
        "expert_tuned": f"best {expert}, {tuned} ({single})",
        "uniform": "uniform average",
        "mixture": f"{name}, before training",
        "trained": f"{name}, {tuned}",
        "best": f"{name}, {tuned} (result)" if result.best.trained else f"{name} (result)",
    }


def combination(result: Result) -> str:
    """The combination of several tasks' scores; "" for one task."""
    if not result.several_tasks:
        return ""
    names = list(result.objectives)
    if result.combine.startswith("keep:"):
        *others, kept = names
        least = result.combine.removeprefix("keep:")
        return one_line(f"mean of {', '.join(others)} minus 10 x {kept}'s shortfall below {least}")
    mean = {"harmonic": "harmonic mean", "arithmetic": "mean"}.get(result.combine, result.combine)
    return one_line(f"{mean} of {', '.join(names)}")


# Notes


def notes(result: Result) -> Iterator[str]:
    """What a reader of the scores should know, most telling first, one fact each."""
    yield from _notes_on_training(result)
    yield from _notes_on_dev(result)
    tests = len(result.read_together("test"))
    if tests > 1:
        yield f"Intervals of differences and p-values are corrected for {tests} tests (Holm)."
    if "base" not in result.models:
        yield "The base model was not scored."
    for name, pair in result.by_task().items():
        task = f"{one_line(name)}: " if result.several_tasks else ""
        yield f"{task}{changes(pair)}"
    yield from _named_scores(result)
    for name, use in result.judge.items():
        tokens = counted(use.prompt_tokens + use.completion_tokens, "token")
        cost = "" if use.cost is None else f", cost {use.cost:.4g}"
        yield f"{one_line(name)}: {counted(use.requests, 'request')}, {tokens}{cost}."
    if result.graph is not None:
        yield f"Graph: {one_line(result.graph)}."
    if result.workers and result.workers.failures:
        failures = result.workers.failures.items()
        each = ", ".join(f"{one_line(kind)} {count}" for kind, count in failures)
        yield f"Workers that failed were replaced, and no result was lost: {each}."


def _notes_on_training(result: Result) -> Iterator[str]:
    if "trained" not in result.models:
        return
    if not result.best.trained:
        yield "Training lowered the dev score; the result is the untrained one."
    elif gain := result.lead("mixture"):
        before = _test_of(result, "mixture")
        yield f"Without training it scores {before:.3f} on test; training: {tested(gain)}."
    learnt = [name for name in result.learnt if result.coefficients.get(name)]
    if learnt:
        yield f"Its dev score is not held out: {listed(learnt)} had learnt some of the examples."
    elif result.expert_iteration and result.expert_iteration.spare:
        yield "On dev it is scored on prompts that it was not trained on."
    else:
        yield "Its dev score is cross-fitted: each example is scored by a model trained without it."


def _notes_on_dev(result: Result) -> Iterator[str]:
    dev = result.lead(split="dev")
    test = result.lead()
    if dev is None:
        return
    if test and dev.interval[0] > max(test.difference, 0):
        yield (
            f"The gain on dev, {dev.difference:+.3f}, does not hold on test: the mixture was "
            f"selected from {counted(result.evaluations, 'evaluation')}."
        )
    if warning := few(dev.n):
        yield warning


def changes(pair: Comparison) -> str:
    """The examples that the result gains and loses.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> changes(Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, (80, 200)))
        'The result gains 15 and loses 6 of 90 test examples over the best expert.'
    """
    of = counted(pair.n, "test example")
    return f"The result gains {pair.gained} and loses {pair.lost} of {of} over the best expert."


def _named_scores(result: Result) -> Iterator[str]:
    """The change of a score's named numbers, from the best expert to the result."""
    split = "test" if result.best.test else "dev"
    scores = result.best.on(split)
    single = result.models["best_single"].on(split)
    if scores is None or single is None:
        return
    for task, outcome in scores.tasks.items():
        before = single.tasks[task].named if task in single.tasks else {}
        both = {name: value for name, value in outcome.named.items() if name in before}
        if both:
            values = ", ".join(f"{n} {before[n]:.3f} to {both[n]:.3f}" for n in both)
            yield one_line(f"{task}, best expert to result on {split}: {values}.")
        fallen = [name for name in both if both[name] < before[name]]
        if fallen and outcome.value > single.tasks[task].value:
            yield one_line(f"The score of {task} rises but {', '.join(fallen)} falls (not tested).")


# Cost and method


def costs(result: Result) -> dict[str, str]:
    """Cost -> its value, in words."""
    share = result.seconds_scoring / result.seconds if result.seconds else 0.0
    found = {
        "Evaluations": f"{result.evaluations:,}",
        "Examples scored": f"{result.item_evaluations:,}",
        "Scoring": one_line(result.scoring),
        "Time": f"{duration(result.seconds)} ({share:.0%} scoring)",
        "Peak memory": f"{result.peak_memory_bytes / 2**30:.1f} GiB",
        "Stopped by": ", ".join(f"{name} {one_line(value)}" for name, value in result.stop.items()),
    }
    if use := result.expert_iteration:
        rounds = counted(use.rounds, "round")
        found["Expert iteration"] = f"{rounds}, {use.replies:,} replies, {use.tokens:,} tokens"
    if result.passes_rivals is not None:
        time = duration(result.seconds_rivals or 0)
        found["Controls"] = f"{result.passes_rivals:,} forward passes, {time}, counted separately"
    return found


def method(about: About) -> str:
    """The method of a search, in words."""
    config = about.config
    space = one_line(config.space)
    if config.method in _MODELS:
        candidates = counted(config.proposals or 0, "candidate")
        return f"a surrogate of {_MODELS[config.method]} with up to {candidates}, space {space}"
    if config.optimizer != "model-swarms":
        return f"{one_line(config.optimizer)}, space {space}"
    source = " as in the authors' code" if config.reference else ""
    particles = counted(config.population, "particle")
    iterations = counted(config.iterations, "iteration")
    return f"Model Swarms{source}, space {space} ({particles}, at most {iterations})"


def about_dev(result: Result) -> str:
    """How the dev score of a trained model was computed; "" without training."""
    return next((note for note in _notes_on_training(result) if " dev " in note), "")


def macro_f1(value: float, interval: tuple[float, float]) -> str:
    """Macro-F1 with its bootstrap interval.

    Example:
        >>> macro_f1(0.5, (0.4, 0.6))
        'macro-F1 0.500 [0.400, 0.600]'
    """
    return f"macro-F1 {score_text(value, interval)}"
