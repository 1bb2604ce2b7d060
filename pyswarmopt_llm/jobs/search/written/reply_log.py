"""Replies to all dev prompts, greedy or sampled, with their scores; a file keeps them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.jobs.search.written.replies import storable
from pyswarmopt_llm.metrics.questions.written import Written
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.models.engines.generation.write import Draw
from pyswarmopt_llm.models.engines.transformers import on_transformers
from pyswarmopt_llm.models.training.chats import reply_frame

TEMPERATURE = 1.0
GREEDY = 0  # number of the reply that is not sampled; the others count from 1
_SHAPE = {"model": str, "sample": int, "task": str, "replies": list[str], "values": list[float]}


@dataclass(frozen=True)
class Reply:
    """A reply to a prompt, and its score."""

    text: str
    value: float


class ReplyLog:
    """A file of replies, one line for each model, sample and task.

    Args:
        engine: the one on transformers.
        tasks: name -> the dev prompts, and how replies are scored.
        file: holds the lines.
        seed: of the samples.

    Raises:
        TypeError: another engine, which does not sample.
        UserError: the file is damaged, or has replies to other prompts.
    """

    def __init__(self, engine: Engine, tasks: Mapping[str, Written], file: Path, seed: int) -> None:
        self._engine = on_transformers(engine, "replies are sampled")
        self._tasks, self._file, self._seed = tasks, file, seed
        self._prompts = {name: list(utility.texts()) for name, utility in tasks.items()}
        self._log = AppendLog(file, "restore it, or remove this line and those after it", self._wrong)
        rows = self._log.repaired() if file.exists() else []
        self._rows = {(row["model"], row["sample"], row["task"]): row for row in rows}

    def greedy(self, model: str, patch: Patch) -> list[Reply]:
        """The reply to each prompt of all tasks.

        Args:
            model: its name in the file.
            patch: the model.
        """
        (replies,) = self._replies(model, patch, [GREEDY])
        return replies

    def sampled(self, model: str, patch: Patch, count: int, on_sample: Callable[[float], None]) -> list[list[Reply]]:
        """So many samples, each a reply to each prompt of all tasks.

        Args:
            model: its name in the file.
            patch: the model.
            count: number of samples.
            on_sample: called after each with the share that is done, in 0..1.
        """
        samples = []
        for number, replies in enumerate(self._replies(model, patch, range(1, count + 1)), start=1):
            samples.append(replies)
            on_sample(number / count)
        return samples

    def _replies(self, model: str, patch: Patch, samples: Sequence[int]) -> Iterator[list[Reply]]:
        loaded = False
        for sample in samples:
            replies: list[Reply] = []
            for task in self._tasks:
                if (model, sample, task) not in self._rows:
                    if not loaded:
                        self._engine.load(patch)
                        loaded = True
                    self._write(model, sample, task)
                row = self._rows[model, sample, task]
                pairs = zip(row["replies"], row["values"], strict=True)
                replies += [Reply(text, value) for text, value in pairs]
            yield replies

    def _write(self, model: str, sample: int, task: str) -> None:
        """Have the loaded model write replies, score them, and keep both."""
        utility = self._tasks[task]
        if sample == GREEDY:
            texts = utility.answers(self._engine)
        else:
            draws = random.Random(f"{self._seed} {model} {sample} {task}")
            prompts = self._prompts[task]
            draw = Draw(TEMPERATURE, tuple(draws.getrandbits(63) for _ in prompts))
            texts = self._engine.sample([prompt for _, prompt, _ in prompts], draw, prompts[0][2])
        texts = [storable(text) for text in texts]
        values = [float(value) for value in utility.judge(texts)]
        row = {"model": model, "sample": sample, "task": task, "replies": texts, "values": values}
        self._file.parent.mkdir(exist_ok=True)
        self._log.append(row)
        self._rows[model, sample, task] = row

    def scores(self, replies: Sequence[Reply]) -> list[Score]:
        """The score of each task."""
        values = iter([reply.value for reply in replies])
        return [score_of([next(values) for _ in prompts]) for prompts in self._prompts.values()]

    def training_items(self, replies: Sequence[Reply | None]) -> list[Choices]:
        """The replies that are there, each after its prompt, as they are trained on.

        A reply that was not cut off ends as the model's chat template has it.
        """
        opening, ending = reply_frame(self._engine.tokenizer)
        questions = [question for prompts in self._prompts.values() for question in prompts]
        items = []
        for (_, prompt, most), reply in zip(questions, replies, strict=True):
            if reply is not None:
                text = reply.text + ending * (self._length(reply.text) < most)
                items.append(Choices(((prompt, opening + text),), (1.0,), 0))
        return [item for item in items if item.pairs[0][1]]

    @property
    def count(self) -> int:
        """Replies so far."""
        return sum(len(row["replies"]) for row in self._rows.values())

    @property
    def tokens(self) -> int:
        """Tokens of all replies so far."""
        return sum(sum(map(self._length, row["replies"])) for row in self._rows.values())

    def _length(self, text: str) -> int:
        return len(self._engine.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _wrong(self, row: Mapping[str, Any]) -> str | None:
        """The first field of a line that is not as `_write` writes it."""
        if field := wrong_field(row, _SHAPE):
            return field
        if row["task"] not in self._prompts:
            return "task"
        lengths = {len(row["replies"]), len(row["values"]), len(self._prompts[row["task"]])}
        return "replies" if len(lengths) > 1 else None


__all__ = ["Reply", "ReplyLog"]
