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
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.directory import RunDirectory
from pyswarmopt_llm.run.record import TRAINED, Row, Store
from pyswarmopt_llm.scores.choices import EPOCHS, Choices, fold_passes, training_passes
from pyswarmopt_llm.scores.metrics.metric import Written
from pyswarmopt_llm.scores.tasks import AnswerFormat
from pyswarmopt_llm.searching.crew import Crew
from pyswarmopt_llm.searching.find import Explored, Trained
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.train_on_labels import BASE, announce, fit_side_by_side
from pyswarmopt_llm.searching.written.reply_log import Replies, ReplyLog, ReplyWriter, best_replies
from pyswarmopt_llm.searching.written.samples import BARE, ROUNDS, TEACHERS, samples_of
from pyswarmopt_llm.training.fitting import Fitting, Meter, not_worse

START = "start"  # name of the mixture in the store; the base has its own name


def train_on_replies(job: Job, run: RunDirectory, found: Explored) -> Trained:
    """Train the base and the mixture, each on the best of its replies, round by round; nothing if
    both have too few.
    """
    mixture = found.chosen.position
    starts = {BASE: torch.zeros_like(mixture)}
    if mixture.any():
        starts[START] = mixture
    folder = run.path / TRAINED
    announce(job, starts)
    (before,) = found.scorer.score([mixture], 0)
    teachers = {START: complementary(found.scorer.rows, before, job.objectives.names)}
    crew = found.scorer.crew
    iteration = ExpertIteration(job, found.answer_formats, run.store, folder, crew=crew)
    rounds = {}
    rows = {}
    trained = {}
    for name, position in starts.items():
        rounds[name] = iteration.run(name, position, teachers.get(name, ()))
        if rounds[name]:
            best = max(reversed(rounds[name]), key=lambda one: one.row.value)  # of equals the last
            rows[name] = found.scorer.trained(position, partial(replace, best.row))
            trained[name] = Contestant(position, best.model.patch, True, rows[name])
    if not rows:
        return Trained(found.chosen)
    own = max(reversed(rows), key=lambda name: rows[name].value)  # the mixture wins a tie
    kept = not_worse(job.total(rows[own]), job.total(before))
    plain = iteration.measured(ReplyWriter(BASE, Patch())).row
    models = {"base": Contestant(starts[BASE], Patch(), dev=plain), "trained": trained[own]}
    models["mixture"] = models["base"]
    if not kept or own == START:
        models["mixture"] = replace(found.chosen, dev=before)
    if BASE in trained:
        models[f"{BASE}_tuned"] = trained[BASE]
    result = trained[own] if kept else models["mixture"]
    use = {"rounds": len(rounds[own]), "replies": iteration.count}
    return Trained(result, models, iteration.passes, use)


@dataclass(frozen=True)
class Round:
    """The outcome of a round.

    Attributes:
        model: the trained model; each fold's prompts are answered by the model trained without
            them. Its name, also of its folder, is ``round-N``, the base's ``base-round-N``.
        replies: greedy replies to the dev prompts.
        row: their scores.
    """

    model: ReplyWriter
    replies: Replies
    row: Row


class ExpertIteration:
    """Trains models on the best of their replies, round by round. Work in store and folder is
    reused.

    Args:
        job: search whose tasks have written replies.
        answer_formats: how each task is scored.
        store: keeps replies and their scores.
        folder: keeps the LoRAs of each round, see `Round`.
        samples: replies to a prompt in a round; None: see `samples_of`.
        crew: trains the LoRAs of a round side by side; None: this process does it.

    Attributes:
        dev: replies to dev prompts, which measure models.
        log: replies to the training prompts; the same as `dev` unless there are spare prompts.
        fold_epochs: epochs of training on replies without each fold.
    """

    def __init__(
        self,
        job: Job,
        answer_formats: Mapping[str, AnswerFormat],
        store: Store,
        folder: Path,
        samples: int | None = None,
        crew: Crew | None = None,
    ) -> None:
        self._job = job
        self._crew = crew
        self._folder = folder

        def log_of(split: str, what: str) -> ReplyLog:
            tasks = cast(Mapping[str, Written], job.utilities(split, answer_formats))
            seed = job.config.seed
            return ReplyLog(job.engine, tasks, job.objectives.combine, store, seed, what)

        self.dev = self.log = log_of("dev", "replies")
        self.fold_epochs = EPOCHS
        if job.objectives.spare:
            self.log = log_of("spare", "spare")
            self.fold_epochs = 0  # dev is only for measuring
        items = job.trained_items
        passes = training_passes(items) + fold_passes(items, self.fold_epochs)
        self._meter = Meter(2 * ROUNDS * passes, job.tell)  # for two models
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
        first = ReplyWriter(start, self._job.pool.space.realise(position))
        replies = [self.log.greedy(ReplyWriter(BASE, Patch())), self.log.greedy(first)]
        floor = np.minimum(replies[0].scores, replies[1].scores)
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
            model = self._trained(name, position, items)
            before = rounds[-1]
            after = self.measured(model)
            rounds.append(after)
            if self.log is self.dev:
                replies.append(after.replies)
            gain = f"from {before.row.value:.3f} to {after.row.value:.3f}"
            tell(note(f"{found} than before; training on them changes the dev score {gain}"))
            rise = score_of(np.subtract(after.replies.scores, before.replies.scores))
            if number > 1 and not rise.value > rise.stderr:
                break
        return rounds[1:]

    def _written(self, latest: Round, teachers: Sequence[Tensor]) -> list[Replies]:
        """A round's replies, sample by sample: of the teachers, and of the latest model."""
        self._meter.at(latest.model.name, "writing replies")
        replies = []
        for number, position in enumerate(teachers, start=1):
            teacher = ReplyWriter(f"teacher-{number}", self._job.pool.space.realise(position))
            replies.append(self.log.greedy(teacher))
        count = self._samples - len(teachers)
        if latest.model.name == BASE:
            count *= BARE
        return replies + self.log.samples(latest.model, range(1, count + 1))

    def _trained(self, name: str, position: Tensor, items: Mapping[int, Choices]) -> ReplyWriter:
        """A new LoRA on a start, trained on these items by prompt number."""
        numbers = list(items)
        self._folder.mkdir(exist_ok=True)
        fitting = Fitting(
            self._job.engine,
            self._job.pool.space.realise(position),
            list(items.values()),
            pattern=self._job.pool.experts[0],
            seed=self._job.config.seed,
            folder=self._folder / name,
            fold_epochs=self.fold_epochs,
            identities=[self.log.prompts[number] for number in numbers],
            spend=self._meter.spend,
            at=partial(self._meter.at, name),
            position=position,
        )
        if self._crew is not None:
            parts = [*fitting.parts(), fitting.on_all()]
            fit_side_by_side(self._crew, [(fitting, part) for part in parts])
        unseen = [([numbers[k] for k in fold], patch) for fold, patch in fitting.without_folds()]
        return ReplyWriter(name, fitting.whole(), unseen)

    def measured(self, model: ReplyWriter) -> Round:
        """A model with its replies to the dev prompts."""
        replies = self.dev.greedy(model)
        return Round(model, replies, self.dev.row(replies))

    @property
    def count(self) -> int:
        """Number of replies so far."""
        return sum(log.count for log in {self.dev, self.log})

    @property
    def passes(self) -> int:
        """Passes of an item so far: replies, and training (a backward pass counts as measured)."""
        return self.count + int(self._meter.passes)


def complementary(rows: Sequence[Row], chosen: Row, tasks: Sequence[str]) -> list[Tensor]:
    """Positions of mixtures that, together with the chosen one, have the best scores if each item
    counts by its best reply; see `greedy_cover`.

    Args:
        rows: rows of a search whose positions are coefficients, (n,).
        chosen: the row of the mixture to train.
        tasks: tasks of the rows' items; all count equally.

    Example:
        >>> def row(*items):
        ...     return replace(Row.of({"t": score_of(items)}, score_of(items)), coefficients=[sum(items)])
        >>> rows = [row(1, 1, 0, 0), row(0, 1, 1, 1), row(1, 0, 0, 0)]
        >>> complementary(rows, rows[0], ["t"])
        [tensor([3.], dtype=torch.float64)]
    """

    def values(row: Row) -> Floats:
        items = [row.tasks[task].per_item for task in tasks]
        return np.concatenate([np.divide(of_task, len(of_task)) for of_task in items])

    cover = greedy_cover(np.array(list(map(values, rows))), values(chosen), TEACHERS)
    return [torch.tensor(rows[number].coefficients, dtype=torch.float64) for number in cover]


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
