"""Replies to prompts, with their scores, in a run's store.

The store holds each model's greedy and sampled replies to all prompts of a split. Tasks with
identical prompts give several scores to one reply, which is written once.
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
MOST = 20.0  # greatest weight of a reply, before scaling
GREEDY = 0  # number of the greedy reply; samples count from 1
_SHAPE = {"replies": list[str], "values": dict[str, list[float]], "seconds": float}
T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """A reply to a prompt.

    Attributes:
        text: text as written.
        value: score; several tasks' scores combined.
        scores: score by each task that has this prompt.
        cut: whether the length limit ended it.
    """

    text: str
    value: float
    scores: tuple[float, ...] = ()
    cut: bool = False


def without_rounding(value: float) -> float:
    """A value rounded to twelve digits, so that rounding errors of sums decide nothing.

    Example:
        >>> without_rounding(0.1 + 0.2), without_rounding(0.1 + 0.2 - 0.3)
        (0.3, 0.0)
    """
    return float(f"{round(value, 12):.12g}") + 0.0


def best_reply(replies: Sequence[Reply], least: float) -> Reply | None:
    """The reply with the highest value, if above `least`; of equals the shortest, then the first.

    Example:
        >>> best_reply([Reply("No.", 0.0), Reply("Yes, sure.", 1.0), Reply("Yes.", 1.0)], 0.0).text
        'Yes.'
    """
    best = max(replies, key=lambda reply: (reply.value, -len(reply.text)))
    return best if best.value > least else None


def gains(before: Sequence[Reply], after: Sequence[Reply]) -> bool:
    """Whether the second replies to the same prompts are better by more than a standard error of
    the differences.
    """
    gain = score_of([new.value - old.value for old, new in zip(before, after, strict=True)])
    return gain.value > gain.stderr


@dataclass(frozen=True, eq=False)
class Answerer:
    """A model that answers prompts; models trained without some prompts answer those.

    Attributes:
        patch: the model.
        unseen: prompt numbers, and the model that answers them.
    """

    patch: Patch
    unseen: Sequence[tuple[Sequence[int], Patch]] = ()

    def shares(self, numbers: Sequence[int]) -> Iterator[tuple[Patch, list[int]]]:
        """Each model with its share of these prompt numbers."""
        left = list(numbers)
        for own, patch in self.unseen:
            if theirs := [number for number in left if number in own]:
                yield patch, theirs
            left = [number for number in left if number not in own]
        if left:
            yield self.patch, left


def weights(values: Sequence[float]) -> list[float]:
    """Training weights of replies with these values, with mean 1.

    Proportional to exp of the value's standard score, at most 20 (advantage-weighted regression,
    Peng et al. 2019, arXiv 1910.00177, with the same limit). Where nearly all replies are about as
    good as the model's usual ones, with equal weights the few better replies would teach it next to
    nothing.

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
    """Whether several tasks have the same prompts and length limits."""
    prompts = [[(text, most) for _, text, most in task.texts()] for task in tasks.values()]
    return len(prompts) > 1 and all(other == prompts[0] for other in prompts)


@dataclass(frozen=True, eq=False)
class _Deck:
    """Prompts, and the tasks that score replies to them.

    Attributes:
        tasks: name -> scoring function.
        first: number of the first prompt, counted over all decks.
    """

    tasks: Mapping[str, Written]
    first: int

    @cached_property
    def name(self) -> str:
        """The first task's name."""
        return next(iter(self.tasks))

    @cached_property
    def prompts(self) -> list[tuple[Item, str, int]]:
        """Item, text and length limit of each prompt."""
        return list(self.tasks[self.name].texts())

    @property
    def numbers(self) -> range:
        """Numbers of the prompts, counted over all decks."""
        return range(self.first, self.first + len(self.prompts))

    def part(self, replies: Sequence[T]) -> Sequence[T]:
        """The part for these prompts of replies to all prompts."""
        return replies[self.first : self.first + len(self.prompts)]


class ReplyLog:
    """Replies by model and sample, in a run's store.

    Args:
        engine: a transformers engine.
        tasks: name -> prompts and scoring function.
        combine: combination of the tasks' scores.
        store: store of the run.
        seed: seed of the samples.
        what: name of the replies in the store.

    Raises:
        TypeError: the engine does not sample.
        UserError: stored replies are damaged, or belong to other prompts.
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
        self._combine = combine
        self._store = store
        self._seed = seed
        self._what = what
        same = [tasks] if ask_the_same(tasks) else [{name: task} for name, task in tasks.items()]
        self._decks: list[_Deck] = []
        for scored in same:
            self._decks.append(_Deck(scored, sum(len(deck.prompts) for deck in self._decks)))
        self._rows: dict[tuple[str, str], Mapping[str, Any]] = {}  # requested so far
        self._latest = time.monotonic()

    def greedy(self, model: str, who: Answerer) -> list[Reply]:
        """The greedy reply to each prompt.

        Args:
            model: name of the model in the store.
            who: the model.
        """
        (replies,) = self._replies(model, who, [GREEDY])
        return replies

    def sampled(self, model: str, who: Answerer, count: int) -> list[list[Reply]]:
        """Samples, each a reply to each prompt; all are written together.

        Args:
            model: name of the model in the store.
            who: the model.
            count: number of samples.
        """
        return self._replies(model, who, range(1, count + 1))

    def _replies(self, model: str, who: Answerer, samples: Sequence[int]) -> list[list[Reply]]:
        """The replies to all prompts, sample by sample; missing ones are written."""
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
        """Whether each reply was cut off; runs of older versions did not store it: there a reply
        with the greatest number of tokens counts as cut off.
        """
        if "cut" in row:
            return list(row["cut"])
        most = deck.prompts[0][2] + self._engine.thinking
        return [self._length(text) >= most for text in row["replies"]]

    def _judged(self, deck: _Deck, replies: Sequence[Continuation]) -> dict[str, Any]:
        """Replies with their scores, and the seconds since the previous replies."""
        texts = [storable(reply.text) for reply in replies]
        cut = [reply.cut for reply in replies]
        values = {name: [*map(float, task.judge(texts))] for name, task in deck.tasks.items()}
        begun = self._latest
        self._latest = time.monotonic()
        seconds = round(self._latest - begun, 3)
        return {"replies": texts, "cut": cut, "values": values, "seconds": seconds}

    def _write(
        self, model: str, samples: Sequence[int], deck: _Deck, own: Sequence[int]
    ) -> list[list[Continuation]]:
        """The loaded model's replies to part of a deck's prompts, sample by sample."""
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
        """The replies to a deck's prompts, sample by sample; each model of `who` answers its share."""
        replies: dict[int, tuple[T, ...]] = {}
        for patch, numbers in who.shares(deck.numbers):
            self._engine.load(patch)
            texts = zip(*write([number - deck.first for number in numbers]), strict=True)
            replies |= zip(numbers, texts, strict=True)
        return [*map(list, zip(*(replies[number] for number in deck.numbers), strict=True))]

    def scores(self, replies: Sequence[Reply]) -> dict[str, Score]:
        """Task -> its score."""
        scores: dict[str, Score] = {}
        for deck in self._decks:
            by_task = zip(*(reply.scores for reply in deck.part(replies)), strict=True)
            scores |= zip(deck.tasks, map(score_of, by_task), strict=True)
        return scores

    def final(self, replies: Sequence[Reply], who: Answerer) -> dict[str, Score]:
        """Task -> its score, measured as in the search.

        Args:
            replies: greedy replies of `who`.
            who: the model; it answers again if the search scores samples.
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
        """Identity of each prompt's item: prompt, options and answers."""
        return [
            (prompt, tuple(item.options), tuple(item.references))
            for deck in self._decks
            for item, prompt, _ in deck.prompts
        ]

    def training_items(self, replies: Sequence[Reply | None]) -> dict[int, Choices]:
        """Prompt number -> its reply, if any, as a training item.

        A reply that was not cut off ends as in the model's chat template. `weights` gives its
        weight among its tasks' replies.
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
        """Time spent on the replies returned so far, with the training before them."""
        return sum(row["seconds"] for row in self._rows.values())

    @property
    def seconds_of_base(self) -> float:
        """The part of these seconds spent on the base's greedy replies."""
        names = {f"{self._what} {GREEDY} {deck.name}" for deck in self._decks}
        return sum(self._rows[what, BASE]["seconds"] for what in names)

    @property
    def tokens(self) -> int:
        """Number of tokens in all replies so far."""
        return sum(sum(map(self._length, row["replies"])) for row in self._rows.values())

    def _length(self, text: str) -> int:
        return len(self._engine.tokenizer(text, add_special_tokens=False)["input_ids"])


def _wrong(deck: _Deck, row: Mapping[str, Any]) -> str | None:
    """The first field of an entry that does not match a deck's prompts and tasks."""
    if field := wrong_field(row, _SHAPE):
        return field
    if row["values"].keys() != deck.tasks.keys():
        return "values"
    if "cut" in row and not fits(row["cut"], list[bool]):
        return "cut"
    lengths = {len(deck.prompts), len(row["replies"]), *map(len, row["values"].values())}
    lengths.add(len(row.get("cut", row["replies"])))
    return "replies" if len(lengths) > 1 else None
