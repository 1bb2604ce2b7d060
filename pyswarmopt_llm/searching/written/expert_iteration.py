"""Expert iteration: train a mixture on the best of its replies, which have scores but no labels.

Anthony, Tian & Barber 2017, arXiv 1705.08439; with language models RAFT (Dong et al. 2023, arXiv
2304.06767) and ReST (Gulcehre et al. 2023, arXiv 2308.08998).

Two models are trained, each on its own replies: the mixture, and the base alone. The better one on
dev is the result. A LoRA on a mixture cannot learn from replies that the mixture never writes; the
base may write them (research/notes/written-answers.md).

In a round the latest model samples several replies to each prompt; before the mixture's first
round, other mixtures of the search that are right where this one is wrong write one each. A
prompt's best reply so far is kept if it beats the reply of the base or the mixture. A new LoRA on
the mixture or the base is trained on the kept replies. Replies to dev prompts measure a round.
Training uses replies to spare prompts; if there are too few, replies to dev prompts, with
cross-fitting: a model answers only prompts it was not trained on, including when the next round
is sampled.

The other mixtures, the teachers, know what the best one does not. A search scores dozens of them,
which are right on different prompts. A few together answer far more prompts well than the best one
alone, even with several samples (measured in research/notes/written-answers.md).

The replies are in the run's store (`reply_log`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.config import LEAST_TRAINED
from pyswarmopt_llm.common.events import note
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.scores.choices import FULL, Choices
from pyswarmopt_llm.scores.metrics.metric import Written
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.find import Found, Trained
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scoring.record import TRAINED, Row, Store
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.train import BASE, Fitting, Meter, announce, not_worse
from pyswarmopt_llm.searching.written.reply_log import (
    Answerer,
    Replies,
    ReplyLog,
    best_replies,
    gains,
)
from pyswarmopt_llm.searching.written.samples import BARE, ON_SPARE, ROUNDS, TEACHERS, samples_of

START = "start"  # name of the mixture in the store; the base has its own name
REPLIES = "replies"  # name in the store, on dev
SPARE = "spare"  # and on spare prompts


def train_on_replies(job: Job, run: Run, found: Found) -> Trained:
    """Train the base and the mixture, each on the best of its replies, round by round; nothing if
    both have too few.
    """
    mixture = found.chosen.position
    starts = {BASE: torch.zeros_like(mixture)}
    if mixture.any():
        starts[START] = mixture
    folder = run.path / TRAINED
    if not folder.exists():
        announce(job, starts)
    iteration = ExpertIteration(job, found.scorings, run.store, folder)
    outcomes = _iterated(job, found, iteration, starts)
    if not outcomes:
        return Trained(found.chosen)
    rows = {}
    trained = {}
    for name, rounds in outcomes.items():
        best = best_round(rounds)
        rows[name] = found.scorer.trained(starts[name], partial(replace, best.row))
        trained[name] = Contestant(starts[name], best.model.patch, True, rows[name])
    own = max(reversed(rows), key=lambda name: rows[name].value)  # the mixture wins a tie
    (row,) = found.scorer.score([mixture], 0)
    kept = not_worse(job.total(rows[own]), job.total(row))
    plain = iteration.measured(Answerer(BASE, Patch())).row
    base = Contestant(starts[BASE], Patch(), dev=plain)
    before = base
    if not kept or own == START:
        before = replace(found.chosen, dev=row)
    models = {"mixture": before, "trained": trained[own], "base": base}
    if BASE in trained:
        models[f"{BASE}_tuned"] = trained[BASE]
    result = trained[own] if kept else before
    use = {"rounds": len(outcomes[own]), "replies": iteration.count}
    return Trained(result, models, iteration.passes, use)


def _iterated(
    job: Job, found: Found, iteration: ExpertIteration, starts: Mapping[str, Tensor]
) -> dict[str, list[Round]]:
    """Train one start after the other; the rounds of those with any."""
    outcomes: dict[str, list[Round]] = {}
    for name, position in starts.items():
        teachers: Sequence[Tensor] = ()
        if name == START:
            teachers = complementary(found.scorer.rows, position, job.objectives.names)
        rounds = iteration.run(name, position, teachers)
        if rounds:
            outcomes[name] = rounds
    return outcomes


@dataclass(frozen=True)
class Round:
    """The outcome of a round.

    Attributes:
        model: the trained model; each fold's prompts are answered by the model trained without
            them. Its name, also of its folder, is ``round-N``, the base's ``base-round-N``.
        replies: greedy replies to the dev prompts.
        row: their scores.
    """

    model: Answerer
    replies: Replies
    row: Row


class ExpertIteration:
    """Trains models on the best of their replies, round by round. Work in store and folder is
    reused.

    Args:
        job: search whose tasks have written replies.
        scorings: how each task is scored.
        store: keeps replies and their scores.
        folder: keeps the LoRAs of each round, see `Round`.
        samples: replies to a prompt in a round; None: see `samples_of`.

    Attributes:
        dev: replies to dev prompts, which measure models.
        log: replies to the training prompts; the same as `dev` unless there are spare prompts.
        schedule: schedule of training on replies.
    """

    def __init__(
        self,
        job: Job,
        scorings: Mapping[str, Scoring],
        store: Store,
        folder: Path,
        samples: int | None = None,
    ) -> None:
        self._job = job
        self._folder = folder
        self.dev = self.log = _log_of(job, "dev", scorings, store, REPLIES)
        self.schedule = FULL
        if job.objectives.spare:
            self.log = _log_of(job, "spare", scorings, store, SPARE)
            self.schedule = ON_SPARE
        self._logs = {self.dev, self.log}
        most = 2 * ROUNDS * self.schedule.passes(job.plan.trained_items)  # for two models
        self._meter = Meter(most, job.tell)
        self._samples = samples or samples_of(len(self.log.prompts), len(self.dev.prompts))

    def run(self, start: str, position: Tensor, teachers: Sequence[Tensor] = ()) -> list[Round]:
        """Train a model round by round, while the gain on dev exceeds a standard error.

        A reply is used if it beats the worse of the base's and the start's. The first round is
        always followed by a second: it is compared with a mixture chosen on the same prompts, whose
        score is optimistic.

        Args:
            start: name of the model, `START` or `BASE`.
            position: a mixture, an expert, or the base (all 0).
            teachers: positions of other mixtures; each replaces one sample in the first round.

        Returns:
            The rounds; none if too few replies were kept.
        """
        tell = self._job.tell
        first = Answerer(start, self._job.pool.space.realise(position))
        replies = [self.log.greedy(Answerer(BASE, Patch())), self.log.greedy(first)]
        floor = np.minimum(replies[0].values, replies[1].values)
        rounds = [self.measured(first)]
        for number in range(1, ROUNDS + 1):
            name = f"round-{number}"
            if start != START:
                name = f"{start}-{name}"
            replies += self._written(rounds[-1], teachers)
            teachers = ()
            items = self.log.training_items(replies, best_replies(replies, floor))
            found = f"{name}: {len(items)} of {len(floor)} prompts have a better reply"
            if len({self.log.prompts[prompt] for prompt in items}) < LEAST_TRAINED:
                tell(note(f"{found}, too few to train on"))
                break
            model = self._trained(name, first.patch, items)
            before = rounds[-1]
            after = self.measured(model)
            rounds.append(after)
            if self.log is self.dev:
                replies.append(after.replies)
            gain = f"from {before.row.value:.3f} to {after.row.value:.3f}"
            tell(note(f"{found} than before; training on them changes the dev score {gain}"))
            if number > 1 and not gains(before.replies, after.replies):
                break
        return rounds[1:]

    def _written(self, latest: Round, teachers: Sequence[Tensor]) -> list[Replies]:
        """A round's replies, sample by sample: of the teachers, and of the latest model."""
        replies = []
        for number, position in enumerate(teachers, start=1):
            teacher = Answerer(f"teacher-{number}", self._job.pool.space.realise(position))
            replies.append(self.log.greedy(teacher))
        count = self._samples - len(teachers)
        if latest.model.name == BASE:
            count *= BARE
        return replies + self.log.samples(latest.model, range(1, count + 1))

    def _trained(self, name: str, start: Patch, items: Mapping[int, Choices]) -> Answerer:
        """A new LoRA on a start, trained on these items by prompt number."""
        numbers = list(items)
        self._folder.mkdir(exist_ok=True)
        fitting = Fitting(
            self._job.engine,
            start,
            list(items.values()),
            self._job.pool.experts[0],
            self._job.plan.config.seed,
            self._folder / name,
            self.schedule,
            [self.log.prompts[number] for number in numbers],
            self._meter.spend,
        )
        unseen = [([numbers[k] for k in fold], patch) for fold, patch in fitting.without_folds()]
        return Answerer(name, fitting.whole(), unseen)

    def measured(self, model: Answerer) -> Round:
        """A model with its replies to the dev prompts."""
        replies = self.dev.greedy(model)
        return Round(model, replies, self.dev.row(replies))

    @property
    def count(self) -> int:
        """Number of replies so far."""
        return sum(log.count for log in self._logs)

    @property
    def passes(self) -> int:
        """Passes of an item so far: replies, and training (a backward pass counts as measured)."""
        return self.count + int(self._meter.passes)


def _log_of(
    job: Job, split: str, scorings: Mapping[str, Scoring], store: Store, what: str
) -> ReplyLog:
    """The replies to the prompts of a split."""
    tasks = cast(Mapping[str, Written], job.utilities(split, scorings))
    combine = job.objectives.combine
    return ReplyLog(job.engine, tasks, combine, store, job.plan.config.seed, what)


def complementary(rows: Sequence[Row], chosen: Tensor, tasks: Sequence[str]) -> list[Tensor]:
    """Positions of mixtures that, together with the chosen one, have the best scores if each item
    counts by its best reply; see `greedy_cover`.

    Args:
        rows: rows of a search whose positions are coefficients, (n,).
        chosen: the mixture to train, (n,); if no row has it, the overall best comes first.
        tasks: tasks of the rows' items; all count equally.

    Example:
        >>> def row(items):
        ...     return Row("search", 0, 0, "", [float(items.count("1")), 0.0], 0.5, 4, 0.1, {"t": items})
        >>> rows = [row("1100"), row("0111"), row("1000")]
        >>> complementary(rows, torch.tensor([2.0, 0.0], dtype=torch.float64), ["t"])
        [tensor([3., 0.], dtype=torch.float64)]
    """
    positions = [torch.tensor(row.coefficients, dtype=torch.float64) for row in rows]
    parts = []
    for task in tasks:
        of_task = np.array([row.item_values(task) for row in rows])
        parts.append(of_task / of_task.shape[1])
    values = np.concatenate(parts, axis=1)
    known = np.full(values.shape[1], -np.inf)
    for position, of_items in zip(positions, values, strict=True):
        if position.equal(chosen):
            known = of_items
    return [positions[number] for number in greedy_cover(values, known, TEACHERS)]


def greedy_cover(values: Floats, known: Floats, count: int) -> list[int]:
    """Greedy set cover: numbers of candidates, each adding most to the sum of the items' best
    values (the first of equals); it stops without a gain (Nemhauser, Wolsey & Fisher 1978).

    Args:
        values: value of each candidate on each item, (candidates, items).
        known: best value of each item so far, (items,).
        count: maximum number of candidates.

    Example:
        >>> greedy_cover(np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0]]), np.array([1, 0, 0]), 4)
        [1]
    """
    numbers: list[int] = []
    best = known
    while len(numbers) < count:
        together = np.maximum(values, best).sum(axis=1)
        number = int(together.argmax())
        if not together[number] > best.sum():
            break
        best = np.maximum(best, values[number])
        numbers.append(number)
    return numbers


def best_round(rounds: Sequence[Round]) -> Round:
    """The round with the highest value; among equals the last."""
    return max(reversed(rounds), key=lambda round: round.row.value)
