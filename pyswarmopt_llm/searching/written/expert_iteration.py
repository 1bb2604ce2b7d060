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
cross-fitting: a model answers only prompts it was not trained on, also when the next round is
sampled.

The other mixtures, the teachers, know what the best one does not. A search scores dozens of them,
which are right on different prompts. A few together answer far more prompts well than the best one
alone, even with several samples (measured in research/notes/written-answers.md).

The replies are in the run's store (`reply_log`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.config import LEAST_TRAINED
from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.scores.choices import FULL, Choices
from pyswarmopt_llm.scores.metrics.metric import Written
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.find import Found
from pyswarmopt_llm.searching.fitting import (
    BASE,
    FOLDER,
    Fitting,
    Meter,
    announce,
    not_worse,
    trained_row,
)
from pyswarmopt_llm.searching.prepare import Contestant, Job, Training
from pyswarmopt_llm.searching.scoring.record import Row, Store
from pyswarmopt_llm.searching.scoring.result import Iterated
from pyswarmopt_llm.searching.scoring.run_directory import Run
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


def train_on_replies(job: Job, run: Run, found: Found, tell: OnEvent) -> Training:
    """Train the base and the mixture, each on the best of its replies, round by round; nothing if
    both have too few. The base comes first: time it does not use is left to the mixture.
    """
    mixture = found.chosen.position
    starts = {BASE: torch.zeros_like(mixture)}
    if mixture.any():
        starts[START] = mixture
    if not (run.path / FOLDER).exists():
        announce(job, starts, tell)
    iteration = ExpertIteration(job, found.scorings, run.store, run.path / FOLDER)
    outcomes = _iterated(job, run, iteration, starts, tell)
    if not outcomes:
        return Training()
    trained = {
        name: _contestant(job, run, found, starts[name], best_round(rounds))
        for name, rounds in outcomes.items()
    }
    own = max(reversed(trained), key=lambda name: trained[name].value)  # the mixture wins a tie
    (row,) = found.scorer.score([mixture], 0)
    kept = not_worse(job.total(cast(Row, trained[own].dev)), job.total(row))
    base = Contestant(starts[BASE], Patch(), dev=iteration.measured(BASE, Answerer(Patch()), 0).row)
    if kept and own == BASE:
        before = base
    else:
        before = replace(found.chosen, dev=row)
    models = {"mixture": before, "trained": trained[own], "base": base}
    if BASE in trained:
        models[f"{BASE}_tuned"] = trained[BASE]
    kept_prompts = [each.kept for rounds in outcomes.values() for each in rounds]
    passes = iteration.count + sum(map(iteration.schedule.passes, kept_prompts))
    best_model = "trained" if kept else "mixture"
    return Training(models, best_model, passes, iteration.use(outcomes[own]))


def _contestant(job: Job, run: Run, found: Found, start: Tensor, best: Round) -> Contestant:
    """What was trained from a start, with its scores on dev."""
    row = trained_row(job, run, found, start, lambda: best.row)
    return Contestant(start, best.model.patch, True, row, row.value)


def _iterated(
    job: Job, run: Run, iteration: ExpertIteration, starts: Mapping[str, Tensor], tell: OnEvent
) -> dict[str, list[Round]]:
    """Train one start after the other, each within its share of the remaining time; the rounds of
    those with any.
    """
    items = sum(row.n for row in run.searched)
    left = job.plan.budget.left(items, sum(row.seconds for row in run.searched))
    meter = Meter(len(starts) * ROUNDS * iteration.schedule.passes(job.plan.trained_items), tell)
    outcomes: dict[str, list[Round]] = {}
    for number, (name, position) in enumerate(starts.items(), start=1):
        teachers: Sequence[Tensor] = ()
        if name == START:
            teachers = complementary(run.searched, position, job.objectives.names)
        if left is None:
            seconds = None
        else:
            seconds = left * number / len(starts)
        rounds = iteration.run(name, position, meter, teachers, seconds)
        if rounds:
            outcomes[name] = rounds
    return outcomes


@dataclass(frozen=True)
class Round:
    """The outcome of a round.

    Attributes:
        name: name in the store, and of the folder: ``round-N``, the base's ``base-round-N``.
        model: the trained model; each fold's prompts are answered by the model trained without
            them.
        kept: prompts with a reply used for training.
        replies: greedy replies to the dev prompts.
        row: their scores.
    """

    name: str
    model: Answerer
    kept: int
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
        settings = (job.objectives.combine, store, job.plan.config.seed)
        tasks = cast(Mapping[str, Written], job.utilities("dev", scorings))
        self.dev = self.log = ReplyLog(job.engine, tasks, *settings, REPLIES)
        self.schedule = FULL
        if job.objectives.spare:
            tasks = cast(Mapping[str, Written], job.utilities("spare", scorings))
            self.log = ReplyLog(job.engine, tasks, *settings, SPARE)
            self.schedule = ON_SPARE
        self._logs = {self.dev, self.log}
        self._samples = samples or samples_of(len(self.log.prompts), len(self.dev.prompts))

    def run(
        self,
        start: str,
        position: Tensor,
        meter: Meter,
        teachers: Sequence[Tensor] = (),
        seconds: float | None = None,
    ) -> list[Round]:
        """Train a model round by round, while the gain on dev exceeds a standard error.

        A reply is used if it beats the worse of the base's and the start's. The first round is
        always followed by a second: it is compared with a mixture chosen on the same prompts, whose
        score is optimistic.

        Args:
            start: name of the model, `START` or `BASE`.
            position: a mixture, an expert, or the base (all 0).
            meter: told of passes and rounds.
            teachers: positions of other mixtures; each replaces one sample in the first round.
            seconds: no round begins after this time for all replies; None: no limit.

        Returns:
            The rounds; none if too few replies were kept, or there was no time.
        """
        models = {BASE: Answerer(Patch()), start: Answerer(self._job.pool.space.realise(position))}
        replies = [self.log.greedy(name, model) for name, model in models.items()]
        floor = np.minimum.reduce([of_model.values for of_model in replies])
        rounds = [self.measured(start, models[start], 0)]
        for number in range(1, ROUNDS + 1):
            if start == START:
                name = f"round-{number}"
            else:
                name = f"{start}-round-{number}"
            if seconds is not None and max(log.seconds for log in self._logs) > seconds:
                meter.tell(note(f"{name}: skipped, no time is left"))
                break
            replies += self._written(rounds[-1], teachers if number == 1 else ())
            items = self.log.training_items(replies, best_replies(replies, floor))
            found = f"{name}: {len(items)} of {len(floor)} prompts have a better reply"
            if len({self.log.prompts[prompt] for prompt in items}) < LEAST_TRAINED:
                meter.tell(note(f"{found}: too few to train on"))
                break
            model = self._trained(name, models[start], items, meter)
            before = rounds[-1]
            after = self.measured(name, model, len(items))
            rounds.append(after)
            if self.log is self.dev:
                replies.append(after.replies)
            gain = f"dev {before.row.value:.3f} to {after.row.value:.3f}"
            meter.tell(note(f"{found} than before; trained on them, {gain}"))
            if number > 1 and not gains(before.replies, after.replies):
                break
        return rounds[1:]

    def _written(self, latest: Round, teachers: Sequence[Tensor]) -> list[Replies]:
        """A round's replies, sample by sample: of the teachers, and of the latest model."""
        replies = []
        for number, position in enumerate(teachers, start=1):
            teacher = Answerer(self._job.pool.space.realise(position))
            replies.append(self.log.greedy(f"teacher-{number}", teacher))
        count = self._samples * (BARE if latest.name == BASE else 1) - len(teachers)
        return replies + self.log.samples(latest.name, latest.model, range(1, count + 1))

    def _trained(
        self, name: str, start: Answerer, items: Mapping[int, Choices], meter: Meter
    ) -> Answerer:
        """A new LoRA on a start, trained on these items by prompt number."""
        numbers = list(items)
        self._folder.mkdir(exist_ok=True)
        fitting = Fitting(
            self._job.engine,
            start.patch,
            list(items.values()),
            self._job.pool.experts[0],
            self._job.plan.config.seed,
            self._folder / name,
            self.schedule,
            [self.log.prompts[number] for number in numbers],
            meter.spend,
        )
        unseen = [([numbers[k] for k in fold], patch) for fold, patch in fitting.without_folds()]
        return Answerer(fitting.whole(), unseen)

    def measured(self, name: str, model: Answerer, kept: int) -> Round:
        """A model with its replies to the dev prompts."""
        replies = self.dev.greedy(name, model)
        return Round(name, model, kept, replies, self.dev.row(replies))

    @property
    def count(self) -> int:
        """Number of replies so far."""
        return sum(log.count for log in self._logs)

    def use(self, rounds: Sequence[Round]) -> Iterated:
        """The use of replies, and the rounds of the resulting model."""
        best = best_round(rounds)
        spare = 0 if self.log is self.dev else len(self.log.prompts)
        return Iterated(len(rounds), rounds.index(best) + 1, best.kept, self.count, spare)


def complementary(rows: Sequence[Row], chosen: Tensor, tasks: Sequence[str]) -> list[Tensor]:
    """Positions of mixtures that, together with the chosen one, have the best scores if each item
    counts by its best reply; see `greedy_cover`.

    Args:
        rows: rows of a search whose positions are coefficients, (n,).
        chosen: the mixture to train, (n,); if no row has it, the overall best comes first.
        tasks: tasks of the rows' items; each counts alike.

    Example:
        >>> def row(items):
        ...     return Row("search", 0, 0, "", [float(items.count("1")), 0.0], 0.5, 4, 0.1, {"t": items})
        >>> rows = [row("1100"), row("0111"), row("1000")]
        >>> complementary(rows, torch.tensor([2.0, 0.0], dtype=torch.float64), ["t"])
        [tensor([3., 0.], dtype=torch.float64)]
    """
    scored = [row for row in rows if row.complete]
    if not scored:
        return []
    positions = [torch.tensor(row.coefficients, dtype=torch.float64) for row in scored]
    parts = []
    for task in tasks:
        of_task = np.array([row.item_values(task) for row in scored])
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
        count: most candidates.

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
    """The round with the highest value; of equals the last."""
    return max(reversed(rounds), key=lambda round: round.row.value)
