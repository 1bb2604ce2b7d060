"""The first stage of a search: score candidates on dev and choose one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import Event, OnEvent, note
from pyswarmopt_llm.common.optimizers import optimizer, released
from pyswarmopt_llm.scores.metrics.accuracy import (
    TRIED,
    beats_chance,
    choose_scoring,
    one_letter,
    option_counts,
    trial_of,
)
from pyswarmopt_llm.scores.metrics.combine import find_combine
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.scores.tasks.types import form_of
from pyswarmopt_llm.searching.explore import Batch, Proposer, explore
from pyswarmopt_llm.searching.prepare import Contestant, Job, reopen
from pyswarmopt_llm.searching.race import Start, begin, draw_shares
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Journal, Run
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, OnRow, Questions, Scorer

if TYPE_CHECKING:
    from pyswarmopt_llm.common.interfaces import Score
    from pyswarmopt_llm.searching.leaders import Archive

_SHOWN = ("phase", "iteration", "particle", "value", "n", "seconds", "coefficients")


@dataclass(frozen=True)
class Found:
    """Result of a search on dev.

    Attributes:
        chosen: the chosen model; it is the result unless training changes it.
        archive: candidates scored in full, where there are several tasks.
        experts: a row for each expert.
        single: number of the best expert.
        scorings: how each task is scored.
        stop: reasons to stop, as in ``result.json``.
        remarks: what a user should know about the race and the proposals.
        scorer: dev scorer; its workers have ended.
        memory: bytes that workers used.
    """

    chosen: Contestant
    archive: Archive | None
    experts: Sequence[Row]
    single: int
    scorings: Mapping[str, Scoring]
    stop: Mapping[str, Any]
    remarks: Sequence[str]
    scorer: Scorer
    memory: int = 0


def find(job: Job, run: Run, tell: OnEvent, checkpoint: str = "swarm") -> Found:
    """Score experts and candidates, starting points first, and choose one.

    Args:
        job: the search.
        run: run directory, locked.
        tell: called with progress.
        checkpoint: name of the swarm's checkpoint.
    """
    _tell_start(job, run, tell)
    progress = Progress(job.plan.evaluations, tell)
    pool = None
    if not job.plan.alone:
        from pyswarmopt_llm.servers.workers.pool import open_pool

        pool = open_pool(job, run, reopen)
    try:
        scorings = choose_scorings(job, run, progress.on_row, tell)
        point_to_writing(job, scorings, tell)
        questions = Questions("dev", tuple(scorings.items()))
        evaluator = job.evaluator(questions)
        crew = None if pool is None else pool.crew(questions)
        scorer = Scorer(run, evaluator, on_row=progress.on_row, crew=crew)
        found = explored(job, run, scorer, scorings, progress, checkpoint)
    finally:
        memory = 0 if pool is None else pool.close()
    return replace(found, memory=memory)


def explored(
    job: Job,
    run: Journal,
    scorer: Scorer,
    scorings: Mapping[str, Scoring],
    progress: Progress,
    checkpoint: str = "swarm",
) -> Found:
    """Score the experts, explore, and choose the best.

    Args:
        job: the search.
        run: store and history of the search.
        scorer: dev scorer.
        scorings: how each task is scored.
        progress: reports progress.
        checkpoint: name of the swarm's checkpoint.
    """
    start = _score_experts(job, scorer, progress)
    warn_of_useless_scores(job, start.experts, scorings, progress.tell)
    archive = _new_archive(job.objectives.names)

    def learnt(batch: Batch, rows: Sequence[Row]) -> None:
        if archive is not None:
            for position, row in zip(batch.positions, rows, strict=True):
                archive.add(position, row)
        progress.on_iteration(batch.iteration)

    with proposer_of(job, run, start, checkpoint) as proposer:
        stop = explore(proposer, scorer, job.plan.budget, learnt)
        best = proposer.best()
    remarks = _remarks(job, start, proposer, best.x)
    for text in remarks:
        progress.tell(note(text))
    return Found(
        chosen=Contestant(best.x, value=best.value),
        archive=archive,
        experts=start.experts,
        single=start.single,
        scorings=scorings,
        stop=stop,
        remarks=remarks,
        scorer=scorer,
    )


def _score_experts(job: Job, scorer: Scorer, progress: Progress) -> Start:
    """Score the experts, by racing where the plan says so."""
    experts = job.pool.space.vertices()
    shares = draw_shares(job.objectives.items, job.plan.config.seed) if job.plan.races else []
    # the first expert's cost, in a race on the first share of items, sets the pace
    (first,) = scorer.score([experts[0]], 0, share=next(iter(shares), None))
    _tell_price(job, first, progress.tell)
    start = begin(scorer, experts, job.starts, shares)
    if start.decided:
        progress.planned -= job.plan.proposals
    return start


def _new_archive(tasks: Sequence[str]) -> Archive | None:
    """An archive for the candidates of several tasks; None for one task."""
    if len(tasks) < 2:
        return None
    from pyswarmopt_llm.searching.leaders import Archive

    return Archive(tasks)


def _remarks(job: Job, start: Start, proposer: Proposer, best: Tensor) -> list[str]:
    """What a user should know about the race, the proposals and the best candidate, (n,)."""
    raced = start.remarks(job.pool.space.expert_names, job.plan.items)
    gamed = any(metric.gamed for metric in job.objectives.metrics.values())
    outer = outside(best) if gamed and job.plan.kind.linear else []
    return [*raced, *proposer.remarks, *outer]


@contextmanager
def proposer_of(job: Job, run: Journal, start: Start, checkpoint: str) -> Iterator[Proposer]:
    """The proposer that a job's `method` names, open in a context.

    Args:
        job: the search.
        run: store and history of the search.
        start: scores of the experts.
        checkpoint: name of the swarm's checkpoint.
    """
    config = job.plan.config
    if config.method == "swarm":
        from pyswarmopt_llm.searching.swarm import Dropout, SwarmProposer

        drops = Dropout(config.drop_k or 0.0, config.drop_n or 0.0, config.seed)
        saved = run.checkpoint(checkpoint)
        with released(optimizer(config, job.starts)) as moved:
            yield SwarmProposer(moved, drops, saved)
        return
    common: dict[str, Any] = {
        "starts": job.starts[list(start.numbers)],
        "numbers": start.numbers,
        "left_out": start.dropped,
        "experts": job.pool.space.expert_names,
        "tasks": job.objectives.names,
        "combine": job.objectives.combine,
        "most": 0 if start.decided else job.plan.proposals,
        "seed": config.seed,
        "at_once": job.plan.side_by_side,
        "floor": start.value,
    }
    if config.method == "items":
        from pyswarmopt_llm.searching.item_model import ItemModel

        yield ItemModel(**common)
    else:
        from pyswarmopt_llm.searching.score_model import ScoreModel

        noisy = config.temperature > 0
        yield ScoreModel(**common, noisy=noisy)


def outside(position: Tensor) -> list[str]:
    """How a mixture, (n,), differs from an average of the experts, in words; [] if it is one.

    Example:
        >>> outside(torch.tensor([0.25, 0.75]))
        []
        >>> outside(torch.tensor([1.5, -0.25]))
        ['the mixture is no average of the experts: its weights sum to 1.25, from -0.25 to 1.50']
    """
    total = float(position.sum())
    least = float(position.min())
    if least >= 0 and math.isclose(total, 1.0, abs_tol=1e-6):
        return []
    text = "the mixture is no average of the experts: its weights sum to"
    return [f"{text} {total:.2f}, from {least:.2f} to {float(position.max()):.2f}"]


def _tell_start(job: Job, run: Run, tell: OnEvent) -> None:
    """Describe the search, with what a user should know about it."""
    config = job.plan.config
    start = {
        "run": str(run.path),
        "experts": list(job.pool.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": config.population,
        "settings": asdict(config),
        "given": job.plan.given,
        "training": job.plan.training if job.plan.trains else "",
        "dev_items": job.plan.distinct("dev"),
        "dtype": str(job.engine.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "evaluations_planned": job.plan.evaluations,
        "passes": job.plan.passes,
    }
    tell(Event("start", start))
    for text in (*job.notes.values(), *price_in_requests(job)):
        tell(note(text))


def price_in_requests(job: Job) -> list[str]:
    """A line for each metric that costs money per request."""
    return [
        f"{name}: at most {requests:,} requests, one for each reply that differs"
        for name, requests in job.plan.requests.items()
    ]


def _tell_price(job: Job, first: Row, tell: OnEvent) -> None:
    """Report the greatest cost of the search, at the pace of the first evaluation."""
    item = first.seconds / first.n if first.n else 0.0
    on_dev = first.seconds * (job.plan.items / first.n if first.n else 1)
    taken = job.plan.seconds(on_dev, item * job.plan.test_items, item)
    bounded_by = "" if job.plan.config.budget_minutes else "budget_minutes"
    if job.plan.trains and not (job.objectives.written or job.plan.config.quick):
        bounded_by = "quick"
    passes = sum(job.plan.passes.values())
    tell(Event("price", {"passes": passes, "seconds": taken, "bounded_by": bounded_by}))


@dataclass
class Progress:
    """Reports rows and batches.

    Attributes:
        planned: evaluations if nothing stops the search early.
        tell: called with events.

    Example:
        >>> progress = Progress(4, lambda event: print(event.kind, event.data["best"], event.data["evaluations_left"]))
        >>> progress.on_row(Row("search", 0, 0, "k", [1.0], value=0.5, n=8, seconds=1.0, items={"t": "1"}))
        evaluation 0.5 3
    """

    planned: int
    tell: OnEvent
    _best: float = field(default=-math.inf, init=False)
    _keys: set[str] = field(default_factory=set, init=False)

    def on_row(self, row: Row, known: bool = False) -> None:
        """Report a row of the search, unless it is of another phase and was known before."""
        data = {name: getattr(row, name) for name in _SHOWN}
        if row.phase == "search":
            self._best = max(self._best, row.value)
            self._keys.add(row.key)
            kind = "replayed" if known else "evaluation"
            self.tell(Event(kind, {**data, "best": self._best, **self._so_far()}))
        elif not known:
            self.tell(Event("trial", data))

    def on_iteration(self, iteration: int) -> None:
        """Report an iteration, or a batch of proposals."""
        data = {"iteration": iteration, "best": self._best, **self._so_far()}
        self.tell(Event("iteration", data))

    def _so_far(self) -> dict[str, int]:
        done = len(self._keys)
        return {"evaluations": done, "evaluations_left": self.planned - done}


def choose_scorings(job: Job, run: Run, on_row: OnRow, tell: OnEvent) -> dict[str, Scoring]:
    """The scoring of each task; ``auto`` tries letters on the first experts, and reports it."""
    possible = {
        name: job.objectives.scorings(name, job.plan.config.scoring, job.engine.likelihoods)
        for name in job.tasks
    }
    scorings: dict[str, Scoring] = {name: allowed[0] for name, allowed in possible.items()}
    tried = [name for name, allowed in possible.items() if len(allowed) > 1]
    if not tried:
        return scorings
    trials = {name: trial_of(job.tasks[name], job.engine.chat) for name in tried}
    combine = find_combine("harmonic", len(trials))
    trial = Scorer(run, Evaluator(job.pool.space, job.engine, trials, combine), "letter", on_row)
    rows = trial.score(list(job.pool.space.vertices()[:TRIED]), 0)
    for name in tried:
        scores = [row.score(name) for row in rows]
        dev = job.tasks[name].dev
        scorings[name] = chosen = choose_scoring(possible[name], dev, scores.copy)
        same = one_letter(dev[: scores[0].n])
        tell(note(f"{name}: {letter_trial(scores, same, chosen)}"))
    return scorings


def letter_trial(scores: Sequence[Score], same: float, chosen: Scoring) -> str:
    """How well experts answer with an option's letter, and the scoring that follows from it.

    Args:
        scores: scores of each expert.
        same: accuracy of one letter for all examples.
        chosen: how answers are scored.

    Example:
        >>> from pyswarmopt_llm.common.statistics import score_of
        >>> letter_trial([score_of([1.0, 0.0, 0.0, 0.0])], 0.25, "likelihood").partition(". ")[2]
        'That is no better than guessing, so the probability of each option as the reply is compared'
    """
    best = max(score.value for score in scores)
    found = (
        f"asked for the letter of an option, the best of {counted(len(scores), 'expert')} has "
        f"{best:.3f} on {counted(scores[0].n, 'dev example')}, one letter for all {same:.3f}"
    )
    if chosen == "letter":
        return f"{found}. That is better than guessing, so letters are compared"
    how = "the probability of each option as the reply is compared"
    if chosen == "generate":
        how = "answers are written"
    return f"{found}. That is no better than guessing, so {how}"


def point_to_writing(job: Job, scorings: Mapping[str, Scoring], tell: OnEvent) -> None:
    """Say how a search for labels can find a result for a chat server, if no answer format was
    requested.
    """
    forms = [form_of(job.tasks[name]) for name, how in scorings.items() if how != "generate"]
    labels = any(form.choices for form in forms)
    if labels and job.plan.config.scoring == "auto" and job.plan.kind.library:
        tell(
            note(
                "the result will choose a label by its probability, which a chat in Ollama or vLLM "
                "cannot do; to serve it there, search with `scoring` generate"
            )
        )


def warn_of_useless_scores(
    job: Job, experts: Sequence[Row], scorings: Mapping[str, Scoring], tell: OnEvent
) -> None:
    """Warn if no expert is better than guessing, or all written replies score the same."""
    for name, task in job.tasks.items():
        metric = job.objectives.metrics[name]
        scores = [row.score(name) for row in experts]
        if metric.scoring == "generate":
            from pyswarmopt_llm.searching.written.equal_scores import warn_of_equal_scores

            warn_of_equal_scores(job, name, scores, scorings, tell)
        elif (
            option_counts(task.dev)
            and metric.name == "accuracy"
            and not beats_chance(task.dev, scores)
        ):
            best = max(score.value for score in scores)
            how = f"{scorings[name]} scoring (best {best:.3f})"
            tell(note(f"{name}: no expert is measurably better than guessing on dev with {how}"))
