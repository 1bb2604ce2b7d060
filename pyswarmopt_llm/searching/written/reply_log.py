"""Replies to prompts, with their scores, in a run's store.

Replies to all prompts of a split, greedy or sampled, are in the store by who wrote them. Tasks that all
ask the same prompts are several scores of one reply, which is written once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np

from pyswarmopt_llm.common.files.json_types import fits, wrong_field
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.engine.generation import Continuation, Draw
from pyswarmopt_llm.engine.transformers import on_transformers
from pyswarmopt_llm.engine.turns import reply_frame
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.combine import Combine, combined_value
from pyswarmopt_llm.scores.metrics.written import Written
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.fitting import BASE
from pyswarmopt_llm.searching.scoring.record import Store
from pyswarmopt_llm.searching.written.replies import storable

TEMPERATURE = 1.0
MOST = 20.0  # that a reply counts, before scaling
GREEDY = 0  # number of the reply that is not sampled; the others count from 1
_SHAPE = {"replies": list[str], "values": dict[str, list[float]], "seconds": float}
T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """A reply to a prompt.

    Attributes:
        text: as it was written.
        value: its score; of several, combined as the tasks' scores are.
        scores: by each of the tasks that have this prompt.
        cut: whether it ended by its length.
    """

    text: str
    value: float
    scores: tuple[float, ...] = ()
    cut: bool = False


def without_rounding(value: float) -> float:
    """A value to twelve digits: what sums leave behind them decides nothing.

    Example:
        >>> without_rounding(0.1 + 0.2), without_rounding(0.1 + 0.2 - 0.3)
        (0.3, 0.0)
    """
    return float(f"{round(value, 12):.12g}") + 0.0


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
        combine: combination of the tasks' scores.
        store: store of the run.
        seed: seed of the samples.
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
                for sample, replied in zip(missing, self._ask(deck, who, write), strict=True):
                    judged = self._judged(deck, replied)
                    self._store.add(names[sample], model, judged)
            for of_sample, what in zip(replies, names.values(), strict=True):
                row = self._store.get(what, model, dict, partial(_wrong, deck))
                self._rows[what, model] = row
                scores = zip(*(row["values"][task] for task in deck.tasks), strict=True)
                of_sample += map(self._reply, row["replies"], scores, self._cut(deck, row))
        return replies

    def _reply(self, text: str, scores: tuple[float, ...], cut: bool) -> Reply:
        value = scores[0] if len(scores) == 1 else combined_value(self._combine, scores)
        return Reply(text, without_rounding(value), scores, cut)

    def _cut(self, deck: _Deck, row: Mapping[str, Any]) -> list[bool]:
        """Which replies were cut off; in runs of versions that did not store it, those whose text
        has as many tokens as it may have.
        """
        if "cut" in row:
            return list(row["cut"])
        most = deck.prompts[0][2] + self._engine.thinking
        return [self._length(text) >= most for text in row["replies"]]

    def _judged(self, deck: _Deck, replies: Sequence[Continuation]) -> dict[str, Any]:
        """Replies with their scores, and the seconds since those before."""
        texts = [storable(reply.text) for reply in replies]
        cut = [reply.cut for reply in replies]
        values = {name: [*map(float, task.judge(texts))] for name, task in deck.tasks.items()}
        begun, self._latest = self._latest, time.monotonic()
        seconds = round(self._latest - begun, 3)
        return {"replies": texts, "cut": cut, "values": values, "seconds": seconds}

    def _write(
        self, model: str, samples: Sequence[int], deck: _Deck, own: Sequence[int]
    ) -> list[list[Continuation]]:
        """The loaded model's replies to some of a deck's prompts, sample by sample."""
        seeds: list[int] = []
        for sample in samples:
            draws = random.Random(f"{self._seed} {model} {sample} {deck.name}")
            of_sample = [draws.getrandbits(63) for _ in deck.prompts]
            seeds += [of_sample[index] for index in own]
        _, _, most = deck.prompts[0]
        prompts = [deck.prompts[index][1] for index in own] * len(samples)
        draw = None if samples == [GREEDY] else Draw(TEMPERATURE, tuple(seeds))
        written = iter(self._engine.write(prompts, most, draw))
        return [[next(written) for _ in own] for _ in samples]

    def _ask(
        self, deck: _Deck, who: Answerer, write: Callable[[Sequence[int]], list[list[T]]]
    ) -> list[list[T]]:
        """The replies to a deck's prompts, sample by sample: each of `who` writes its own."""
        replies: dict[int, tuple[T, ...]] = {}
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
            for (number, (_, prompt, _), reply), count in zip(there, counts, strict=True):
                text = opening + reply.text + ending * (not reply.cut)
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
    if "cut" in row and not fits(row["cut"], list[bool]):
        return "cut"
    lengths = {len(deck.prompts), len(row["replies"]), *map(len, row["values"].values())}
    lengths.add(len(row.get("cut", row["replies"])))
    return "replies" if len(lengths) > 1 else None
