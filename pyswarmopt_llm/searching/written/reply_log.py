"""Replies to prompts, with their scores, in a run's store: a line for each model's greedy reply, or
sample, to all prompts of a split.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.files.regular import storable
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.engine.chat import open_thought, reply_frame
from pyswarmopt_llm.engine.generation import Continuation, Draw
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.run.record import Row, Store
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.scores.metrics.metric import Written

TEMPERATURE = 1.0
MOST = 20.0  # greatest weight of a reply, before scaling
GREEDY = 0  # number of the greedy reply; samples count from 1


@dataclass(frozen=True)
class Replies:
    """A model's replies to all P prompts: a line of the store.

    Attributes:
        replies: text of each reply as written.
        cut: whether the length limit ended each.
        scores: score of each, without rounding errors.
    """

    replies: list[str]
    cut: list[bool]
    scores: list[float]


def best_replies(samples: Sequence[Replies], least: Floats) -> dict[int, int]:
    """Prompt -> number of the sample with the best reply, for prompts with a reply above `least`; of
    equal replies the shortest, then the first.

    Args:
        samples: replies to the same P prompts.
        least: (P,) values to beat.

    Example:
        >>> texts = ["No.", "Yes, sure."], ["Yes, sure.", "Yes."], ["Yes.", "Yes."]
        >>> values = [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]
        >>> samples = [Replies(text, [], own) for text, own in zip(texts, values)]
        >>> best_replies(samples, np.array([0.5, 1.0]))
        {0: 2}
    """
    values = np.array([sample.scores for sample in samples])
    sizes = np.array([[len(text) for text in sample.replies] for sample in samples])
    best = np.lexsort((sizes, -values), axis=0)[0]
    return {int(k): int(best[k]) for k in np.flatnonzero(values.max(axis=0) > least)}


@dataclass(frozen=True, eq=False)
class ReplyWriter:
    """A model that answers prompts. Prompts held out from a training are answered by the model that was
    trained without them.

    Attributes:
        name: its name in the store.
        patch: the model.
        unseen: prompt numbers, and the model that answers them.
    """

    name: str
    patch: Patch
    unseen: Sequence[tuple[Sequence[int], Patch]] = ()

    def shares(self, count: int) -> Iterator[tuple[Sequence[int], Patch]]:
        """Each model's share of the prompts."""
        held_out = {number for numbers, _ in self.unseen for number in numbers}
        rest = [number for number in range(count) if number not in held_out]
        yield from self.unseen
        if rest:
            yield rest, self.patch


def weights(values: Floats) -> list[float]:
    """Training weights of replies with these values, with mean 1.

    Proportional to exp of the value's standard score, at most 20 (advantage-weighted regression,
    Peng et al. 2019, arXiv 1910.00177, with the same limit). Where nearly all replies are about as
    good as the model's usual ones, with equal weights the few better replies would teach it next to
    nothing.

    Example:
        >>> [round(weight, 2) for weight in weights(np.array([0.75, 0.75, 0.75, 1.0]))]
        [0.31, 0.31, 0.31, 3.08]
    """
    if len(set(values.tolist())) < 2:
        return [1.0] * len(values)
    counts = np.minimum(np.exp((values - values.mean()) / values.std()), MOST)
    shares: list[float] = (counts / counts.mean()).tolist()
    return shares


@dataclass(eq=False)
class ReplyLog:
    """Replies by model and sample, in a run's store.

    Attributes:
        engine: a transformers engine.
        tasks: name -> prompts and scoring function.
        combine: combination of the tasks' scores.
        store: store of the run.
        seed: seed of the samples.
        what: name of the replies in the store.
        prompts: texts of all prompts.

    Raises:
        TypeError: the engine does not sample.
    """

    engine: Engine
    tasks: Mapping[str, Written]
    combine: Combine
    store: Store
    seed: int
    what: str = "replies"

    def __post_init__(self) -> None:
        self._engine = cast(TransformersEngine, self.engine)
        # task -> numbers of its prompts, and the most tokens of a reply
        self._asked: dict[str, tuple[range, int]] = {}
        self.prompts: list[str] = []
        for name, task in self.tasks.items():
            start = len(self.prompts)
            for _, text, most in task.texts():
                self.prompts.append(text)
                self._asked[name] = (range(start, len(self.prompts)), most)
        self._read = set[tuple[str, str]]()  # names of lines requested so far

    def greedy(self, model: ReplyWriter) -> Replies:
        """The greedy reply to each prompt, as `samples`."""
        return self.samples(model, [GREEDY])[0]

    def samples(self, model: ReplyWriter, numbers: Sequence[int]) -> list[Replies]:
        """Samples of replies to all prompts; missing ones are written together.

        Args:
            model: the model.
            numbers: numbers of the samples, or `GREEDY`.
        """
        names = {number: (f"{self.what} {number}", model.name) for number in numbers}
        missing = [number for number, name in names.items() if name not in self.store]
        if missing:
            written = self._written(model, missing)
            for number, replies in zip(missing, written, strict=True):
                self.store.add(*names[number], vars(self._judged(replies)))
        self._read.update(names.values())
        return [self.store.read(*name, Replies) for name in names.values()]

    def _written(self, model: ReplyWriter, samples: Sequence[int]) -> list[list[Continuation]]:
        """The model's replies, sample by sample and prompt by prompt."""
        found: dict[tuple[int, int], Continuation] = {}
        for share, patch in model.shares(len(self.prompts)):
            self._engine.load(patch)
            for numbers, most in self._asked.values():
                there = [number for number in share if number in numbers]
                asked = list(itertools.product(samples, there))
                draw = None
                if samples != [GREEDY]:
                    names = [f"{self.seed} {model.name} {sample} {k}" for sample, k in asked]
                    seeds = [random.Random(name).getrandbits(63) for name in names]
                    draw = Draw(TEMPERATURE, tuple(seeds))
                prompts = [self.prompts[number] for _, number in asked]
                found |= zip(asked, self._engine.write(prompts, most, draw), strict=True)
        return [
            [found[sample, number] for number in range(len(self.prompts))] for sample in samples
        ]

    def _judged(self, replies: Sequence[Continuation]) -> Replies:
        """Replies with their scores."""
        texts = [storable(reply.text) for reply in replies]
        scores: list[float] = []
        for task, (numbers, _) in self._asked.items():
            said = texts[numbers.start : numbers.stop]
            for score in self.tasks[task].judge(said, engine=self._engine):
                scores.append(float(f"{round(score, 12):.12g}"))
        return Replies(texts, [reply.cut for reply in replies], scores)

    def row(self, replies: Replies) -> Row:
        """The scores of replies to all prompts."""
        scores = {
            task: score_of(replies.scores[numbers.start : numbers.stop])
            for task, (numbers, _) in self._asked.items()
        }
        return Row.of(scores, self.combine(list(scores.values())))

    def training_items(
        self, samples: Sequence[Replies], best: Mapping[int, int]
    ) -> dict[int, Choices]:
        """Prompt number -> its best reply as a training item.

        A reply that was not cut off ends as in the model's chat template. `weights` gives its
        weight among its tasks' replies.

        Args:
            samples: replies to all prompts.
            best: prompt -> number of its sample, see `best_replies`.
        """
        opening, ending = reply_frame(self._engine.tokenizer)
        items = {}
        for numbers, _ in self._asked.values():
            there = [number for number in numbers if number in best]
            counts = weights(np.array([samples[best[k]].scores[k] for k in there]))
            for number, count in zip(there, counts, strict=True):
                chosen = samples[best[number]]
                reply = chosen.replies[number].removeprefix(open_thought(self.prompts[number]))
                text = opening + reply
                if not chosen.cut[number]:
                    text += ending
                if text:
                    items[number] = Choices(((self.prompts[number], text),), (1.0,), 0, count)
        return items

    @property
    def count(self) -> int:
        """Replies so far."""
        return len(self._read) * len(self.prompts)
