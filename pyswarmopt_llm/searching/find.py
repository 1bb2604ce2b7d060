"""The first stage of a search: experts and candidates are scored on dev, and one is chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pyswarmopt_llm.common.events import Event, note
from pyswarmopt_llm.run.directory import Checkpoint, RunDirectory
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.run.result import Dropped
from pyswarmopt_llm.scores.metrics.accuracy import (
    TRIED,
    beats_chance,
    choose_answer_format,
    option_counts,
    trial_of,
)
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.scores.tasks import AnswerFormat
from pyswarmopt_llm.searching.explore import Proposer, explore
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scorer import CandidateEvaluator, Scorer
from pyswarmopt_llm.searching.screening import Screened, screen

if TYPE_CHECKING:
    from pyswarmopt_llm.training.fitting import Fitting


@dataclass(frozen=True)
class Explored:
    """What a search found on dev, before any training.

    Attributes:
        chosen: the chosen mixture.
        value: its value in the search.
        experts: number of each expert that may be mixed -> its row.
        single: number of the best expert.
        answer_formats: how each task is scored.
        stop: reasons to stop, as in ``result.json``.
        remarks: what a user should know about the proposals.
        scorer: dev scorer; its workers live until the stack given to `find` is closed.
        front: positions of the candidates that no other dominates, if a front was searched for.
        rule: why the chosen one was chosen.
        limits: score -> its least value in that choice, higher is better.
        dropped: number of each expert that screening dropped -> why.
    """

    chosen: Contestant
    value: float
    experts: Mapping[int, Row]
    single: int
    answer_formats: Mapping[str, AnswerFormat]
    stop: Mapping[str, Any]
    remarks: Sequence[str]
    scorer: Scorer
    front: Sequence[Tensor] = ()
    rule: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)
    dropped: Mapping[int, Dropped] = field(default_factory=dict)

    @property
    def together(self) -> list[str]:
        """The tasks that are scored by all items together."""
        return scored_together(next(iter(self.experts.values())))


@dataclass(frozen=True)
class Trained:
    """What training made from the chosen mixture.

    Attributes:
        best: the final model; the mixture if nothing was trained, or if training is not kept.
        models: after training, by their names in `Result`: ``mixture`` and ``trained``, one of which
            is the best; after training on replies also ``base``, scored on dev; and the fine-tuned
            baselines.
        passes: forward passes per item of training (a backward pass counts as measured).
        iteration: outcome of expert iteration, as in `Result`.
        fittings: trainings of the models trained on labels, by the same names.
        rule: of a front's point, why the trained model is the result or not.
    """

    best: Contestant
    models: Mapping[str, Contestant] = field(default_factory=dict)
    passes: int = 0
    iteration: dict[str, int] | None = None
    fittings: Mapping[str, Fitting] = field(default_factory=dict)
    rule: str = ""


def find(job: Job, run: RunDirectory, stack: ExitStack, checkpoint: str = "swarm") -> Explored:
    """Score experts and candidates, starting points first, and choose one.

    Args:
        job: the search.
        run: run directory, locked.
        stack: ends the workers.
        checkpoint: name of the swarm's checkpoint.
    """
    tell_start(job, str(run.path))
    answer_formats = choose_answer_formats(job, run)
    crew = None
    if not job.alone:
        from pyswarmopt_llm.searching.workers import open_crew

        crew = stack.enter_context(open_crew(job, answer_formats))
    scorer = Scorer(
        run,
        job.evaluator("dev", answer_formats),
        listener=job.tell,
        crew=crew,
        asynchronous=job.config.asynchronous,
    )
    return explored(job, scorer, answer_formats, run.checkpoint(checkpoint))


def explored(
    job: Job,
    scorer: Scorer,
    answer_formats: Mapping[str, AnswerFormat],
    saved: Checkpoint | None = None,
) -> Explored:
    """Score the experts, explore, and choose the best.

    Args:
        job: the search.
        scorer: dev scorer.
        answer_formats: how each task is scored.
        saved: keeps a swarm's state; None: it is not kept.
    """
    config = job.config
    # without rounds no other candidate waits for the experts, unless some are to be dropped first
    experts_first = job.screens or not config.asynchronous
    screened = _score_experts(job, scorer) if experts_first else Screened({})
    with ExitStack() as stack:
        proposer = _make_proposer(job, saved, stack, screened)
        stop = explore(proposer, scorer, config)
        best = proposer.best()
    if not experts_first:
        screened = _score_experts(job, scorer)
    experts = screened.rows
    single = max(experts, key=lambda number: experts[number].value)
    remarks = [*_on_scores_together(job, experts[single]), *proposer.remarks, *best.remarks]
    for text in remarks:
        job.tell(note(text))
    return Explored(
        chosen=Contestant(best.x),
        value=best.value,
        experts=experts,
        single=single,
        answer_formats=answer_formats,
        stop=stop,
        remarks=remarks,
        scorer=scorer,
        front=best.front,
        rule=best.rule,
        limits=best.limits,
        dropped=screened.dropped,
    )


def _make_proposer(
    job: Job, saved: Checkpoint | None, stack: ExitStack, screened: Screened
) -> Proposer:
    """What proposes the candidates: for a front, by the paper's swarm, or by a model of the scores."""
    config = job.config
    if config.front:
        from pyswarmopt_llm.searching.front import front_proposer

        return front_proposer(job)
    if config.method == "swarm":
        from pyswarmopt_llm.searching.swarm import swarm_proposer

        return swarm_proposer(job, saved, stack)
    from pyswarmopt_llm.searching.surrogate import Surrogate

    return Surrogate(
        method=config.method,
        starts=job.starts_without(screened.dropped),
        experts=job.pool.space.expert_names,
        tasks=job.objectives.names,
        combine=job.objectives.combine,
        most=config.proposals or 0,
        seed=config.seed,
        at_once=config.batch or 1,
        asynchronous=config.asynchronous,
        dropped=sorted(screened.dropped),
    )


def scored_together(row: Row) -> list[str]:
    """The tasks that are scored by all items together."""
    return [name for name, score in row.tasks.items() if score.whole]


def _on_scores_together(job: Job, row: Row) -> Iterator[str]:
    """What a user should know about tasks that are scored by all items together, if there are any."""
    names = scored_together(row)
    if not names:
        return
    metrics = dict.fromkeys(job.objectives.metrics[name].name for name in names)
    untrained = ", and nothing is trained on replies" if job.trains else ""
    yield (
        f"{', '.join(metrics)}: one number for all replies, so candidates are proposed from these "
        f"numbers alone{untrained}"
    )


def choose_answer_formats(job: Job, run: RunDirectory) -> dict[str, AnswerFormat]:
    """The answer format of each task; ``auto`` tries letters on the first experts."""
    scoring = job.config.scoring
    possible: dict[str, Sequence[AnswerFormat]] = {}
    for name in job.tasks:
        possible[name] = job.objectives.answer_formats(name, scoring, job.engine.likelihoods)
    answer_formats = {name: allowed[0] for name, allowed in possible.items()}
    tried = [name for name, allowed in possible.items() if len(allowed) > 1]
    if not tried:
        return answer_formats
    trials = {name: trial_of(job.tasks[name], job.engine.chat) for name in tried}
    evaluator = CandidateEvaluator(job.pool.space, job.engine, trials, harmonic)
    trial = Scorer(run, evaluator, "letter", job.tell)
    rows = trial.score(list(job.pool.space.vertices()[:TRIED]), 0)
    for name in tried:
        scores = [row.tasks[name] for row in rows]
        answer_formats[name] = choose_answer_format(possible[name], job.tasks[name].dev, scores)
        job.tell(note(f"{name}: {answer_formats[name]} scoring is used"))
    return answer_formats


def _score_experts(job: Job, scorer: Scorer) -> Screened:
    """A row for each expert, unless screening drops it."""
    if job.screens:
        screened = screen(job, scorer)
    else:
        rows = scorer.score(list(job.pool.space.vertices()), 0)
        screened = Screened(dict(enumerate(rows)))
    for name, task in job.tasks.items():
        is_accuracy = job.objectives.metrics[name].name == "accuracy"
        if not (is_accuracy and option_counts(task.dev)):
            continue
        scores = [row.tasks[name] for row in screened.rows.values()]
        if not beats_chance(task.dev, scores):
            job.tell(note(f"{name}: no expert is significantly better than guessing on dev"))
    return screened


def tell_start(job: Job, run: str) -> None:
    """Report the search's settings, and what a user should know about it."""
    start = {
        "run": run,
        "experts": list(job.pool.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": job.config.population,
        "settings": asdict(job.config),
        "training": job.training,
        "dev_items": job.examples[0],
        "evaluations_planned": job.evaluations,
    }
    job.tell(Event("start", start))
    for text in (*job.notes.values(), *job.prices, *job.idle(job.config.processes)):
        job.tell(note(text))
