"""The first stage of a search: candidates are scored on dev, and one of them is chosen.

An optimizer asks for positions, a scorer scores them, the optimizer is told. The experts may race:
they are scored on more and more items, and those that fall behind drop out. After each share of the
items one does if, on the items so far, it is behind the leader by more than `ERRORS` standard errors
of the paired differences, those of a sample without replacement: of all items but a few, little is
left that could turn it. A race is decided if one is left before all items are scored. Racing is due
to Maron & Moore 1994 ("Hoeffding races", NIPS 6), the paired test to Moore & Lee 1994 ("Efficient
algorithms for minimizing cross validation error", ICML).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.base.optimizer import Point
from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import Event, OnEvent, duration, not_held_out, note
from pyswarmopt_llm.common.interfaces import Patch, Space
from pyswarmopt_llm.common.optimizers import optimizer, play_round, released
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.scores.metrics.accuracy import (
    TRIED,
    beats_chance,
    choose_scoring,
    one_letter,
    option_counts,
)
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.plan import Budget, preset_text
from pyswarmopt_llm.searching.prepare import Contestant, Job, prepare
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Checkpoint, Run
from pyswarmopt_llm.searching.scoring.scorer import LETTERS, OnRow, Questions, Scorer, Share

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.leaders import Archive
    from pyswarmopt_llm.searching.surrogate import Surrogate


FIRST = 16  # items of the first share; each that follows is twice as large
ERRORS = 3.0
OnRound = Callable[[pso.Optimizer, int, float], None]
make_archive = lazy("pyswarmopt_llm.searching.leaders:Archive")
start_pools = lazy("pyswarmopt_llm.servers.workers.pool:Pools")
ScorerOn = Callable[[Questions], Scorer]  # makes the scorer of these questions
_PHASES = {LETTERS: "letter", "dev": "search"}  # in the history
_SHOWN = ("iteration", "particle", "value", "n", "seconds", "coefficients")
_TRIAL = ("phase", "particle", "value", "n", "seconds")


@dataclass
class Search:
    """One search over a space of experts.

    Attributes:
        space: what positions mean; its vertices are the experts.
        scorer: scores positions.
        optimizer: proposes positions, beginning with the experts.
        budget: ends the search.
        population: positions of a round at most; proposals are numbered from there.
        items: of a complete evaluation.
        seed: of the proposals.
        surrogate: proposes candidates when the optimizer has stopped, and chooses the best.
        dropout: leaves evaluations out.
        at_once: candidates that are scored side by side, and so proposed together.
        on_scored: called with each candidate of a round or proposal, (D,), and its row.
        on_round: called with the optimizer, the iteration and the best value after each round, and
            after the proposals.
        shares: of the items, of a race among the experts. Where it is decided, the experts that
            dropped out stay incomplete, the other starting points race against the winner, and
            nothing is proposed; else everything is as without it.
        decided: whether the race is decided, once the experts are scored.
        proposed: how many proposals were new, once it has `run`.
        over_budget: whether the budget ended the proposals.
    """

    space: Space
    scorer: Scorer
    optimizer: pso.Optimizer
    budget: Budget
    population: int
    items: int
    seed: int
    surrogate: Surrogate | None = None
    dropout: Dropout | None = None
    at_once: int = 1
    on_scored: Callable[[Tensor, Row], None] | None = None
    on_round: OnRound | None = None
    shares: Sequence[Share] = ()
    decided: bool = field(default=False, init=False)
    proposed: int = field(default=0, init=False)
    over_budget: bool = field(default=False, init=False)
    _floor: float = field(default=-math.inf, init=False)
    _iteration: int = field(default=0, init=False)

    def score_experts(self) -> Sequence[Row]:
        """Score the experts, complete but for those that drop out of a race that is decided; call
        it before `run`.
        """
        vertices = list(self.space.vertices())
        rows, racing = self._raced(vertices)
        self.decided = len(racing) == 1 and bool(rows)
        everyone = range(len(vertices))
        rows |= self._of(vertices, racing if self.decided else everyone)
        experts = [rows[number] for number in everyone]
        self._learn(vertices, experts)
        self._floor = max((row.value for row in experts if row.complete), default=-math.inf)
        return experts

    def _raced(self, positions: Sequence[Tensor]) -> tuple[dict[int, Row], list[int]]:
        """Number -> row of what takes part in a race, and the numbers of those still in it at the
        end.
        """
        rows, racing = dict[int, Row](), list(range(len(positions)))
        for share in self.shares:
            rows |= self._of(positions, racing, share)
            racing = survivors({number: rows[number] for number in racing}, share)
            if len(racing) == 1:
                break
        return rows, racing

    def _of(
        self, positions: Sequence[Tensor], numbers: Sequence[int], share: Share | None = None
    ) -> dict[int, Row]:
        """Number -> row of the positions with these numbers."""
        chosen = [positions[number] for number in numbers]
        rows = self.scorer.score(chosen, self._iteration, numbers, share)
        return dict(zip(numbers, rows, strict=True))

    def run(self) -> dict[str, float]:
        """Search until the optimizer or the budget ends it, then score the surrogate's proposals.

        Returns:
            The reasons.
        """
        reasons: dict[str, float] = {}
        total = 0
        while not reasons:
            play_round(self.optimizer, self._round)
            self._tell(self.optimizer.best.value)
            before, total = total, self.scorer.item_evaluations
            more = total - before + self.budget.kept_items  # another iteration like the latest
            reasons = {
                **self.optimizer.stop(),
                **self.budget.exceeded(total, self.scorer.seconds, more),
            }
            self._iteration += 1
        if self.surrogate is not None and not self.decided:
            self._score_proposals(self.surrogate)
        return reasons

    def best(self) -> Point:
        """Return what to hand over: the surrogate's choice, never below the best expert, or the
        best.
        """
        choice = None if self.surrogate is None else self.surrogate.choice(self._floor)
        if choice is None:
            return self.optimizer.best
        position = choice.to(self.optimizer.best.x)
        (row,) = self.scorer.score([position], 0)
        return Point(position, row.value)

    def _round(self, positions: Tensor) -> list[float | None]:
        """Values of the positions of a round, (N, D); None where they are left out."""
        candidates = list(positions)
        rows, numbers = dict[int, Row](), list(range(len(candidates)))
        if self.decided and not self._iteration:
            rows, numbers = self._raced(candidates)
        elif self.dropout is not None:
            dropped = self.dropout.dropped(self._iteration, len(candidates))
            numbers = np.flatnonzero(~dropped).tolist()
        rows |= self._of(candidates, numbers)
        self._take_in([candidates[number] for number in rows], list(rows.values()))
        return [rows[n].value if n in rows else None for n in range(len(candidates))]

    def _take_in(self, positions: Sequence[Tensor], rows: Sequence[Row]) -> None:
        if self.on_scored is not None:
            for position, row in zip(positions, rows, strict=True):
                self.on_scored(position, row)
        self._learn(positions, rows)

    def _learn(self, positions: Sequence[Tensor], rows: Sequence[Row]) -> None:
        if self.surrogate is not None:
            for position, row in zip(positions, rows, strict=True):
                self.surrogate.tell(position, row)

    def _score_proposals(self, surrogate: Surrogate) -> None:
        """Score the surrogate's proposals, as far as the budget goes.

        In the history they are one more iteration, of particles numbered after those of the swarm;
        views of a search do not count it.
        """
        scorer = self.scorer
        values, spent = [], scorer.item_evaluations
        number = self.population
        for batch in surrogate.propose(self.seed, self.at_once):
            more = len(batch) * self.items
            if self.budget.exceeded(scorer.item_evaluations, scorer.seconds, more):
                self.over_budget = True
                break
            before = scorer.evaluations
            rows = scorer.score(batch, self._iteration, range(number, number + len(batch)))
            self._take_in(batch, rows)
            values += [row.value for row in rows]
            self.proposed += scorer.evaluations - before
            number += len(batch)
        if scorer.item_evaluations > spent:
            self._tell(max(values))

    def _tell(self, best: float) -> None:
        if self.on_round is not None:
            self.on_round(self.optimizer, self._iteration, best)


def draw_shares(items: Mapping[str, int], seed: int) -> list[Share]:
    """The shares of the items after which candidates may drop out, each with the one before it.

    Args:
        items: task name -> number of its items. Of several tasks each share has the same part.
        seed: of the items' order.

    Returns:
        The shares, none where there are few items.

    Example:
        >>> shares = draw_shares({"a": 40, "b": 20}, seed=0)
        >>> [{name: int(chosen.sum()) for name, chosen in share.items()} for share in shares]
        [{'a': 11, 'b': 6}, {'a': 22, 'b': 11}]
    """
    draws = np.random.default_rng([seed, 7])
    ranks = {name: np.argsort(draws.permutation(count)) for name, count in items.items()}
    shares, part = list[Share](), FIRST / sum(items.values())
    while part <= 2 / 3:  # else hardly less than all
        shares.append({n: rank < math.ceil(part * rank.size) for n, rank in ranks.items()})
        part *= 2
    return shares


def survivors(rows: Mapping[int, Row], share: Share) -> list[int]:
    """The numbers of the candidates that go on after a share, of those with these rows."""
    values = {
        number: np.concatenate([np.array(row.item_values(name))[share[name]] for name in share])
        for number, row in rows.items()
    }
    leader = max(values.values(), key=lambda own: float(own.mean()))
    total = sum(chosen.size for chosen in share.values())
    return [number for number, own in values.items() if not eliminated(own, leader, total)]


def eliminated(
    values: npt.NDArray[np.float64], leader: npt.NDArray[np.float64], total: int
) -> bool:
    """Whether a candidate is so far behind the leader that it drops out.

    One more item, of the largest difference, keeps few items that agree from deciding.

    Args:
        values: of the items so far, (n,).
        leader: the leader's values of the same items.
        total: number of all items.

    Example:
        >>> ones, half = np.ones(16), np.repeat([0.0, 1.0], 8)
        >>> eliminated(half, ones, 100), eliminated(ones, half, 100), eliminated(half, ones[::-1] * half, 16)
        (True, False, False)
    """
    difference = leader - values
    n = difference.size
    variance = (((difference - difference.mean()) ** 2).sum() + 1.0) / (n + 1)
    error = math.sqrt(variance / n * max(1 - n / total, 0.0))
    return bool(difference.mean() > ERRORS * error)


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
    several = on_server or not job.workers.alone
    pools = start_pools(job, run, prepare) if several else None
    memory = 0
    try:
        scorer_on = partial(_scorer_on, job, run, progress.on_row, pools)
        with released(optimizer(job.config, job.starts)) as swarm:
            found = _found(job, run, swarm, scorer_on, progress, tell)
    finally:
        memory = 0 if pools is None else pools.close()
    return replace(found, memory=memory)


def _scorer_on(job: Job, run: Run, on_row: OnRow, pools: Any, questions: Questions) -> Scorer:
    """Scores positions on these questions, with the run's store and history, by its workers if it
    has any.
    """
    evaluator = job.evaluator(questions)
    crew = None if pools is None else pools.on(evaluator, questions)
    return Scorer(run, evaluator, _PHASES[questions.split], on_row, crew)


def _found(
    job: Job, run: Run, swarm: pso.Optimizer, scorer_on: ScorerOn, progress: Progress, tell: OnEvent
) -> Found:
    """Run the search with this optimizer."""
    scorings = choose_scorings(job, scorer_on, tell)
    scorer = scorer_on(Questions("dev", tuple(scorings.items())))
    surrogate = _surrogate(job, run)
    archive = make_archive(job.objectives.names) if len(job.objectives.names) > 1 else None
    drops = (job.config.drop_k or 0.0, job.config.drop_n or 0.0)
    # the experts race where a model of the items is to propose mixtures of them
    races = job.config.surrogate is not None or job.config.quick
    shares = draw_shares(job.objectives.items, job.config.seed) if races else []
    search = Search(
        job.space,
        scorer,
        swarm,
        job.budget,
        population=job.config.population,
        items=job.items,
        seed=job.config.seed,
        surrogate=surrogate,
        dropout=Dropout(*drops, job.config.seed) if any(drops) else None,
        at_once=job.workers.side_by_side,
        on_scored=None if archive is None else archive.add,
        on_round=progress.on_round,
        shares=shares,
    )
    # what the first expert takes, of a race on its first items, tells the pace
    (first,) = scorer.score(list(job.space.vertices()[:1]), 0, share=next(iter(shares), None))
    _tell_price(job, first, tell)
    experts = search.score_experts()
    single = best_expert(job, experts)
    if search.decided:
        progress.planned -= job.proposals
        tell(note(_decided(job, experts, single)))
    warn_of_useless_scores(job, experts, scorings, tell)
    reasons = search.run()
    if surrogate is not None and surrogate.left_out:
        names = ", ".join(job.space.expert_names[number] for number in surrogate.left_out)
        tell(note(f"{names}: clearly worse than the base, and so in no proposed mixture"))
    best = search.best()
    return Found(
        chosen=Contestant(best.x, value=best.value),
        archive=archive,
        experts=experts,
        single=single,
        scorings=scorings,
        stop=_stop(job, search, reasons),
        scorer=scorer,
    )


def _stop(job: Job, search: Search, reasons: Mapping[str, float]) -> Mapping[str, float]:
    """Why the search ended, as ``stop`` of ``result.json`` has it."""
    limits = job.config.limits
    if "proposals" not in limits:
        return reasons
    if search.over_budget:
        return {name: limit for name, limit in limits.items() if name.startswith("budget")}
    return {"proposals": search.proposed}


def best_expert(job: Job, rows: Sequence[Row]) -> int:
    """The number of the best expert on dev, of those that did not drop out of a race."""
    most = max(scored_items(row) for row in rows)
    values = {n: job.total(r).value for n, r in enumerate(rows) if scored_items(r) == most}
    return max(values, key=lambda number: values[number])


def scored_items(row: Row) -> int:
    """Items of all tasks that were scored."""
    return sum(not math.isnan(value) for task in row.items for value in row.item_values(task))


def _tell_start(job: Job, run: Run, tell: OnEvent) -> None:
    """Say what is searched, and what a user should know of it."""
    # of a resumed run that which it began with
    config = replace(job.config, preset=run.about.config.preset)
    start = {
        "run": str(run.path),
        "experts": list(job.space.expert_names),
        "tasks": list(job.objectives.names),
        "particles": config.population,
        "limits": config.limits,
        "dev_items": job.distinct("dev"),
        "scoring": config.scoring,
        "dtype": str(job.engine.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "evaluations_planned": job.evaluations,
        "passes": job.passes,
        "workers": config.workers,
    }
    tell(Event("start", start))
    notes = [preset_text(config, job.given, job.training), *job.notes.values()]
    externals = job.objectives.externals.items()
    notes += [not_held_out(name) for name, external in externals if not external.has_test]
    if config.particles is not None and config.population > config.particles:
        begins = f"the search begins at all {len(config.experts)} experts"
        begins += ", the base, their average and their sum" if config.start == "even" else ""
        notes.append(
            f"`particles` {config.particles}: raised to {config.population}, since {begins}"
        )
    for text in notes:
        tell(note(text))


def _tell_price(job: Job, first: Row, tell: OnEvent) -> None:
    """Say what all of a search takes at most, at the pace of the first evaluation."""
    item = first.seconds / first.n if first.n else 0.0
    on_dev = first.seconds * (job.items / first.n if first.n else 1)
    taken = job.seconds(on_dev, item * job.test_items, item)
    passes = sum(job.passes.values())
    price = f"at most {passes:,} passes of an example, " if passes else ""
    price += f"about {duration(sum(taken.values()))} at the pace of the first: "
    price += ", ".join(
        f"{name.replace('rivals', 'baselines')} {duration(spent)}"
        for name, spent in taken.items()
        if spent
    )
    if job.trains and not (job.objectives.written or job.config.quick):
        price += " (`quick` fine-tunes the best start and no more)"
    elif job.config.budget_minutes is None:
        price += " (`budget_minutes` M bounds the search)"
    tell(note(price))


def _surrogate(job: Job, run: Run) -> Surrogate | None:
    """The model that proposes candidates, if one does."""
    if not job.proposals:
        return None
    from pyswarmopt_llm.searching.surrogate import Surrogate

    return Surrogate(
        job.config.surrogate or "scores",
        job.objectives.names,
        job.objectives.combine,
        job.proposals,
        choosy=job.choosy,
        # the noise with which the run began: another measurement gives another number
        noisy=run.about.noise > 0 or job.config.temperature > 0,
    )


def _decided(job: Job, experts: Sequence[Row], single: int) -> str:
    """The outcome of the race, where it is decided, in words."""
    *_, latest, _winner = sorted(map(scored_items, experts))
    return (
        f"{job.space.expert_names[single]} is ahead of every other expert by more than three "
        f"standard errors, after {latest} of {job.items} dev examples at the latest: they drop "
        "out, and no mixture is proposed"
    )


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
        if row.phase == "search":
            self._best = max(self._best, row.value)
            self._keys.add(row.key)
            shown = {name: getattr(row, name) for name in _SHOWN}
            kind = "replayed" if known else "evaluation"
            self.tell(Event(kind, {**shown, "best": self._best, **self._so_far()}))
        elif not known:
            self.tell(Event("trial", {name: getattr(row, name) for name in _TRIAL}))

    def on_round(self, optimizer: pso.Optimizer, iteration: int, best: float) -> None:
        """Save the swarm, and tell of a round."""
        if self.saved is not None:
            self.saved.keep(optimizer)
        self.tell(Event("iteration", {"iteration": iteration, "best": best, **self._so_far()}))

    def _so_far(self) -> dict[str, int]:
        done = len(self._keys)
        return {"evaluations": done, "evaluations_left": self.planned - done}


def choose_scorings(job: Job, scorer_on: ScorerOn, tell: OnEvent) -> dict[str, Scoring]:
    """The scoring of each task; ``auto`` tries the first experts on letters, and tells of it."""
    possible = {
        name: job.objectives.scorings(name, job.config.scoring, job.engine.likelihoods)
        for name in job.tasks
    }
    scorings: dict[str, Scoring] = {name: allowed[0] for name, allowed in possible.items()}
    tried = [name for name, allowed in possible.items() if len(allowed) > 1]
    if not tried:
        return scorings
    trial = scorer_on(Questions(LETTERS, tuple((name, "letter") for name in tried)))
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
    """Warn where no expert is better than guessing, and where a score of written replies is the
    same for all experts and the base, on every dev prompt.
    """
    for name, task in job.tasks.items():
        metric, scores = job.objectives.metrics[name], [row.score(name) for row in experts]
        best = max(score.value for score in scores)
        if metric.name == "accuracy" and option_counts(task.dev):
            if not beats_chance(task.dev, scores):
                how = f"{scorings[name]} scoring (best {best:.3f})"
                tell(
                    note(f"{name}: no expert is measurably better than guessing on dev with {how}")
                )
        elif metric.scoring == "generate" and len({score.per_item for score in scores}) == 1:
            who = "every expert"
            if not job.kind.several_models:
                job.engine.load(Patch())
                base = job.utilities("dev", scorings)[name](job.engine)
                if base.per_item != scores[0].per_item:
                    continue
                who += " and the base"
            tell(
                note(
                    f"{name}: the score of {who} is {best:.3f}, the same on each of the "
                    f"{len(task.dev)} dev prompts; a search cannot tell candidates apart by it"
                )
            )


class Dropout:
    """Leaves evaluations out at random: Drop-K a whole iteration, Drop-N a single candidate.

    The particles move on all the same. The starting swarm is always evaluated. The draws are its
    own, so that the same seed moves the swarm by the same random numbers with and without it.

    Args:
        drop_k: probability that a whole iteration is left out.
        drop_n: probability that a single candidate is left out.
        seed: of the search.

    Example:
        >>> dropout = Dropout(0.0, 0.5, seed=0)
        >>> dropout.dropped(0, 4).tolist(), dropout.dropped(1, 4).tolist()
        ([False, False, False, False], [False, False, False, True])
    """

    def __init__(self, drop_k: float, drop_n: float, seed: int) -> None:
        self._whole, self._single = drop_k, drop_n
        self._random = np.random.default_rng([seed, 1])

    def dropped(self, iteration: int, particles: int) -> npt.NDArray[np.bool_]:
        """(N,) mask of the particles that are not evaluated."""
        if iteration == 0:
            return np.zeros(particles, dtype=np.bool_)
        whole = self._random.random() < self._whole
        return (self._random.random(particles) < self._single) | whole
