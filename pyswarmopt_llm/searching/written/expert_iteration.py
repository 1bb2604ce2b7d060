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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.config import LEAST_TRAINED
from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.scores.choices import FULL, Choices
from pyswarmopt_llm.scores.metrics.combine import Combine, combined_value
from pyswarmopt_llm.scores.metrics.metric import Written
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.find import Found
from pyswarmopt_llm.searching.fitting import (
    BASE,
    FOLDER,
    Fitting,
    Meter,
    Spend,
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
    Reply,
    ReplyLog,
    ask_the_same,
    best_reply,
    gains,
)
from pyswarmopt_llm.searching.written.samples import BARE, ON_SPARE, ROUNDS, TEACHERS, samples_of

START = "start"  # name of the mixture in the store; the base has its own name
REPLIES = "replies"  # name in the store, on dev
SPARE = "spare"  # and on spare prompts


def round_name(start: str, number: int) -> str:
    """Name of a start's round in the store, and of its folder.

    Example:
        >>> round_name(START, 1), round_name(BASE, 2)
        ('round-1', 'base-round-2')
    """
    prefix = "" if start == START else f"{start}-"
    return f"{prefix}round-{number}"


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
    replies = Replies(job, found.scorings, run.store)
    iterations = _iterated(job, run, replies, starts, tell)
    if not iterations:
        return Training()
    trained = {}
    for name, rounds in iterations.items():
        best = best_round(rounds)
        row = trained_row(job, run, found, starts[name], partial(replies.row, best))
        trained[name] = Contestant(starts[name], best.model.patch, True, row, row.value)
    own = max(reversed(trained), key=lambda name: trained[name].value)  # the mixture wins a tie
    (row,) = found.scorer.score([mixture], 0)
    kept = not_worse(job.total(cast(Row, trained[own].dev)), job.total(row))
    known = None if job.plan.config.temperature else replies.of_base  # else samples are scored
    base = Contestant(starts[BASE], Patch(), dev=known)
    before = base if kept and own == BASE else replace(found.chosen, dev=row)
    models = {"mixture": before, "trained": trained[own], "base": base}
    if BASE in trained:
        models[f"{BASE}_tuned"] = trained[BASE]
    passes = replies.count
    for rounds in iterations.values():
        passes += sum(replies.schedule.passes(each.kept) for each in rounds)
    best_model = "trained" if kept else "mixture"
    return Training(models, best_model, passes, replies.use(iterations[own]))


def _iterated(
    job: Job, run: Run, replies: Replies, starts: Mapping[str, Tensor], tell: OnEvent
) -> dict[str, list[Round]]:
    """Train one start after the other, each within its share of the remaining time; the rounds of
    those with any.
    """
    searched = run.searched
    left = job.plan.budget.left(
        sum(row.n for row in searched), sum(row.seconds for row in searched)
    )
    meter = Meter(len(starts) * ROUNDS * replies.schedule.passes(job.plan.trained_items), tell)
    iterations: dict[str, list[Round]] = {}
    for number, (name, position) in enumerate(starts.items(), start=1):
        teachers = replies.teachers(searched, position) if name == START else ()
        seconds = None if left is None else left * number / len(starts)
        iteration = ExpertIteration(job, position, replies, run.path / FOLDER, name)
        rounds = iteration.run(teachers, seconds, lambda text: tell(note(text)), meter.spend)
        if rounds:
            iterations[name] = rounds
    return iterations


@dataclass(frozen=True)
class Round:
    """The outcome of a round.

    Attributes:
        name: name in the store, and of the folder.
        model: the trained model; each fold's prompts are answered by the model trained without
            them.
        kept: prompts with a reply used for training.
        replies: greedy replies to the dev prompts.
        value: value of these replies.
    """

    name: str
    model: Answerer
    kept: int
    replies: Sequence[Reply]
    value: float


class Replies:
    """The replies to dev prompts and to training prompts.

    Args:
        job: search whose tasks have written replies.
        scorings: how each task is scored.
        store: keeps replies and their scores.

    Attributes:
        dev: replies to dev prompts, which measure models.
        schedule: schedule of training on replies.
        log: replies to the training prompts; the same as `dev` unless there are spare prompts.
        logs: both.
        spare: number of spare prompts.
    """

    def __init__(self, job: Job, scorings: Mapping[str, Scoring], store: Store) -> None:
        self._job = job
        self.schedule = FULL
        self._tasks = cast(Mapping[str, Written], job.utilities("dev", scorings))
        settings = (job.objectives.combine, store, job.plan.config.seed)
        self.dev = self.log = ReplyLog(job.engine, self._tasks, *settings, REPLIES)
        self.logs = [self.dev]
        self.spare = 0
        if job.objectives.spare:
            self.schedule = ON_SPARE
            written = cast(Mapping[str, Written], job.utilities("spare", scorings))
            self.log = ReplyLog(job.engine, written, *settings, SPARE)
            self.logs.append(self.log)
            self.spare = len(self.log.prompts)

    @property
    def count(self) -> int:
        """Number of replies so far."""
        return sum(log.count for log in self.logs)

    @property
    def elapsed(self) -> float:
        """Seconds so far; each log counts from its first entry to its last."""
        return max(log.seconds for log in self.logs)

    def teachers(self, rows: Sequence[Row], position: Tensor) -> list[Tensor]:
        """Positions of the mixtures that help this one; see `complementary`."""
        objectives = self._job.objectives
        same = objectives.combine if ask_the_same(self._tasks) else None
        return complementary(rows, position, objectives.names, combine=same)

    def value(self, replies: Sequence[Reply]) -> float:
        """The value of replies to the dev prompts."""
        return self._row(self.dev.scores(replies)).value

    def row(self, best: Round) -> Row:
        """The scores of a round on dev, as measured by the search."""
        return self._row(self.dev.final(best.replies, best.model))

    @property
    def of_base(self) -> Row:
        """The scores of the base's replies to the dev prompts."""
        return self._row(self.dev.scores(self.dev.greedy(BASE, Answerer(Patch()))))

    def use(self, rounds: Sequence[Round]) -> Iterated:
        """The use of replies, and the rounds of the resulting model."""
        best = best_round(rounds)
        return Iterated(
            rounds=len(rounds),
            round=rounds.index(best) + 1,
            kept=best.kept,
            replies=self.count,
            tokens=sum(log.tokens for log in self.logs),
            spare=self.spare,
        )

    def _row(self, scores: Mapping[str, Score]) -> Row:
        return Row.of(scores, self._job.objectives.combine(list(scores.values())))


class ExpertIteration:
    """Trains a model on the best of its replies, round by round. Work in store and folder is
    reused.

    Args:
        job: search whose tasks have written replies.
        position: the start: a mixture, an expert, or the base (all 0).
        replies: replies of all models.
        folder: keeps the LoRAs of each round in ``round-N``, the base's in ``base-round-N``.
        start: name of the start, `START` or `BASE`.
        samples: replies to a prompt in a round; None: see `samples_of`.

    Attributes:
        floor: for each prompt, the value that a reply must exceed to be used: the lower value of
            the base's and the start's replies.
        samples: replies to each prompt in a round.
    """

    def __init__(
        self,
        job: Job,
        position: Tensor,
        replies: Replies,
        folder: Path,
        start: str = START,
        samples: int | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._job = job
        self._folder = folder
        self._all = replies
        self._start = start
        self._called = "training on best replies"
        if start == BASE:
            self._called += ", from the base"
        models = {BASE: Answerer(Patch()), start: Answerer(job.pool.space.realise(position))}
        first = [replies.log.greedy(name, model) for name, model in models.items()]
        self._replies = [list(of_prompt) for of_prompt in zip(*first, strict=True)]
        self.floor = [min(reply.value for reply in replies) for replies in self._replies]
        before = replies.dev.greedy(start, models[start])
        self._done = [Round(start, models[start], 0, before, replies.value(before))]
        self.samples = samples or samples_of(len(self.floor), len(before))

    def run(
        self,
        teachers: Sequence[Tensor] = (),
        seconds: float | None = None,
        say: Callable[[str], None] = lambda text: None,
        spend: Spend = lambda passes: None,
    ) -> list[Round]:
        """Train round by round, while the gain on dev exceeds a standard error.

        A round begins if there is time left. The first round is always followed by a second: it is compared with a
        mixture chosen on the same prompts, whose score is optimistic.

        Args:
            teachers: positions of other mixtures; each replaces one sample in the first round.
            seconds: time for all replies, earlier ones included; None: no limit.
            say: called with a sentence about each round.
            spend: see `Fitting`.

        Returns:
            The rounds; none if too few replies were kept, or there was no time.
        """
        for number in range(1, ROUNDS + 1):
            lead = f"{self._called}: round {number}: "
            if seconds is not None and self._all.elapsed > seconds:
                say(f"{lead}no time is left for it")
                break
            items = self.write(teachers if number == 1 else ())
            lead += f"{len(items)} of {len(self.floor)} prompts have a better reply"
            if len(set(self._prompts(items))) < LEAST_TRAINED:
                say(f"{lead}: too few to train on")
                break
            before, after = self.train(items, spend)
            gain = f"dev {before.value:.3f} to {after.value:.3f}"
            say(f"{lead} than before; trained on them, {gain}")
            if number > 1 and not gains(before.replies, after.replies):
                break
        return self._done[1:]

    def write(self, teachers: Sequence[Tensor]) -> dict[int, Choices]:
        """Let the teachers and the latest model write replies; prompt number -> best reply."""
        latest = self._done[-1]
        log = self._all.log
        for number, position in enumerate(teachers, start=1):
            teacher = Answerer(self._job.pool.space.realise(position))
            self._add(log.greedy(f"teacher-{number}", teacher))
        count = self.samples
        if latest.name == BASE:
            count *= BARE
        samples = range(1, count - len(teachers) + 1)
        for sample in log.table(latest.name, latest.model, samples):
            self._add(sample)
        pairs = zip(self._replies, self.floor, strict=True)
        return log.training_items([best_reply(replies, floor) for replies, floor in pairs])

    def _prompts(self, items: Mapping[int, Choices]) -> list[str]:
        """The prompt of each item."""
        return [self._all.log.prompts[number] for number in items]

    def train(self, items: Mapping[int, Choices], spend: Spend) -> tuple[Round, Round]:
        """Train a new LoRA on these items; return the previous round and the new one."""
        name = round_name(self._start, len(self._done))
        numbers = list(items)
        fitting = Fitting(
            self._job.engine,
            self._done[0].model.patch,
            list(items.values()),
            self._job.pool.experts[0],
            self._job.plan.config.seed,
            self._folder / name,
            self._all.schedule,
            self._prompts(items),
            spend,
        )
        unseen = [([numbers[k] for k in fold], patch) for fold, patch in fitting.without_folds()]
        model = Answerer(fitting.whole(), unseen)
        replies = self._all.dev.greedy(name, model)
        if not self._all.spare:
            self._add(replies)
        self._done.append(Round(name, model, len(items), replies, self._all.value(replies)))
        return self._done[-2], self._done[-1]

    def _add(self, replies: Sequence[Reply]) -> None:
        """Add a reply to each prompt."""
        for of_prompt, reply in zip(self._replies, replies, strict=True):
            of_prompt.append(reply)


def complementary(
    rows: Sequence[Row],
    chosen: Tensor,
    tasks: Sequence[str],
    count: int = TEACHERS,
    combine: Combine | None = None,
) -> list[Tensor]:
    """Positions of mixtures that, together with the chosen one, have the best scores if each item
    counts by its best reply; see `greedy_cover`.

    Args:
        rows: rows of a search whose positions are coefficients, (n,).
        chosen: the mixture to train, (n,); if no row has it, the overall best comes first.
        tasks: tasks of the rows' items; each counts alike.
        count: most positions.
        combine: combines a reply's scores if all tasks have the same prompts; else None.

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
    values = np.array([_of_items(row, tasks, combine) for row in scored])
    known = np.full(values.shape[1], -np.inf)
    for position, of_items in zip(positions, values, strict=True):
        if position.equal(chosen):
            known = of_items
    return [positions[number] for number in greedy_cover(values, known, count)]


def _of_items(row: Row, tasks: Sequence[str], combine: Combine | None) -> Floats:
    """Values of all items, weighted so that their sum is the sum of the tasks' means."""
    parts = [np.array(row.item_values(task)) for task in tasks]
    if combine is not None:
        return np.array([combined_value(combine, scores) for scores in zip(*parts, strict=True)])
    return np.concatenate([part / len(part) for part in parts])


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
    return max(reversed(rounds), key=lambda round: round.value)
