"""The first stage of a search: candidates are scored on dev, and one of them is chosen.

An optimizer asks for positions, a scorer scores them, the optimizer is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.base.optimizer import Point
from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import Event, OnEvent, not_held_out, note
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.common.optimizers import optimizer, play_round, released
from pyswarmopt_llm.common.registry import lazy
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
from pyswarmopt_llm.searching.plan import Budget
from pyswarmopt_llm.searching.prepare import Contestant, Job, prepare
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Checkpoint, Run
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, OnRow, Questions, Scorer, Share

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.dropout import Dropout
    from pyswarmopt_llm.searching.leaders import Archive


OnRound = Callable[[pso.Optimizer, int, float], None]
make_archive = lazy("pyswarmopt_llm.searching.leaders:Archive")
make_dropout = lazy("pyswarmopt_llm.searching.dropout:Dropout")
proposing_search = lazy("pyswarmopt_llm.searching.proposals:proposing_search")
warn_of_equal_scores = lazy("pyswarmopt_llm.searching.written.equal_scores:warn_of_equal_scores")
start_pools = lazy("pyswarmopt_llm.servers.workers.pool:Pools")
_SHOWN = ("phase", "iteration", "particle", "value", "n", "seconds", "coefficients")


@dataclass
class Search:
    """One search over a space of experts.

    Attributes:
        space: what positions mean; its vertices are the experts.
        scorer: scores positions.
        optimizer: proposes positions, beginning with the experts.
        budget: ends the search.
        dropout: leaves evaluations out.
        archive: remembers what was scored, of several tasks.
        on_round: called with the optimizer, the iteration and the best value after each round.
        shares: of the items, of a race among the experts. Where it is decided, the experts that
            dropped out stay incomplete, the other starting points race against the winner, and
            nothing is proposed; else everything is as without it.
        decided: whether the race is decided, once the experts are scored.
        iteration: the rounds so far.
        remarks: what a user should know of it.
    """

    space: Space
    scorer: Scorer
    optimizer: pso.Optimizer
    budget: Budget
    dropout: Dropout | None = None
    archive: Archive | None = None
    on_round: OnRound = lambda optimizer, iteration, best: None
    shares: Sequence[Share] = ()
    decided: bool = field(default=False, init=False)
    iteration: int = field(default=0, init=False)
    remarks: list[str] = field(default_factory=list, init=False)

    def score(self, positions: Mapping[int, Tensor], share: Share | None = None) -> dict[int, Row]:
        """Number -> row of the positions with these numbers, on all items or a share of them."""
        asked = list(positions.values())
        scored = self.scorer.score(asked, self.iteration, list(positions), share)
        if self.archive is not None:
            for position, row in zip(asked, scored, strict=True):
                self.archive.add(position, row)
        return dict(zip(positions, scored, strict=True))

    def score_experts(self) -> list[Row]:
        """Score the experts; call it before `run`."""
        return list(self.score(dict(enumerate(self.space.vertices()))).values())

    def run(self) -> dict[str, float]:
        """Search until the optimizer or the budget ends it.

        Returns:
            The reasons.
        """
        reasons: dict[str, float] = {}
        total = 0
        while not reasons:
            play_round(self.optimizer, self.values)
            self.on_round(self.optimizer, self.iteration, self.optimizer.best.value)
            before, total = total, self.scorer.item_evaluations
            more = total - before + self.budget.kept_items  # another iteration like the latest
            reasons = {
                **self.optimizer.stop(),
                **self.budget.exceeded(total, self.scorer.seconds, more),
            }
            self.iteration += 1
        return reasons

    def best(self) -> Point:
        """Return what to hand over."""
        return self.optimizer.best

    def values(self, positions: Tensor) -> list[float | None]:
        """Values of the positions of a round, (N, D); None where they are left out."""
        candidates = dict(enumerate(positions))
        if self.dropout is not None:
            dropped = self.dropout.dropped(self.iteration, len(candidates))
            candidates = {n: x for n, x in candidates.items() if not dropped[n]}
        rows = self.score(candidates)
        return [rows[n].value if n in rows else None for n in range(len(positions))]


@dataclass(frozen=True)
class Found:
    """Result of a search on dev.

    Attributes:
        chosen: the model that is handed over, unless training changes it.
        archive: candidates that were scored in full, of several tasks.
        experts: a row for each expert.
        single: the number of the best of these.
        scorings: how each task is scored.
        stop: reasons, as in ``result.json``.
        scorer: of dev; its workers have ended.
        memory: bytes that workers took.
    """

    chosen: Contestant
    archive: Archive | None
    experts: Sequence[Row]
    single: int
    scorings: Mapping[str, Scoring]
    stop: Mapping[str, Any]
    scorer: Scorer
    memory: int = 0


def explore(job: Job, run: Run, tell: OnEvent, checkpoint: str = "swarm") -> Found:
    """Score experts, candidates and proposals, and choose one.

    Args:
        job: what the search works with.
        run: its directory, locked.
        tell: called with progress.
        checkpoint: name of the swarm's state.
    """
    _tell_start(job, run, tell)
    saved = Checkpoint(run.path / "checkpoint" / f"{checkpoint}.npz")
    progress = Progress(job.evaluations, tell, saved)
    # a user's function may bear one thread only
    on_server = job.config.served and not job.objectives.user_scored
    several = on_server or not job.alone
    pools = start_pools(job, run, prepare) if several else None
    memory = 0
    try:
        scorings = choose_scorings(job, run, progress.on_row, tell)
        questions = Questions("dev", tuple(scorings.items()))
        evaluator = job.evaluator(questions)
        crew = None if pools is None else pools.on(evaluator, questions)
        scorer = Scorer(run, evaluator, on_row=progress.on_row, crew=crew)
        with released(optimizer(job.config, job.starts)) as swarm:
            found = _found(job, run, swarm, scorer, scorings, progress, tell)
    finally:
        memory = 0 if pools is None else pools.close()
    return replace(found, memory=memory)


def _found(
    job: Job,
    run: Run,
    swarm: pso.Optimizer,
    scorer: Scorer,
    scorings: Mapping[str, Scoring],
    progress: Progress,
    tell: OnEvent,
) -> Found:
    """Run the search with this optimizer."""
    archive = make_archive(job.objectives.names) if len(job.objectives.names) > 1 else None
    drops = (job.config.drop_k or 0.0, job.config.drop_n or 0.0)
    dropout = make_dropout(*drops, job.config.seed) if any(drops) else None
    search = Search(job.space, scorer, swarm, job.budget, dropout, archive, progress.on_round)
    if job.proposals or job.config.surrogate or job.config.quick:
        search = proposing_search(job, run, search)
    # what the first expert takes, of a race on its first items, tells the pace
    first_share = next(iter(search.shares), None)
    (first,) = scorer.score(list(job.space.vertices()[:1]), 0, share=first_share)
    _tell_price(job, first, tell)
    experts = search.score_experts()
    complete = [number for number, row in enumerate(experts) if row.complete]
    single = max(complete, key=lambda number: experts[number].value)
    progress.planned -= job.proposals if search.decided else 0
    warn_of_useless_scores(job, experts, scorings, tell)
    stop = search.run()
    for text in search.remarks:
        tell(note(text))
    best = search.best()
    return Found(
        chosen=Contestant(best.x, value=best.value),
        archive=archive,
        experts=experts,
        single=single,
        scorings=scorings,
        stop=stop,
        scorer=scorer,
    )


def _tell_start(job: Job, run: Run, tell: OnEvent) -> None:
    """Say what is searched, and what a user should know of it."""
    # of a resumed run that which it began with
    config = replace(job.config, preset=run.about.config.preset)
    start = {
        "run": str(run.path),
        "experts": list(job.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": config.population,
        "settings": asdict(config),
        "given": job.given,
        "training": job.training if job.trains else "",
        "dev_items": job.distinct("dev"),
        "dtype": str(job.engine.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "evaluations_planned": job.evaluations,
        "passes": job.passes,
    }
    tell(Event("start", start))
    externals = job.objectives.externals.items()
    not_tested = [not_held_out(name) for name, external in externals if not external.has_test]
    for text in (*job.notes.values(), *not_tested):
        tell(note(text))


def _tell_price(job: Job, first: Row, tell: OnEvent) -> None:
    """Say what all of a search takes at most, at the pace of the first evaluation."""
    item = first.seconds / first.n if first.n else 0.0
    on_dev = first.seconds * (job.items / first.n if first.n else 1)
    taken = job.seconds(on_dev, item * job.test_items, item)
    bounded_by = "" if job.config.budget_minutes else "budget_minutes"
    if job.trains and not (job.objectives.written or job.config.quick):
        bounded_by = "quick"
    passes = sum(job.passes.values())
    tell(Event("price", {"passes": passes, "seconds": taken, "bounded_by": bounded_by}))


@dataclass
class Progress:
    """Tells of rows and rounds, and saves the swarm.

    Attributes:
        planned: evaluations if nothing stops the search early.
        tell: called with events.
        saved: the swarm's state; None: it is not kept.

    Example:
        >>> progress = Progress(4, lambda event: print(event.kind, event.data["best"], event.data["evaluations_left"]))
        >>> progress.on_row(Row("search", 0, 0, "k", [1.0], value=0.5, n=8, seconds=1.0, items={"t": "1"}))
        evaluation 0.5 3
    """

    planned: int
    tell: OnEvent
    saved: Checkpoint | None = None
    _best: float = field(default=-math.inf, init=False)
    _keys: set[str] = field(default_factory=set, init=False)

    def on_row(self, row: Row, known: bool = False) -> None:
        """Tell of a row of the search, unless it is of another phase and was known before."""
        data = {name: getattr(row, name) for name in _SHOWN}
        if row.phase == "search":
            self._best = max(self._best, row.value)
            self._keys.add(row.key)
            kind = "replayed" if known else "evaluation"
            self.tell(Event(kind, {**data, "best": self._best, **self._so_far()}))
        elif not known:
            self.tell(Event("trial", data))

    def on_round(self, optimizer: pso.Optimizer, iteration: int, best: float) -> None:
        """Save the swarm, and tell of a round."""
        if self.saved is not None:
            self.saved.keep(optimizer)
        self.tell(Event("iteration", {"iteration": iteration, "best": best, **self._so_far()}))

    def _so_far(self) -> dict[str, int]:
        done = len(self._keys)
        return {"evaluations": done, "evaluations_left": self.planned - done}


def choose_scorings(job: Job, run: Run, on_row: OnRow, tell: OnEvent) -> dict[str, Scoring]:
    """The scoring of each task; ``auto`` tries the first experts on letters, and tells of it."""
    possible = {
        name: job.objectives.scorings(name, job.config.scoring, job.engine.likelihoods)
        for name in job.tasks
    }
    scorings: dict[str, Scoring] = {name: allowed[0] for name, allowed in possible.items()}
    tried = [name for name, allowed in possible.items() if len(allowed) > 1]
    if not tried:
        return scorings
    trials = {name: trial_of(job.tasks[name], job.engine.chat) for name in tried}
    combine = find_combine("harmonic", len(trials))
    trial = Scorer(run, Evaluator(job.space, job.engine, trials, combine), "letter", on_row)
    rows = trial.score(list(job.space.vertices()[:TRIED]), 0)
    for name in tried:
        scores, dev = [row.score(name) for row in rows], job.tasks[name].dev
        scorings[name] = chosen = choose_scoring(possible[name], dev, scores.copy)
        best = max(score.value for score in scores)
        tell(
            note(
                f"{name}: with option letters the best of {counted(len(rows), 'expert')} reaches "
                f"{best:.3f} on {counted(scores[0].n, 'dev example')}, one letter for all "
                f"{one_letter(dev[: scores[0].n]):.3f}: "
                f"{'above' if chosen == 'letter' else 'within'} chance, so scoring is {chosen}"
            )
        )
    return scorings


def warn_of_useless_scores(
    job: Job, experts: Sequence[Row], scorings: Mapping[str, Scoring], tell: OnEvent
) -> None:
    """Warn where no expert is better than guessing, or all written replies score the same."""
    for name, task in job.tasks.items():
        metric, scores = job.objectives.metrics[name], [row.score(name) for row in experts]
        if metric.scoring == "generate":
            warn_of_equal_scores(job, name, scores, scorings, tell)
        elif (
            option_counts(task.dev)
            and metric.name == "accuracy"
            and not beats_chance(task.dev, scores)
        ):
            best = max(score.value for score in scores)
            how = f"{scorings[name]} scoring (best {best:.3f})"
            tell(note(f"{name}: no expert is measurably better than guessing on dev with {how}"))
