"""Remarks on a result, for terminal, report and model card: warnings about its scores, cost,
method, course of the search, errors by label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pyswarmopt.base.words import counted, in_list
from pyswarmopt_llm.common.events import duration
from pyswarmopt_llm.report.phrases import few, one_line, score_text
from pyswarmopt_llm.report.words import tested_briefly

if TYPE_CHECKING:
    from pyswarmopt_llm.common.statistics import Comparison
    from pyswarmopt_llm.report.reading import Course, Emergence, Headroom
    from pyswarmopt_llm.searching.scoring.result import Cost, Iterated, JudgeUse, Outcome, Result
    from pyswarmopt_llm.searching.scoring.run_directory import About

_LIMITS = {
    "max_iter": "iteration",
    "patience": "iteration",
    "max_evals": "evaluation",
    "proposals": "suggested mixture",
}
_MODELS = {"items": "the margins of the answers", "scores": "the scores"}


def remarks(result: Result, way: Headroom | None) -> Iterator[str]:
    """Further remarks for readers of the scores.

    Args:
        result: the result.
        way: headroom from the best expert to the best expert for each example.
    """
    if "base" not in result.models:
        apart = result.space == "token" or result.graph is not None
        why = ": models side by side have none in common" if apart else " (no-rivals)"
        yield f"The base is not scored{why}."
    tests = result.by_task()
    for name, pair in tests.items():
        several = f"{one_line(name)}, result minus best expert: {tested_briefly(pair)}. "
        yield (several if len(tests) > 1 else "") + changed(pair)
    if way is not None:
        yield headroom(way)
    yield chosen_on_dev(result.cost.evaluations, tested=result.best.test is not None)
    on_dev = result.lead(split="dev")
    if on_dev and (warning := few(on_dev.n)):
        yield warning
    if result.front and result.front.points:
        more = counted(len(result.front.points), "more point")
        yield f"In front/: {more} of the Pareto front."
    yield from _named_scores(result)
    for name, use in result.cost.judge.items():
        yield judged(name, use)
    if result.graph is not None:
        yield f"Graph: {one_line(result.graph)}."
    if result.cost.workers and result.cost.workers.failures:
        yield replaced_workers(result.cost.workers.failures)


def changed(pair: Comparison) -> str:
    """The examples that the result gains and loses, beside the best expert.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> changed(Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, (80, 200)))
        'Against the best expert the result gains 15 and loses 6 of 90 test examples.'
    """
    of = f"gains {pair.gained} and loses {pair.lost} of {counted(pair.n, 'test example')}"
    return f"Against the best expert the result {of}."


def headroom(way: Headroom) -> str:
    """The score with the right expert for each example.

    Example:
        >>> from pyswarmopt_llm.report.reading import Headroom
        >>> headroom(Headroom(0.8, 0.6, 0.7, 40, partial=True)).partition(";")[0]
        'Picking the right expert for each of 40 dev examples would give 0.800'
    """
    examples = f"each of {counted(way.n, 'dev example')}" if way.partial else "each dev example"
    return (
        f"Picking the right expert for {examples} would give {way.oracle:.3f}; the best expert alone "
        f"gives {way.best_single:.3f}, the result {way.best:.3f}."
    )


def chosen_on_dev(evaluations: int, tested: bool) -> str:
    """The dev score is optimistic.

    Example:
        >>> chosen_on_dev(30, tested=True)
        'Quote the test score: the dev score was used to choose, from 30 evaluations.'
        >>> chosen_on_dev(1, tested=False)
        'The dev score was used to choose, from 1 evaluation, and is optimistic.'
    """
    chosen = f"dev score was used to choose, from {counted(evaluations, 'evaluation')}"
    return f"Quote the test score: the {chosen}." if tested else f"The {chosen}, and is optimistic."


def _named_scores(result: Result) -> Iterator[str]:
    split = "test" if result.best.test else "dev"
    scores = result.best.on(split)
    single = result.models["best_single"].on(split)
    for task, outcome in ({} if scores is None else scores.tasks).items():
        if outcome.named:
            yield named_scores(task, split, outcome, single.tasks.get(task) if single else None)


def named_scores(task: str, split: str, after: Outcome, before: Outcome | None) -> str:
    """The change of a score function's named numbers, from the best expert to the result.

    Args:
        task: name of the task.
        split: the scored split.
        after: result's scores.
        before: best expert's scores, if any.

    Example:
        >>> from pyswarmopt_llm.searching.scoring.result import Outcome
        >>> before = Outcome(0.5, named={"short": 0.4, "thanks": 0.6})
        >>> after = Outcome(0.6, named={"short": 0.8, "thanks": 0.4})
        >>> print(named_scores("style", "test", after, before).replace(". ", ".\\n"))
        style, from the best expert to the result on test: short 0.400 to 0.800, thanks 0.600 to 0.400.
        The score rises, and thanks does not (not tested).
    """
    known = before.named if before else {}
    if not known:
        values = ", ".join(f"{name} {value:.3f}" for name, value in after.named.items())
        return f"{one_line(task)}, the result on {split}: {one_line(values)}."
    both = [name for name in after.named if name in known]
    values = ", ".join(f"{name} {known[name]:.3f} to {after.named[name]:.3f}" for name in both)
    text = f"{one_line(task)}, from the best expert to the result on {split}: {one_line(values)}."
    fallen = [name for name in both if after.named[name] < known[name]]
    if before and fallen and len(known) > 1 and after.value > before.value:
        but = one_line(", ".join(fallen))
        text += f" The score rises, and {but} does not (not tested)."
    return text


def judged(name: str, use: JudgeUse) -> str:
    """A judge's use.

    Example:
        >>> from pyswarmopt_llm.searching.scoring.result import JudgeUse
        >>> judged("tone", JudgeUse(12, 900, 100, 0.031))
        'tone: 12 requests, 1,000 tokens, cost 0.031.'
    """
    tokens = counted(use.prompt_tokens + use.completion_tokens, "token")
    cost = "" if use.cost is None else f", cost {use.cost:.4g}"
    return f"{one_line(name)}: {counted(use.requests, 'request')}, {tokens}{cost}."


def replaced_workers(failures: Mapping[str, int]) -> str:
    """Workers that failed.

    Example:
        >>> replaced_workers({"killed": 2})
        'Workers that failed and were replaced, with no result lost: killed 2.'
    """
    each = ", ".join(f"{one_line(kind)} {count}" for kind, count in failures.items())
    return f"Workers that failed and were replaced, with no result lost: {each}."


def only_chooses() -> str:
    """Where a result that compares options cannot be used.

    Example:
        >>> only_chooses().partition(",")[0]
        'It chooses by the probabilities of the options'
    """
    return (
        "It chooses by the probabilities of the options, which Ollama does not give; its chat "
        "would not answer. vLLM gives them as log-probabilities (code: card and report). With "
        "--scoring generate a search finds an adapter that writes its answers."
    )


# The course of the search, and its examples


def legend(course: Course) -> str:
    """The legend of a search's picture."""
    begun = "what the search began with"
    later = "what the model suggested"
    if course.iterated:
        begun = "starting positions"
        later = "later ones"
    star = "mixture that was trained" if course.result.best.trained else "result"
    line = ", the strong line the path of the particle that found it"
    return (
        f"Squares are experts, open dots {begun}, filled dots {later} (the stronger the color, the "
        f"higher the dev score). The star is the {star}"
        f"{line if course.iterated and not course.proposed else ''}."
    )


def found_by(course: Course) -> str:
    """How a search found its result."""
    if course.proposed:
        after = ", after the last iteration" if course.iterated else ""
        return f"The result was suggested by a model fitted to all scores so far{after}."
    if course.iterated:
        rank = f"rank {course.rank:g} of {len(course.starts)}"
        weak = " (weak to strong)" if course.weak_to_strong else ""
        return (
            f"Particle {course.best.particle} found the result in iteration "
            f"{course.best.iteration}. It started at {course.start:.3f}, {rank}{weak}."
        )
    more = "nothing else was scored"
    if course.later:
        were = "was" if course.later == 1 else "were"
        more = f"{course.later} more {were} suggested by a model fitted to their scores"
    return f"The result is one of the mixtures that the search began with; {more}."


def emergence(found: Emergence) -> str:
    """Correctness emergence: dev examples that only the result answers, or only some expert.

    Example:
        >>> from pyswarmopt_llm.report.reading import Emergence
        >>> emergence(Emergence(kept=3, lost=11, emerged=10, never=27))
        'New: 10 of the 37 examples that no expert gets right. Lost: 11 of the 14 that some expert gets right.'
    """
    hard = found.emerged + found.never
    easy = found.kept + found.lost
    new = f"New: {found.emerged} of the {hard} examples that no expert gets right." if hard else ""
    lost = f"Lost: {found.lost} of the {easy} that some expert gets right." if easy else ""
    return " ".join(filter(None, [new, lost]))


def changed_on_test(pair: Comparison) -> str:
    """The test examples on which the result differs from the best expert.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> changed_on_test(Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, None)).partition(".")[0]
        'On 90 held-out test examples the result gains 15 and loses 6'
    """
    return (
        f"On {counted(pair.n, 'held-out test example')} the result gains {pair.gained} and loses "
        f"{pair.lost}. Test questions are not shown: if you tune on them, you no longer have a "
        "test set."
    )


def changed_on_dev(gained: int, lost: int, trained: bool) -> str:
    """The dev examples on which the result differs from the best expert.

    Example:
        >>> changed_on_dev(3, 1, trained=False)
        'On dev the result gains 3 and loses 1.'
    """
    if not trained:
        return f"On dev the result gains {gained} and loses {lost}."
    return (
        "On dev models trained without the example (the cross-fitting, not the result itself) "
        f"gain {gained} and lose {lost}."
    )


# Cost and method


def costs(result: Result) -> dict[str, str]:
    """Cost -> its value, in words."""
    cost = result.cost
    found = {
        "Evaluations": f"{cost.evaluations:,}",
        "Examples scored": f"{cost.item_evaluations:,}",
        "Scoring": one_line(result.scoring),
        "Time": time_taken(cost),
        "Peak memory": f"{cost.peak_memory_bytes / 2**30:.1f} GiB",
        "Stopped": ", ".join(stopped(*pair) for pair in result.stop.items()) or "-",
    }
    if result.expert_iteration:
        found["Expert iteration"] = iterated(result.expert_iteration)
    if cost.passes_rivals is not None:
        time = duration(cost.seconds_rivals or 0)
        found["Baselines"] = f"{cost.passes_rivals:,} passes of an example, {time}, counted apart"
    return found


def time_taken(cost: Cost) -> str:
    """The time of a search, and how much of it was scoring."""
    scoring = duration(cost.seconds_scoring)
    share = cost.seconds_scoring / cost.seconds if cost.seconds else 0.0
    how = f"{share:.1%} scoring"
    if cost.workers:
        how = f"{scoring} of scoring by {one_line(cost.workers.asked)} workers"
    return f"{duration(cost.seconds)} ({how})"


def iterated(use: Iterated) -> str:
    """The cost of expert iteration.

    Example:
        >>> from pyswarmopt_llm.searching.scoring.result import Iterated
        >>> iterated(Iterated(rounds=2, round=1, kept=40, replies=1600, tokens=64000))
        '2 rounds, 1,600 replies, 64,000 tokens'
    """
    return f"{counted(use.rounds, 'round')}, {use.replies:,} replies, {use.tokens:,} tokens"


def stopped(name: str, value: object) -> str:
    """Why a search stopped, in words.

    Example:
        >>> stopped("max_iter", 6), stopped("patience", 1), stopped("proposals", 2)
        ('after 6 iterations', 'after 1 iteration without a new best', 'after 2 suggested mixtures')
        >>> stopped("proposals", 0)
        'with the starting points'
        >>> stopped("budget_minutes", 2.5), stopped("budget_items", 900)
        ('by the budget of 2.5 minutes', 'by the budget of 900 examples')
    """
    if not isinstance(value, int | float):
        return f"{name} {one_line(value)}"
    if not value and name in ("max_iter", "proposals"):
        return "with the starting points"
    if name in _LIMITS:
        without = " without a new best" if name == "patience" else ""
        return f"after {counted(int(value), _LIMITS[name])}{without}"
    if name == "budget_items":
        return f"by the budget of {counted(int(value), 'example')}"
    if name == "budget_minutes":
        return f"by the budget of {value:g} minutes"
    return f"{one_line(name)} {value}"


def method(about: About) -> str:
    """The method of a search, with its differences from published Model Swarms."""
    config = about.config
    space = one_line(about.config.space)
    if config.method in ("items", "scores"):
        candidates = counted(config.proposals or 0, "candidate")
        of = _MODELS[config.method]
        return f"a Gaussian process of {of} that suggests up to {candidates}, space {space}"
    if config.optimizer != "model-swarms":
        return f"{one_line(config.optimizer)}, space {space}"
    source = "as in the authors' code" if config.reference else "as published"
    if departures := about.kind.departures(asdict(config)):
        return f"Model Swarms, not {source} ({one_line(', '.join(departures))})"
    particles = counted(config.population, "particle")
    iterations = counted(config.iterations, "iteration")
    return f"Model Swarms {source} ({particles}, at most {iterations})"


# Errors by label


def macro_f1(value: float, interval: tuple[float, float]) -> str:
    """Macro-F1 with its interval.

    Example:
        >>> macro_f1(0.5, (0.4, 0.6))
        'macro-F1 0.500 (95% interval 0.400 to 0.600, bootstrap over the examples)'
    """
    low, high = interval
    return (
        f"macro-F1 {value:.3f} (95% interval {low:.3f} to {high:.3f}, bootstrap over the examples)"
    )


def recall(found: int, n: int, value: float, interval: tuple[float, float]) -> str:
    """How many examples of a label were answered correctly.

    Example:
        >>> recall(2, 4, 0.5, (0.15, 0.85))
        '2 of 4, 0.500 [0.150, 0.850]'
    """
    return f"{found} of {n}, {score_text(value, interval)}"


def taken_for(labels: Sequence[tuple[str, int]]) -> str:
    """The wrong labels chosen.

    Example:
        >>> taken_for([("card", 3), ("loan", 1)])
        'card 3, loan 1'
    """
    return ", ".join(f"{in_list(one_line(label))} {count}" for label, count in labels)
