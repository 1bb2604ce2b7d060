"""Replies to all dev prompts, greedy or sampled, with their scores, in a run's store.

Tasks that all ask the same prompts are several scores of one reply, which is written once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Any

import numpy as np

from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.engine.chat import reply_frame
from pyswarmopt_llm.engine.generation import Draw
from pyswarmopt_llm.engine.transformers import on_transformers
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.combine import Combine, combined_value
from pyswarmopt_llm.scores.metrics.questions.written import Written
from pyswarmopt_llm.searching.scoring.store import Store
from pyswarmopt_llm.searching.written.replies import storable

TEMPERATURE = 1.0
MOST = 20.0  # that a reply counts, before scaling
GREEDY = 0  # number of the reply that is not sampled; the others count from 1
_SHAPE = {
    **{"model": str, "sample": int, "task": str, "replies": list[str], "values": list[float]},
    **{"seconds": float},
}


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
    """A model that answers; to prompts at some places another one does, that was trained without
    them.

    Attributes:
        patch: the model.
        unseen: places of prompts, and who answers these.
    """

    patch: Patch
    unseen: Sequence[tuple[Sequence[int], Patch]] = ()

    def shares(self, places: Sequence[int]) -> Iterator[tuple[Patch, list[int]]]:
        """Who answers, and the places of the prompts, of these alone."""
        rest = list(places)
        for own, patch in self.unseen:
            if there := [place for place in rest if place in own]:
                yield patch, there
            rest = [place for place in rest if place not in own]
        if rest:
            yield self.patch, rest


def weights(values: Sequence[float]) -> list[float]:
    """How much replies of these values count in training, 1 in the mean.

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
    above = (every - every.mean()) / every.std()
    counts = np.minimum(np.exp(above), MOST)
    shares: list[float] = (counts / counts.mean()).tolist()
    return shares


def ask_the_same(tasks: Mapping[str, Written]) -> bool:
    """Whether several tasks have the same prompts, and replies of the same length."""
    asked = [[(text, most) for _, text, most in utility.texts()] for utility in tasks.values()]
    return len(asked) > 1 and all(prompts == asked[0] for prompts in asked)


class ReplyLog:
    """Replies in a run's store, by model, sample and task.

    Args:
        engine: the one on transformers.
        tasks: name -> the dev prompts, and how replies are scored.
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
        self._tasks, self._combine, self._seed = tasks, combine, seed
        self._store, self._what = store, what
        # tasks that score the same replies
        self._groups: list[tuple[str, ...]] = [(name,) for name in tasks]
        if ask_the_same(tasks):
            self._groups = [tuple(tasks)]
        self._prompts = {group: list(tasks[group[0]].texts()) for group in self._groups}
        self._rows: dict[tuple[str, int, str], Mapping[str, Any]] = {}  # asked for so far
        self._latest = time.monotonic()

    def greedy(self, model: str, who: Answerer) -> list[Reply]:
        """The reply to each prompt.

        Args:
            model: its name in the store.
            who: answers.
        """
        self._complete(model, who, [GREEDY])
        return self._replies(model, GREEDY)

    def sampled(self, model: str, who: Answerer, count: int) -> list[list[Reply]]:
        """Samples, each a reply to each prompt; they are written together.

        Args:
            model: its name in the store.
            who: answers.
            count: number of samples.
        """
        samples = range(1, count + 1)
        self._complete(model, who, samples)
        return [self._replies(model, sample) for sample in samples]

    def _replies(self, model: str, sample: int) -> list[Reply]:
        replies: list[Reply] = []
        for group in self._groups:
            rows = [self._row(model, sample, task) for task in group]
            scores = zip(*(row["values"] for row in rows), strict=True)
            replies += map(self._reply, rows[0]["replies"], scores)
        return replies

    def _reply(self, text: str, scores: tuple[float, ...]) -> Reply:
        value = scores[0] if len(scores) == 1 else combined_value(self._combine, scores)
        return Reply(text, without_rounding(value), scores)

    def _complete(self, model: str, who: Answerer, samples: Sequence[int]) -> None:
        """Have the model write what is not there, score it, and keep both."""
        missing = {}
        for group in self._groups:
            missing[group] = [sample for sample in samples if self._lacks(model, sample, group)]
        if not any(missing.values()):
            return
        for group, numbers in missing.items():
            written = self._written(model, who, numbers, group) if numbers else []
            for sample, texts in zip(numbers, written, strict=True):
                for task in self._lacks(model, sample, group):
                    self._keep(model, sample, task, list(map(storable, texts)))

    def _row(self, model: str, sample: int, task: str) -> Mapping[str, Any]:
        """What the store has of them."""
        row = self._store.get(self._name(sample, task), model, dict, self._wrong)
        self._rows[model, sample, task] = row
        return row

    def _name(self, sample: int, task: str) -> str:
        return f"{self._what} {sample} {task}"

    def _lacks(self, model: str, sample: int, group: tuple[str, ...]) -> list[str]:
        """The tasks of which the store has nothing."""
        return [task for task in group if (self._name(sample, task), model) not in self._store]

    def _written(
        self, model: str, who: Answerer, samples: Sequence[int], group: tuple[str, ...]
    ) -> list[list[str]]:
        """The replies to a group's prompts, sample by sample."""
        task = self._tasks[group[0]]
        if samples == [GREEDY]:
            return self._by_place(group, who, lambda places: [task.answers(self._engine, places)])
        seeds = []
        for sample in samples:
            draws = random.Random(f"{self._seed} {model} {sample} {group[0]}")
            seeds.append([draws.getrandbits(63) for _ in self._prompts[group]])

        def write(places: Sequence[int]) -> list[list[str]]:
            prompts = [self._prompts[group][place][1] for place in places]
            own = tuple(of_sample[place] for of_sample in seeds for place in places)
            draw, most = Draw(TEMPERATURE, own), self._prompts[group][0][2]
            texts = iter(self._engine.generate(prompts * len(samples), most, draw))
            return [[next(texts) for _ in places] for _ in samples]

        return self._by_place(group, who, write)

    def _by_place(
        self,
        group: tuple[str, ...],
        who: Answerer,
        write: Callable[[Sequence[int]], list[list[str]]],
    ) -> list[list[str]]:
        """The replies to a group's prompts, sample by sample: each of `who` writes those to its
        places in the group.
        """
        earlier = self._groups[: self._groups.index(group)]
        first = sum(len(self._prompts[other]) for other in earlier)
        size = len(self._prompts[group])
        found: dict[int, tuple[str, ...]] = {}
        for patch, places in who.shares(range(first, first + size)):
            self._engine.load(patch)
            texts = zip(*write([place - first for place in places]), strict=True)
            found |= zip(places, texts, strict=True)
        return [*map(list, zip(*(found[first + k] for k in range(size)), strict=True))]

    def _keep(self, model: str, sample: int, task: str, texts: Sequence[str]) -> None:
        """Score replies and store them, with the seconds since those before."""
        values = [float(value) for value in self._tasks[task].judge(texts)]
        row = {"model": model, "sample": sample, "task": task, "replies": texts, "values": values}
        now = time.monotonic()
        row["seconds"] = round(now - self._latest, 3)
        self._latest = now
        self._store.add(self._name(sample, task), model, row)

    def scores(self, replies: Sequence[Reply]) -> dict[str, Score]:
        """The score of each task, by its name."""
        rest = iter(replies)
        scores = {}
        for group, prompts in self._prompts.items():
            by_task = zip(*(reply.scores for reply in islice(rest, len(prompts))), strict=True)
            for name, values in zip(group, by_task, strict=True):
                scores[name] = self._tasks[name].score(values)
        return scores

    def final(self, replies: Sequence[Reply], who: Answerer) -> dict[str, Score]:
        """The score of each task as the search scores it, by its name.

        Args:
            replies: greedy ones of `who`.
            who: answers again where the search scores samples.
        """
        rest = iter(replies)
        scores: dict[str, Score] = {}
        for group, prompts in self._prompts.items():
            task, texts = self._tasks[group[0]], [x.text for x in islice(rest, len(prompts))]
            samples = [texts]
            if task.sampled:
                samples = self._by_place(group, who, partial(task.samples, self._engine))
            scores |= {name: self._tasks[name].score_samples(samples) for name in group}
        return scores

    @cached_property
    def identities(self) -> list[Hashable]:
        """What the item of each prompt is known by: the prompt, its options and its answers."""
        return [
            (prompt, tuple((item.choices or {}).values()), tuple(item.references))
            for prompts in self._prompts.values()
            for item, prompt, _ in prompts
        ]

    def training_items(self, replies: Sequence[Reply | None]) -> dict[int, Choices]:
        """The replies that are there, each after its prompt, as they are trained on, by place.

        A reply that was not cut off ends as the model's chat template has it. How much it counts
        among those of its tasks is said by `weights`.
        """
        opening, ending = reply_frame(self._engine.tokenizer)
        rest = iter(enumerate(replies))
        items = {}
        for prompts in self._prompts.values():
            kept = [
                (place, prompt, most, reply)
                for (_, prompt, most), (place, reply) in zip(
                    prompts, islice(rest, len(prompts)), strict=True
                )
                if reply is not None
            ]
            counts = weights([reply.value for *_, reply in kept])
            for (place, prompt, most, reply), count in zip(kept, counts, strict=True):
                text = opening + reply.text + ending * (self._length(reply.text) < most)
                if text:
                    items[place] = Choices(((prompt, text),), (1.0,), 0, count)
        return items

    @property
    def count(self) -> int:
        """Replies so far."""
        return sum(len(texts) for texts in self._texts())

    @property
    def seconds(self) -> float:
        """Time that the replies returned so far took when they were written, with the training
        before them.
        """
        return sum(row["seconds"] for row in self._rows.values())

    @property
    def tokens(self) -> int:
        """Tokens of all replies so far."""
        return sum(sum(map(self._length, texts)) for texts in self._texts())

    def _texts(self) -> Iterator[list[str]]:
        """Replies, those that several tasks score once."""
        firsts = {group[0] for group in self._groups}
        return (row["replies"] for row in self._rows.values() if row["task"] in firsts)

    def _length(self, text: str) -> int:
        return len(self._engine.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _wrong(self, row: Mapping[str, Any]) -> str | None:
        """The first field of a line that is not as `_keep` writes it."""
        if field := wrong_field(row, _SHAPE):
            return field
        for group, prompts in self._prompts.items():
            if row["task"] in group:
                lengths = {len(row["replies"]), len(row["values"]), len(prompts)}
                return "replies" if len(lengths) > 1 else None
        return "task"


__all__ = ["Answerer", "Reply", "ReplyLog", "ask_the_same", "weights", "without_rounding"]
