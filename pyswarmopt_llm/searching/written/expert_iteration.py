"""Expert iteration: a mixture is trained on the best of its replies, which have scores and no
labels.

Anthony, Tian & Barber 2017, arXiv 1705.08439; with language models RAFT (Dong et al. 2023, arXiv
2304.06767) and ReST (Gulcehre et al. 2023, arXiv 2308.08998).

Two models are trained, each on replies of its own: the mixture, and the base alone. Whichever is
better on dev is handed over. What the mixture cannot write, no LoRA on top of it learns from its
replies, where the base may find it (research/notes/written-answers.md).

In a round the latest model writes several replies to each prompt, at random; before the mixture's
first, other mixtures of the search that are right where this one is not write one each. The best reply so
far is kept if it is better than what the base or the mixture writes, and a new LoRA is trained on
those that are kept, on top of the mixture. The replies to dev prompts tell what a round is worth.
Trained on is what answers spare prompts; where there are too few of these, what answers dev
prompts, by cross-fitting: each is answered by what was not trained on it, and so are the samples of
the next round.

The other mixtures, the teachers, know what the best one does not. A search scores dozens of them,
which are right on different prompts. Together a few answer far more prompts well than the best one
alone, and more than it does in several samples (measured in research/notes/written-answers.md).

Replies to all prompts of a split, greedy or sampled, are in the run's store with their scores. Tasks
that all ask the same prompts are several scores of one reply, which is written once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt_llm.common.config import LEAST_TRAINED
from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.engine.chat import reply_frame
from pyswarmopt_llm.engine.generation import Draw
from pyswarmopt_llm.engine.transformers import on_transformers
from pyswarmopt_llm.scores.choices import (
    BARE,
    FULL,
    ON_SPARE,
    ROUNDS,
    TEACHERS,
    Choices,
    samples_of,
)
from pyswarmopt_llm.scores.metrics.combine import Combine, combined_value
from pyswarmopt_llm.scores.metrics.written import Written
from pyswarmopt_llm.scores.tasks import Item, Scoring
from pyswarmopt_llm.searching.explore import Found
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scoring.record import Row, Store
from pyswarmopt_llm.searching.scoring.result import Iterated
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.train import (
    BASE,
    FOLDER,
    Fitting,
    Progress,
    Training,
    announce,
    not_worse,
    trained_row,
)
from pyswarmopt_llm.searching.written.replies import storable

START = "start"  # name of the mixture in the store; the base has its own
TEMPERATURE = 1.0
MOST = 20.0  # that a reply counts, before scaling
GREEDY = 0  # number of the reply that is not sampled; the others count from 1
_SHAPE = {"replies": list[str], "values": dict[str, list[float]], "seconds": float}
T = TypeVar("T")
Floats = npt.NDArray[np.float64]
REPLIES, SPARE = "replies", "spare"  # in the store: to dev prompts, to spare ones


def round_name(start: str, number: int) -> str:
    """Name of a round of a start, in the store and of its folder.

    Example:
        >>> round_name(START, 1), round_name(BASE, 2)
        ('round-1', 'base-round-2')
    """
    return f"{'' if start == START else f'{start}-'}round-{number}"


@dataclass(frozen=True)
class Reply:
    """A reply to a prompt.

    Attributes:
        text: as it was written.
        value: its score; of several, combined as the tasks' scores are.
        scores: by each of the tasks that have this prompt.
    """

    text: str
    value: float
    scores: tuple[float, ...] = ()


def without_rounding(value: float) -> float:
    """A value to twelve digits: what sums leave behind them decides nothing.

    Example:
        >>> without_rounding(0.1 + 0.2), without_rounding(0.1 + 0.2 - 0.3)
        (0.3, 0.0)
    """
    return float(f"{round(value, 12):.12g}") + 0.0


@dataclass(frozen=True, eq=False)
class Answerer:
    """A model that answers; to some prompts another one does, that was trained without them.

    Attributes:
        patch: the model.
        unseen: numbers of prompts, and who answers these.
    """

    patch: Patch
    unseen: Sequence[tuple[Sequence[int], Patch]] = ()

    def shares(self, numbers: Sequence[int]) -> Iterator[tuple[Patch, list[int]]]:
        """Select the answerers and the numbers of the prompts of these alone."""
        left = list(numbers)
        for own, patch in self.unseen:
            if theirs := [number for number in left if number in own]:
                yield patch, theirs
            left = [number for number in left if number not in own]
        if left:
            yield self.patch, left


def weights(values: Sequence[float]) -> list[float]:
    """Weights of replies of these values in training, 1 in the mean.

    That is e to the number of standard deviations that a value is above the mean, at most 20
    (advantage-weighted regression, Peng et al. 2019, arXiv 1910.00177, with the same limit). Where
    nearly all replies are about as good as what the model writes anyway, the few that are better
    would teach it next to nothing if all counted alike.

    Example:
        >>> [round(weight, 2) for weight in weights([0.75, 0.75, 0.75, 1.0])], weights([0.3, 0.1 + 0.2])
        ([0.31, 0.31, 0.31, 3.08], [1.0, 1.0])
    """
    every = np.array([without_rounding(value) for value in values])
    if len(set(every)) < 2:
        return [1.0] * len(values)
    counts = np.minimum(np.exp((every - every.mean()) / every.std()), MOST)
    shares: list[float] = (counts / counts.mean()).tolist()
    return shares


def ask_the_same(tasks: Mapping[str, Written]) -> bool:
    """Whether several tasks have the same prompts, and replies of the same length."""
    prompts = [[(text, most) for _, text, most in task.texts()] for task in tasks.values()]
    return len(prompts) > 1 and all(other == prompts[0] for other in prompts)


@dataclass(frozen=True, eq=False)
class _Deck:
    """Prompts with the tasks that score the replies to them.

    Attributes:
        tasks: name -> how replies are scored.
        first: number of the first prompt among all.
    """

    tasks: Mapping[str, Written]
    first: int

    @cached_property
    def name(self) -> str:
        """The first task's name."""
        return next(iter(self.tasks))

    @cached_property
    def prompts(self) -> list[tuple[Item, str, int]]:
        """Item, text and longest reply."""
        return list(self.tasks[self.name].texts())

    @property
    def numbers(self) -> range:
        """The prompts' numbers among all."""
        return range(self.first, self.first + len(self.prompts))

    def part(self, replies: Sequence[T]) -> Sequence[T]:
        """The replies to these prompts, of replies to all."""
        return replies[self.first : self.first + len(self.prompts)]


class ReplyLog:
    """Replies in a run's store, by model and sample.

    Args:
        engine: the one on transformers.
        tasks: name -> the prompts, and how replies are scored.
        combine: of the tasks' scores.
        store: of the run.
        seed: of the samples.
        what: the store calls them.

    Raises:
        TypeError: another engine, which does not sample.
        UserError: what is stored is damaged, or of other prompts.
    """

    def __init__(
        self,
        engine: Engine,
        tasks: Mapping[str, Written],
        combine: Combine,
        store: Store,
        seed: int,
        what: str = "replies",
    ) -> None:
        self._engine = on_transformers(engine, "replies are sampled")
        self._combine, self._store, self._seed, self._what = combine, store, seed, what
        same = [tasks] if ask_the_same(tasks) else [{name: task} for name, task in tasks.items()]
        self._decks: list[_Deck] = []
        for scored in same:
            self._decks.append(_Deck(scored, sum(len(deck.prompts) for deck in self._decks)))
        self._rows: dict[tuple[str, str], Mapping[str, Any]] = {}  # asked for so far
        self._latest = time.monotonic()

    def greedy(self, model: str, who: Answerer) -> list[Reply]:
        """The reply to each prompt.

        Args:
            model: its name in the store.
            who: answers.
        """
        (replies,) = self._replies(model, who, [GREEDY])
        return replies

    def sampled(self, model: str, who: Answerer, count: int) -> list[list[Reply]]:
        """Samples, each a reply to each prompt; they are written together.

        Args:
            model: its name in the store.
            who: answers.
            count: number of samples.
        """
        return self._replies(model, who, range(1, count + 1))

    def _replies(self, model: str, who: Answerer, samples: Sequence[int]) -> list[list[Reply]]:
        """The replies to all prompts, sample by sample; those that are not there are written."""
        replies: list[list[Reply]] = [[] for _ in samples]
        for deck in self._decks:
            names = {sample: f"{self._what} {sample} {deck.name}" for sample in samples}
            missing = [s for s, what in names.items() if (what, model) not in self._store]
            if missing:
                write = partial(self._write, model, missing, deck)
                for sample, texts in zip(missing, self._ask(deck, who, write), strict=True):
                    judged = self._judged(deck, [*map(storable, texts)])
                    self._store.add(names[sample], model, judged)
            for of_sample, what in zip(replies, names.values(), strict=True):
                row = self._store.get(what, model, dict, partial(_wrong, deck))
                self._rows[what, model] = row
                scores = zip(*(row["values"][task] for task in deck.tasks), strict=True)
                of_sample += map(self._reply, row["replies"], scores)
        return replies

    def _reply(self, text: str, scores: tuple[float, ...]) -> Reply:
        value = scores[0] if len(scores) == 1 else combined_value(self._combine, scores)
        return Reply(text, without_rounding(value), scores)

    def _judged(self, deck: _Deck, texts: Sequence[str]) -> dict[str, Any]:
        """Replies with their scores, and the seconds since those before."""
        values = {name: [*map(float, task.judge(texts))] for name, task in deck.tasks.items()}
        begun, self._latest = self._latest, time.monotonic()
        seconds = round(self._latest - begun, 3)
        return {"replies": texts, "values": values, "seconds": seconds}

    def _write(
        self, model: str, samples: Sequence[int], deck: _Deck, own: Sequence[int]
    ) -> list[list[str]]:
        """The loaded model's replies to some of a deck's prompts, sample by sample."""
        seeds: list[int] = []
        for sample in samples:
            draws = random.Random(f"{self._seed} {model} {sample} {deck.name}")
            of_sample = [draws.getrandbits(63) for _ in deck.prompts]
            seeds += [of_sample[index] for index in own]
        _, _, most = deck.prompts[0]
        prompts = [deck.prompts[index][1] for index in own] * len(samples)
        draw = None if samples == [GREEDY] else Draw(TEMPERATURE, tuple(seeds))
        texts = iter(self._engine.generate(prompts, most, draw))
        return [[next(texts) for _ in own] for _ in samples]

    def _ask(
        self, deck: _Deck, who: Answerer, write: Callable[[Sequence[int]], list[list[str]]]
    ) -> list[list[str]]:
        """The replies to a deck's prompts, sample by sample: each of `who` writes its own."""
        replies: dict[int, tuple[str, ...]] = {}
        for patch, numbers in who.shares(deck.numbers):
            self._engine.load(patch)
            texts = zip(*write([number - deck.first for number in numbers]), strict=True)
            replies |= zip(numbers, texts, strict=True)
        return [*map(list, zip(*(replies[number] for number in deck.numbers), strict=True))]

    def scores(self, replies: Sequence[Reply]) -> dict[str, Score]:
        """The score of each task, by its name."""
        scores: dict[str, Score] = {}
        for deck in self._decks:
            by_task = zip(*(reply.scores for reply in deck.part(replies)), strict=True)
            for (name, task), values in zip(deck.tasks.items(), by_task, strict=True):
                scores[name] = task.score(values)
        return scores

    def final(self, replies: Sequence[Reply], who: Answerer) -> dict[str, Score]:
        """The score of each task as the search scores it, by its name.

        Args:
            replies: greedy ones of `who`.
            who: answers again where the search scores samples.
        """
        scores: dict[str, Score] = {}
        for deck in self._decks:
            samples = [[reply.text for reply in deck.part(replies)]]
            task = deck.tasks[deck.name]
            if task.sampled:
                samples = self._ask(deck, who, partial(task.samples, self._engine))
            scores |= {name: task.score_samples(samples) for name, task in deck.tasks.items()}
        return scores

    @cached_property
    def identities(self) -> list[Hashable]:
        """Identity of each prompt's item: the prompt, its options and its answers."""
        return [
            (prompt, tuple((item.choices or {}).values()), tuple(item.references))
            for deck in self._decks
            for item, prompt, _ in deck.prompts
        ]

    def training_items(self, replies: Sequence[Reply | None]) -> dict[int, Choices]:
        """The replies that are there, each after its prompt, as they are trained on, by number.

        A reply that was not cut off ends as the model's chat template has it. How much it counts
        among those of its tasks is said by `weights`.
        """
        opening, ending = reply_frame(self._engine.tokenizer)
        items = {}
        for deck in self._decks:
            of_prompts = zip(deck.numbers, deck.prompts, deck.part(replies), strict=True)
            there = [(number, prompt, reply) for number, prompt, reply in of_prompts if reply]
            counts = weights([reply.value for *_, reply in there])
            for (number, (_, prompt, most), reply), count in zip(there, counts, strict=True):
                text = opening + reply.text + ending * (self._length(reply.text) < most)
                if text:
                    items[number] = Choices(((prompt, text),), (1.0,), 0, count)
        return items

    @property
    def count(self) -> int:
        """Replies so far."""
        return sum(len(row["replies"]) for row in self._rows.values())

    @property
    def seconds(self) -> float:
        """Time that the replies returned so far took when they were written, with the training
        before them.
        """
        return sum(row["seconds"] for row in self._rows.values())

    @property
    def seconds_of_base(self) -> float:
        """The part of these seconds that one reply of the base to each prompt took."""
        names = {f"{self._what} {GREEDY} {deck.name}" for deck in self._decks}
        return sum(self._rows[what, BASE]["seconds"] for what in names)

    @property
    def tokens(self) -> int:
        """Tokens of all replies so far."""
        return sum(sum(map(self._length, row["replies"])) for row in self._rows.values())

    def _length(self, text: str) -> int:
        return len(self._engine.tokenizer(text, add_special_tokens=False)["input_ids"])


def _wrong(deck: _Deck, row: Mapping[str, Any]) -> str | None:
    """The first field of an entry that is not of a deck's prompts and tasks."""
    if field := wrong_field(row, _SHAPE):
        return field
    if row["values"].keys() != deck.tasks.keys():
        return "values"
    lengths = {len(deck.prompts), len(row["replies"]), *map(len, row["values"].values())}
    return "replies" if len(lengths) > 1 else None


def train_on_replies(
    job: Job, run: Run, found: Found, tell: OnEvent, progress: Progress
) -> Training | None:
    """Train the base and the mixture, each on the best of its replies, round by round; None if both
    have too few. The base comes first: where its replies are of no use it leaves its time.
    """
    mixture = found.chosen.position
    starts = {BASE: torch.zeros_like(mixture)}
    if mixture.any():
        starts[START] = mixture
    announce(job, run, starts.values(), tell)
    replies = Replies(job, found.scorings, run.store)
    iterations = _iterated(job, run, replies, starts, tell, progress)
    trained = {
        name: _trained(job, run, found, starts[name], best, replies)
        for name, iteration in iterations.items()
        if (best := iteration.best) is not None
    }
    if not trained:
        return None
    own = max(reversed(trained), key=lambda name: trained[name].value)  # of equals the mixture
    (row,) = found.scorer.score([mixture], 0)
    kept = not_worse(job.total(cast(Row, trained[own].dev)), job.total(row))
    known = None if job.config.temperature else replies.of_base  # else scores are of samples
    base = Contestant(starts[BASE], Patch(), dev=known)
    before = base if kept and own == BASE else replace(found.chosen, dev=row)
    models = {"mixture": before, "trained": trained[own], "base": base}
    if BASE in trained:
        models[f"{BASE}_tuned"] = trained[BASE]
    passes = replies.count + sum(iteration.passes for iteration in iterations.values())
    best_model = "trained" if kept else "mixture"
    return Training(models, best_model, passes, replies.use(iterations[own]))


def _trained(
    job: Job, run: Run, found: Found, start: Tensor, best: Round, replies: Replies
) -> Contestant:
    """The best round of a start, with its scores on dev in the run's history."""
    row = trained_row(job, run, found, start, partial(replies.row, best))
    return Contestant(start, best.model.patch, True, row, row.value)


def _iterated(
    job: Job,
    run: Run,
    replies: Replies,
    starts: Mapping[str, Tensor],
    tell: OnEvent,
    progress: Progress,
) -> dict[str, Iteration]:
    """Train one start after the other, each within its share of the time that is left."""
    searched = run.searched
    left = job.budget.left(sum(row.n for row in searched), sum(row.seconds for row in searched))
    iterations: dict[str, Iteration] = {}
    for number, (name, position) in enumerate(starts.items(), start=1):
        iterations[name] = ExpertIteration(job, position, replies, run.path / FOLDER, name).run(
            replies.teachers(searched, position) if name == START else (),
            None if left is None else left * number / len(starts),
            lambda text: tell(note(text)),
            partial(_of_start, progress, number, len(starts)),
        )
    return iterations


@dataclass(frozen=True)
class Round:
    """The outcome of a round.

    Attributes:
        name: in the store, and of its folder.
        model: what was trained, which answers dev prompts that it was not trained on.
        kept: prompts with a reply that it was trained on.
        replies: greedy ones to the dev prompts.
        value: of these replies on dev.
    """

    name: str
    model: Answerer
    kept: int
    replies: Sequence[Reply]
    value: float


@dataclass(frozen=True)
class Iteration:
    """The outcome of expert iteration.

    Attributes:
        best: the round with the best value on dev, of equals the last one; None if too few replies
            were kept to train on, or there was no time.
        rounds: that were trained.
        round: the number of the best one, from 1; 0 if there is none.
        passes: forward passes of a prompt that training took.
    """

    best: Round | None
    rounds: int
    round: int
    passes: int


class Replies:
    """The replies to dev prompts, and to those that are trained on.

    Args:
        job: whose tasks have written replies.
        scorings: of the tasks.
        store: has, or will have, replies and their scores.

    Attributes:
        dev: to dev prompts, which tell what a model is worth.
        log: to the prompts that are trained on; dev prompts too, unless there are spare ones.
    """

    def __init__(self, job: Job, scorings: Mapping[str, Scoring], store: Store) -> None:
        self._job, self.spare = job, job.objectives.spare
        settings = (job.objectives.combine, store, job.config.seed)
        self._tasks = cast(Mapping[str, Written], job.utilities("dev", scorings))
        self.dev = self.log = ReplyLog(job.engine, self._tasks, *settings, REPLIES)
        if self.spare:
            written = cast(Mapping[str, Written], job.utilities("spare", scorings))
            self.log = ReplyLog(job.engine, written, *settings, SPARE)

    @property
    def logs(self) -> list[ReplyLog]:
        """Both, or the one that is both."""
        return [self.dev, self.log] if self.spare else [self.dev]

    @property
    def count(self) -> int:
        """Replies so far."""
        return sum(log.count for log in self.logs)

    @property
    def elapsed(self) -> float:
        """Seconds so far; each log counts from its first entry to its last."""
        return max(log.seconds for log in self.logs)

    def teachers(self, rows: Sequence[Row], position: Tensor) -> list[Tensor]:
        """Positions of the mixtures that write beside this one; see `complementary`."""
        objectives = self._job.objectives
        same = objectives.combine if ask_the_same(self._tasks) else None
        return complementary(rows, position, objectives.names, combine=same)

    def value(self, replies: Sequence[Reply]) -> float:
        """The value of replies to the dev prompts."""
        return self._row(self.dev.scores(replies)).value

    def row(self, best: Round) -> Row:
        """The scores of a round on dev, as the search scores it."""
        return self._row(self.dev.final(best.replies, best.model))

    @property
    def of_base(self) -> Row:
        """The scores of the base's replies to the dev prompts."""
        return self._row(self.dev.scores(self.dev.greedy(BASE, Answerer(Patch()))))

    def use(self, iteration: Iteration) -> Iterated:
        """What all took, with the rounds of the one that is handed over."""
        return Iterated(
            rounds=iteration.rounds,
            round=iteration.round,
            kept=0 if iteration.best is None else iteration.best.kept,
            replies=self.count,
            tokens=sum(log.tokens for log in self.logs),
            spare=len(self.log.identities) if self.spare else 0,
        )

    def _row(self, scores: Mapping[str, Score]) -> Row:
        return Row.of(scores, self._job.objectives.combine(list(scores.values())))


class ExpertIteration:
    """A model is trained on the best of its replies, again and again. What store and folder hold
    already is not made again.

    Args:
        job: whose tasks have written replies.
        position: that of the mixture to begin with, or of an expert, or of the base (all 0).
        replies: of all models.
        folder: holds, or will hold, the LoRAs of each round in ``round-N``, of the base's in
            ``base-round-N``.
        start: the name of the model to begin with, `START` or `BASE`.
        samples: replies to a prompt in a round; None: see `samples_of`.

    Attributes:
        floor: value that a reply to each prompt has to exceed to be learned from: the lower one of
            the base's and the start's.
        samples: replies to a prompt in a round.
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
        self._job, self._folder, self._all = job, folder, replies
        self._schedule = ON_SPARE if replies.spare else FULL
        self._start = start
        self._called = "expert iteration" + " from the base" * (start == BASE)
        models = {BASE: Answerer(Patch()), start: Answerer(job.space.realise(position))}
        first = [replies.log.greedy(name, model) for name, model in models.items()]
        self._replies = [list(of_prompt) for of_prompt in zip(*first, strict=True)]
        self.floor = [min(reply.value for reply in replies) for replies in self._replies]
        before = [replies.dev.greedy(name, model) for name, model in models.items()][-1]
        self._done = [Round(start, models[start], 0, before, replies.value(before))]
        self.samples = samples or samples_of(len(self.floor), len(before))

    def run(
        self,
        teachers: Sequence[Tensor] = (),
        seconds: float | None = None,
        say: Callable[[str], None] = lambda text: None,
        progress: Progress = lambda share: None,
    ) -> Iteration:
        """Train round by round, while dev gains more than a standard error.

        A round begins if there is time for one like the latest; the first, for writing its samples
        one after the other. The first round is always followed by a second: it is compared with a
        mixture that was chosen by the same prompts, whose score is optimistic.

        Args:
            teachers: positions of other mixtures; each takes the place of a sample in the first
                round.
            seconds: that all replies may take, with those before; None: any number.
            say: called with a sentence on each round.
            progress: called with the share that is done of what all rounds take, in 0..1.
        """
        latest = self.first * self._all.log.seconds_of_base
        for number in range(1, ROUNDS + 1):
            lead, begun = f"{self._called}: round {number}: ", self._all.elapsed
            if seconds is not None and begun + latest > seconds:
                say(f"{lead}no time is left for it")
                break
            items = self.write(teachers if number == 1 else ())
            lead += f"{len(items)} of {len(self.floor)} prompts have a better reply"
            if len(set(self.identities(items))) < LEAST_TRAINED:
                say(f"{lead}: too few to train on")
                break
            before, after = self.train(items, partial(_in_round, progress, number))
            latest = self._all.elapsed - begun
            gain = f"dev {before.value:.3f} to {after.value:.3f}"
            say(f"{lead} than before; trained on them, {gain}")
            if number > 1 and not gains(before.replies, after.replies):
                break
        return self.outcome()

    @property
    def first(self) -> int:
        """Samples of the first round."""
        return self.samples * (BARE if self._start == BASE else 1)

    def write(self, teachers: Sequence[Tensor]) -> dict[int, Choices]:
        """Have teachers and the latest model write replies; the best ones, by number of prompt."""
        latest, log = self._done[-1], self._all.log
        for number, position in enumerate(teachers, start=1):
            teacher = Answerer(self._job.space.realise(position))
            self._add(log.greedy(f"teacher-{number}", teacher))
        samples = self.samples if len(self._done) > 1 else self.first
        for sample in log.sampled(latest.name, latest.model, max(samples - len(teachers), 0)):
            self._add(sample)
        pairs = zip(self._replies, self.floor, strict=True)
        return log.training_items([best_reply(replies, floor) for replies, floor in pairs])

    def identities(self, items: Mapping[int, Choices]) -> list[object]:
        """Identity of each item."""
        return [self._all.log.identities[prompt] for prompt in items]

    def train(self, items: Mapping[int, Choices], progress: Progress) -> tuple[Round, Round]:
        """Train a new LoRA on these items; the rounds before and after."""
        name, prompts = round_name(self._start, len(self._done)), list(items)
        fitting = Fitting(
            self._job.engine,
            self._done[0].model.patch,
            list(items.values()),
            self._job.experts[0],
            self._job.config.seed,
            self._folder / name,
            self._schedule,
            self.identities(items),
            progress,
        )
        unseen = [([prompts[k] for k in fold], patch) for fold, patch in fitting.without_folds()]
        model = Answerer(fitting.whole(), unseen)
        replies = self._all.dev.greedy(name, model)
        if not self._all.spare:
            self._add(replies)
        self._done.append(Round(name, model, len(items), replies, self._all.value(replies)))
        return self._done[-2], self._done[-1]

    def outcome(self) -> Iteration:
        """The best of the rounds, and what all took."""
        _, *trained = self._done
        best = best_round(trained)
        return Iteration(
            best,
            rounds=len(trained),
            round=0 if best is None else self._done.index(best),
            passes=sum(self._schedule.passes(each.kept) for each in trained),
        )

    def _add(self, replies: Sequence[Reply]) -> None:
        """Add a reply to each prompt."""
        for of_prompt, reply in zip(self._replies, replies, strict=True):
            of_prompt.append(reply)


def _of_start(progress: Progress, number: int, starts: int, share: float) -> None:
    """The starts are trained one after the other."""
    progress((number - 1 + share) / starts)


def _in_round(progress: Progress, number: int, share: float) -> None:
    """Training is the second half of a round."""
    progress((number - 0.5 + share / 2) / ROUNDS)


def complementary(
    rows: Sequence[Row],
    chosen: Tensor,
    tasks: Sequence[str],
    count: int = TEACHERS,
    combine: Combine | None = None,
) -> list[Tensor]:
    """Positions of mixtures that score best beside the chosen one, if of each item the best counts;
    see `greedy_cover`.

    Args:
        rows: of a search in a space whose positions are coefficients, (n,).
        chosen: the mixture that is trained, (n,); if no row has it, the best of all comes first.
        tasks: of the rows' items; each counts alike.
        count: how many at most.
        combine: of the tasks' scores, if they all ask the same; each reply counts by what it makes.

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
    """Values of all items; of several tasks such that their sum is the sum of the tasks' means."""
    parts = [np.array(row.item_values(task)) for task in tasks]
    if combine is not None:
        return np.array([combined_value(combine, scores) for scores in zip(*parts, strict=True)])
    return np.concatenate([part / len(part) for part in parts])


def greedy_cover(values: Floats, known: Floats, count: int) -> list[int]:
    """Numbers of candidates that are added one by one, each where the sum of the items' best values
    gains most, of equals the first; fewer, if no other gains (Nemhauser, Wolsey & Fisher 1978).

    Args:
        values: of each candidate and item, (candidates, items).
        known: best value of each item so far, (items,).
        count: how many at most.

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


def best_round(rounds: Sequence[Round]) -> Round | None:
    """The round of the highest value, of equals the last; None of none."""
    return max(reversed(rounds), key=lambda round: round.value, default=None)


def best_reply(replies: Sequence[Reply], least: float) -> Reply | None:
    """The reply of the highest value if it is above `least`; of equals the shortest, then the
    first.

    Example:
        >>> best_reply([Reply("No.", 0.0), Reply("Yes, sure.", 1.0), Reply("Yes.", 1.0)], 0.0).text
        'Yes.'
    """
    best = max(replies, key=lambda reply: (reply.value, -len(reply.text)))
    return best if best.value > least else None


def gains(before: Sequence[Reply], after: Sequence[Reply]) -> bool:
    """Whether replies to the same prompts are better, by more than a standard error of the
    differences.
    """
    gain = score_of([new.value - old.value for old, new in zip(before, after, strict=True)])
    return gain.value > gain.stderr
