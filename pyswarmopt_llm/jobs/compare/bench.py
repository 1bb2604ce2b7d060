"""One task as all contestants meet it: the resident base, the experts, dev, test and what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from pyswarmopt_llm.baselines.ensembles.ensemble import Panel, Voice
from pyswarmopt_llm.baselines.searching.best_single import as_patch
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.record import pack, unpack
from pyswarmopt_llm.groups.members.local import tokens_read
from pyswarmopt_llm.jobs.compare.store import Store, patch_key
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.metrics.registry import METRICS, Metric
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.models.base import BaseModel
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.tasks import Item, Scoring, Task, is_correct, render_prompt

Chats = Mapping[str, Sequence[Mapping[str, Any]]]
Answer = TypeVar("Answer")

PROMPTS = 200  # of an expert's own data that methods look at which want its inputs


class Bench:
    """A task with everything that is needed to compete on it.

    Args:
        base: where the model came from.
        engine: holds it.
        experts: loaded adapters.
        task: dev and test.
        scoring: how items are asked.
        store: remembers scores.
        chats: expert name -> its training chats, where given.
        metric: how answers are scored.
    """

    def __init__(
        self,
        base: BaseModel,
        engine: TransformersEngine,
        experts: Sequence[Adapter],
        task: Task,
        scoring: Scoring,
        store: Store,
        chats: Chats,
        metric: Metric = METRICS["accuracy"],
    ) -> None:
        self.base, self.engine, self.experts, self.task, self.chats = base, engine, list(experts), task, chats
        self.scoring, self.metric, self.store = scoring, metric, store
        self.asked = {
            split: metric.build(task.split(split), scoring, engine.chat, task.prompt)
            for split in ("dev", "test")
            if task.split(split)
        }
        said = None if store.path is None else store.path / "said.jsonl"
        self.panel = Panel(engine, {expert.info.name: as_patch(expert) for expert in experts}, said)
        self.right_dev = _right_pairs(task.dev, scoring, engine, task.prompt)

    @cached_property
    def tokens_per_item(self) -> float | None:
        """What one model reads to answer an item, mean over test (or dev); None where it is not known."""
        if self.scoring == "generate" or not self.accuracy:
            return None
        items = self.task.test or self.task.dev
        return sum(tokens_read(self.engine, item, self.scoring, self.task.prompt) for item in items) / len(items)

    @property
    def accuracy(self) -> dict[str, Accuracy]:
        """The splits as ensembles are asked, whose answers are right or wrong; empty where another metric scores."""
        return {split: asked for split, asked in self.asked.items() if isinstance(asked, Accuracy)}

    @property
    def dev_items(self) -> int:
        """Number of dev items."""
        return len(self.task.dev)

    def score(self, patch: Patch, split: str) -> tuple[Score, float]:
        """A candidate's score on a split and the seconds it took, now or when it was first asked."""
        row = self._known(patch, split, lambda: {"items": pack(self.asked[split](self.engine).per_item)})
        return score_of(unpack(row["items"])), float(row["seconds"])

    def loss(self, patch: Patch) -> tuple[float, float]:
        """Mean over dev items of -ln P(right answer | question), and the seconds."""

        def ask() -> dict[str, Any]:
            found = self.engine.loglikelihood(self.right_dev)
            return {"loss": -sum(found) / len(found)}

        row = self._known(patch, "loss", ask)
        return float(row["loss"]), float(row["seconds"])

    def voice_score(self, voice: Voice, split: str) -> Score:
        """An ensemble's score on a split."""
        asked = self.accuracy[split]
        answers = voice.answers(asked)
        if asked.scoring == "generate":
            return score_of([float(is_correct(i, a)) for i, a in zip(asked.items, answers, strict=True)])
        return score_of([float(i.answer == a) for i, a in zip(asked.items, answers, strict=True)])

    def _known(self, patch: Patch, kind: str, ask: Callable[[], dict[str, Any]]) -> Mapping[str, Any]:
        key = patch_key(patch)
        if (self.task.name, kind, key) not in self.store.scores:
            start = time.perf_counter()
            self.engine.load(patch)
            found = ask()
            seconds = round(time.perf_counter() - start, 4)
            self.store.add_score({"task": self.task.name, "kind": kind, "key": key, **found, "seconds": seconds})
        return self.store.scores[self.task.name, kind, key]


def _right_pairs(
    items: Sequence[Item], scoring: Scoring, engine: TransformersEngine, template: str | None
) -> list[tuple[str, str]]:
    """Each item as it is asked, and its right answer as the model would have to write it."""
    return [
        (
            engine.chat(render_prompt(item, scoring, template)),
            item.answer if scoring == "letter" else item.answer_text,
        )
        for item in items
    ]


class BudgetedTrial:
    """A `baselines.method.Trial` on a bench: counts items, keeps the best-so-far curve.

    Args:
        bench: where.
        budget: dev items that may be asked.
    """

    def __init__(self, bench: Bench, budget: int) -> None:
        self._bench, self._budget = bench, budget
        self.model, self.tokenizer, self.base = bench.engine.model, bench.engine.tokenizer, bench.base
        self.spent = 0
        self.seconds_known = 0.0  # of scorings, whenever they were done
        self.seconds_here = 0.0  # of scorings, as this process waited for them
        self.trace: list[tuple[int, float]] = []

    @property
    def left(self) -> int:
        """How often the budget still pays for all dev items."""
        return (self._budget - self.spent) // self._bench.dev_items

    def score(self, patch: Patch) -> Score:
        """The dev score."""
        score = self.pay(lambda: (*self._bench.score(patch, "dev"), self._bench.dev_items))
        self.note(score.value)
        return score

    def loss(self, patch: Patch) -> float:
        """The loss of the right dev answers."""
        return self.pay(lambda: (*self._bench.loss(patch), self._bench.dev_items))

    def pay(self, ask: Callable[[], tuple[Answer, float, int]]) -> Answer:
        """Ask a candidate; `ask` gives the answer, the seconds it took, now or when it was first asked, and its items.

        Raises:
            RuntimeError: the budget does not pay for all dev items any more.
        """
        if self.left < 1:
            raise RuntimeError("the budget of item evaluations is spent")
        start = time.perf_counter()
        found, seconds, items = ask()
        self.seconds_here += time.perf_counter() - start
        self.seconds_known += seconds
        self.spend(items)
        return found

    def note(self, value: float) -> None:
        """A dev score, for the best-so-far curve."""
        self.trace.append((self.spent, max(value, self.trace[-1][1]) if self.trace else value))

    def load(self, patch: Patch) -> None:
        """Make the model ``base + patch``."""
        self._bench.engine.load(patch)

    def prompts(self, expert: str) -> Sequence[str]:
        """The questions of the expert's own data in the chat template, else the dev questions as they are asked."""
        chats = self._bench.chats.get(expert)
        if chats:
            return [self._bench.engine.chat(str(chat["messages"][0]["content"])) for chat in chats[:PROMPTS]]
        return [context for context, _ in self._bench.right_dev]

    def examples(self, expert: str) -> Sequence[Mapping[str, Any]]:
        """The expert's training chats; empty where none were given."""
        return self._bench.chats.get(expert, ())

    @property
    def items_left(self) -> int:
        """Item evaluations that the budget still pays for."""
        return self._budget - self.spent

    def spend(self, items: int) -> None:
        """Book passes over single items.

        Raises:
            RuntimeError: the budget lacks them.
        """
        if items > self.items_left:
            raise RuntimeError("the budget of item evaluations is spent")
        self.spent += items


__all__ = ["Bench", "BudgetedTrial"]
