"""Training of a front's chosen point by the first score, and whether it is kept.

The point is trained as a search for the first score alone trains its mixture. Scores of the examples
trained on are cross-fitted on dev, all others are the trained model's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.statistics import Score, score_of
from pyswarmopt_llm.run.directory import RunDirectory
from pyswarmopt_llm.run.record import TRAINED, Row
from pyswarmopt_llm.scores.choices import fold_passes, training_passes
from pyswarmopt_llm.searching.find import Explored, Trained
from pyswarmopt_llm.searching.front import bound_text
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.train_on_labels import (
    announce,
    fit_side_by_side,
    fitting_of,
    score_unseen,
)
from pyswarmopt_llm.training.fitting import Meter, not_worse

POINT = "point"  # name of the trained point in the run


@dataclass(frozen=True)
class Fitted:
    """A trained point.

    Attributes:
        patch: the model.
        shares: numbers of dev examples of the first score, and the model that was trained without them.
        passes: forward passes per item of training.
        iteration: outcome of expert iteration, as in `RunResult`.
    """

    patch: Patch
    shares: Sequence[tuple[Sequence[int], Patch]]
    passes: int
    iteration: dict[str, int] | None = None


def train_point(job: Job, run: RunDirectory, found: Explored) -> Trained:
    """Train the chosen point. It is the result if its first score is not worse and every score is
    within the limits of the choice, on dev.

    Args:
        job: a search for a front that trains.
        run: run directory.
        found: outcome of exploring.
    """
    first = job.first
    announce(first, [POINT])
    fitted = (_on_replies if first.objectives.written else _on_labels)(first, run, found)
    if fitted is None:
        return Trained(found.chosen, rule="not fine-tuned, since too few replies are better")
    position = found.chosen.position
    (before,) = found.scorer.score([position], 0)
    after = found.scorer.trained(position, partial(_row, job, found, fitted))
    mixture = Contestant(position, dev=before)
    trained = Contestant(position, fitted.patch, True, after)
    faults = list(_faults(job, found, before, after))
    rule = "fine-tuned within the same limits"
    if faults:
        rule = f"not fine-tuned, since {' and '.join(faults)} on dev"
    models = {"mixture": mixture, "trained": trained}
    best = mixture if faults else trained
    return Trained(best, models, fitted.passes, fitted.iteration, rule=rule)


def _on_labels(first: Job, run: RunDirectory, found: Explored) -> Fitted:
    """The point trained on the right options."""
    items = first.choices(found.answer_formats)
    meter = Meter(fold_passes(len(items)) + training_passes(len(items)), first.tell)
    fitting = fitting_of(first, items, POINT, found.chosen.position, meter, run.path / TRAINED)
    if found.scorer.crew is not None:
        parts = [*fitting.parts(), fitting.on_all()]
        fit_side_by_side(found.scorer.crew, [(fitting, part) for part in parts])
    shares = list(fitting.without_folds())
    return Fitted(fitting.whole(), shares, int(meter.passes))


def _on_replies(first: Job, run: RunDirectory, found: Explored) -> Fitted | None:
    """The point trained on the best of its replies; None if there are too few."""
    from pyswarmopt_llm.searching.written.expert_iteration import (
        START,
        ExpertIteration,
        complementary,
    )

    position = found.chosen.position
    (before,) = found.scorer.score([position], 0)
    teachers = complementary(found.scorer.rows, before, first.objectives.names)
    folder = run.path / TRAINED
    crew = found.scorer.crew
    iteration = ExpertIteration(first, found.answer_formats, run.store, folder, crew=crew)
    rounds = iteration.run(START, position, teachers)
    if not rounds:
        return None
    model = max(reversed(rounds), key=lambda one: one.row.value).model  # of equals the last
    shares = list(model.shares(len(iteration.dev.prompts)))
    use = {"rounds": len(rounds), "replies": iteration.count}
    return Fitted(model.patch, shares, iteration.passes, use)


def _row(job: Job, found: Explored, fitted: Fitted) -> Row:
    """The scores of a trained point on dev: by models that have not seen an example, for those that it
    was trained on.
    """
    tasks = job.objectives.tasks
    main = next(iter(tasks))
    own = [name for name in tasks if tasks[name].name == tasks[main].name]
    own = [name for name in own if name not in found.together]
    evaluator = job.evaluator("dev", found.answer_formats)
    evaluator.engine.load(fitted.patch)
    scores = {n: utility(job.engine) for n, utility in evaluator.utilities.items() if n not in own}
    parts: dict[str, dict[int, float]] = {name: {} for name in own}
    for numbers, patch in fitted.shares:
        of_share, _ = score_unseen(evaluator, patch, dict.fromkeys(own, numbers))
        for name, score in of_share.items():
            parts[name] |= zip(numbers, score.per_item, strict=True)
    for name, known in parts.items():
        scores[name] = score_of([known[number] for number in sorted(known)])
    ordered: dict[str, Score] = {name: scores[name] for name in job.objectives.names}
    return Row.of(ordered, job.objectives.combine(list(ordered.values())))


def _faults(job: Job, found: Explored, before: Row, after: Row) -> Iterator[str]:
    """What is wrong with a trained point, a clause for each score."""
    main, *_ = job.objectives.names
    if not not_worse(after.tasks[main], before.tasks[main]):
        yield f"that lowers {main}"
    for name, least in found.limits.items():
        value = after.tasks[name].value
        if value < least:
            metric = job.objectives.metrics.get(name)
            lower = metric is not None and metric.lower
            shown = -value if lower else value
            yield f"{name} would be {shown:.3g}, not {bound_text(least, lower)}"
