"""Replies to all dev prompts, greedy or sampled, with their scores; a file keeps them.

Tasks that all ask the same prompts are several scores of one reply, which is written once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.jobs.search.written.replies import storable
from pyswarmopt_llm.metrics.combine import Combine, combined_value
from pyswarmopt_llm.metrics.questions.written import Written
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.models.engines.generation.write import Draw
from pyswarmopt_llm.models.engines.transformers import on_transformers
from pyswarmopt_llm.models.training.chats import reply_frame

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
    """A file of replies, one line for each model, sample and task.

    Args:
        engine: the one on transformers.
        tasks: name -> the dev prompts, and how replies are scored.
        combine: of the tasks' scores.
        file: holds the lines.
        seed: of the samples.

    Raises:
        TypeError: another engine, which does not sample.
        UserError: the file is damaged, or has replies to other prompts.
    """

    def __init__(
        self,
        engine: Engine,
        tasks: Mapping[str, Written],
        combine: Combine,
        file: Path,
        seed: int,
    ) -> None:
        self._engine = on_transformers(engine, "replies are sampled")
        self._tasks, self._combine, self._file, self._seed = tasks, combine, file, seed
        # tasks that score the same replies
        self._groups = [tuple(tasks)] if ask_the_same(tasks) else [(name,) for name in tasks]
        self._prompts = {group: list(tasks[group[0]].texts()) for group in self._groups}
        self._log = AppendLog(
            file, "restore it, or remove this line and those after it", self._wrong
        )
        rows = self._log.repaired() if file.exists() else []
        self._rows = {(row["model"], row["sample"], row["task"]): row for row in rows}
        self._seconds: dict[tuple[str, int, str], float] = {}  # of what was asked for so far
        self._latest = time.monotonic()

    def greedy(self, model: str, patch: Patch) -> list[Reply]:
        """The reply to each prompt.

        Args:
            model: its name in the file.
            patch: the model.
        """
        self._complete(model, patch, [GREEDY])
        return self._replies(model, GREEDY)

    def sampled(self, model: str, patch: Patch, count: int) -> list[list[Reply]]:
        """Samples, each a reply to each prompt; they are written together.

        Args:
            model: its name in the file.
            patch: the model.
            count: number of samples.
        """
        samples = range(1, count + 1)
        self._complete(model, patch, samples)
        return [self._replies(model, sample) for sample in samples]

    def _replies(self, model: str, sample: int) -> list[Reply]:
        replies: list[Reply] = []
        for group in self._groups:
            rows = [self._rows[model, sample, task] for task in group]
            for task, row in zip(group, rows, strict=True):
                self._seconds[model, sample, task] = row["seconds"]
            scores = zip(*(row["values"] for row in rows), strict=True)
            replies += map(self._reply, rows[0]["replies"], scores)
        return replies

    def _reply(self, text: str, scores: tuple[float, ...]) -> Reply:
        value = scores[0] if len(scores) == 1 else combined_value(self._combine, scores)
        return Reply(text, without_rounding(value), scores)

    def _complete(self, model: str, patch: Patch, samples: Sequence[int]) -> None:
        """Have the model write what is not there, score it, and keep both."""
        missing = {}
        for group in self._groups:
            missing[group] = [sample for sample in samples if self._lacks(model, sample, group)]
        if not any(missing.values()):
            return
        self._engine.load(patch)
        for group, numbers in missing.items():
            texts = self._written(model, numbers, group)
            for sample in numbers:
                replies = [storable(next(texts)) for _ in self._prompts[group]]
                for task in self._lacks(model, sample, group):
                    self._keep(model, sample, task, replies)

    def _lacks(self, model: str, sample: int, group: tuple[str, ...]) -> list[str]:
        """The tasks of which the file has no line."""
        return [task for task in group if (model, sample, task) not in self._rows]

    def _written(self, model: str, samples: Sequence[int], group: tuple[str, ...]) -> Iterator[str]:
        """The replies of the loaded model to a group's prompts, sample by sample."""
        task = group[0]
        if samples == [GREEDY]:
            return iter(self._tasks[task].answers(self._engine))
        prompts = [prompt for _, prompt, _ in self._prompts[group]]
        most = self._prompts[group][0][2]
        seeds: list[int] = []
        for sample in samples:
            draws = random.Random(f"{self._seed} {model} {sample} {task}")
            seeds += [draws.getrandbits(63) for _ in prompts]
        return iter(
            self._engine.sample(prompts * len(samples), Draw(TEMPERATURE, tuple(seeds)), most)
        )

    def _keep(self, model: str, sample: int, task: str, texts: Sequence[str]) -> None:
        """Score replies and append them to the file, with the seconds since the line before."""
        values = [float(value) for value in self._tasks[task].judge(texts)]
        row = {"model": model, "sample": sample, "task": task, "replies": texts, "values": values}
        now = time.monotonic()
        row["seconds"] = round(now - self._latest, 3)
        self._latest = now
        self._file.parent.mkdir(exist_ok=True)
        self._log.append(row)
        self._rows[model, sample, task] = row

    def scores(self, replies: Sequence[Reply]) -> dict[str, Score]:
        """The score of each task, by its name."""
        rest = iter(replies)
        scores = {}
        for group, prompts in self._prompts.items():
            by_task = zip(*(reply.scores for reply in islice(rest, len(prompts))), strict=True)
            for name, values in zip(group, by_task, strict=True):
                scores[name] = self._tasks[name].score(values)
        return scores

    def training_items(self, replies: Sequence[Reply | None]) -> list[Choices]:
        """The replies that are there, each after its prompt, as they are trained on.

        A reply that was not cut off ends as the model's chat template has it. How much it counts
        among those of its tasks is said by `weights`.
        """
        opening, ending = reply_frame(self._engine.tokenizer)
        rest = iter(replies)
        items = []
        for prompts in self._prompts.values():
            kept = [
                (prompt, most, reply)
                for (_, prompt, most), reply in zip(
                    prompts, islice(rest, len(prompts)), strict=True
                )
                if reply is not None
            ]
            counts = weights([reply.value for *_, reply in kept])
            for (prompt, most, reply), count in zip(kept, counts, strict=True):
                text = reply.text + ending * (self._length(reply.text) < most)
                items.append(Choices(((prompt, opening + text),), (1.0,), 0, count))
        return [item for item in items if item.pairs[0][1]]

    @property
    def count(self) -> int:
        """Replies so far."""
        return sum(len(texts) for texts in self._texts())

    @property
    def seconds(self) -> float:
        """Time that the replies returned so far took when they were written, with the training
        before them.
        """
        return sum(self._seconds.values())

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


__all__ = ["Reply", "ReplyLog", "ask_the_same", "weights", "without_rounding"]
