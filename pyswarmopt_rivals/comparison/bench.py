"""One task as all methods see it: the resident base, the experts, dev, test, and the cost of
evaluations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from pyswarmopt_groups.members.local import tokens_read
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.objectives import scorings_of
from pyswarmopt_llm.scores.metrics.questions.answer_format import TRIED, choose_scoring, trial_of
from pyswarmopt_llm.scores.metrics.questions.written import ItemsUtility
from pyswarmopt_llm.scores.metrics.registry import METRICS, Metric
from pyswarmopt_llm.scores.tasks import Scoring, Task, render_prompt
from pyswarmopt_llm.scores.tasks.answers import is_correct
from pyswarmopt_llm.searching.scoring.record import pack, unpack
from pyswarmopt_rivals.comparison.store import Store, patch_key
from pyswarmopt_rivals.methods.changes import as_patch
from pyswarmopt_rivals.methods.ensembles.panel import Answerer, Panel

Chats = Mapping[str, Sequence[Mapping[str, Any]]]
Answer = TypeVar("Answer")

PROMPTS = 200  # of an expert's own data that methods look at which want its inputs


@dataclass(eq=False)
class Bench:
    """A task and all that is needed to compete on it."""

    base: BaseModel
    engine: TransformersEngine
    experts: Sequence[Adapter]
    task: Task
    scoring: Scoring
    store: Store
    chats: Chats = field(default_factory=dict)  # expert name -> its training chats, if given
    metric: Metric = METRICS["accuracy"]
    _parts: dict[tuple[int, ...], ItemsUtility] = field(default_factory=dict, init=False)

    @cached_property
    def questions(self) -> dict[str, ItemsUtility]:
        """Split -> its items as the metric scores them."""
        return {
            split: self.metric.build(
                self.task.split(split), self.scoring, self.engine.chat, self.task.prompt
            )
            for split in ("dev", "test")
            if self.task.split(split)
        }

    @property
    def accuracy(self) -> dict[str, Accuracy]:
        """The splits as ensembles answer them, right or wrong; empty if another metric scores."""
        return {
            split: utility
            for split, utility in self.questions.items()
            if isinstance(utility, Accuracy)
        }

    @cached_property
    def panel(self) -> Panel:
        """The experts, for ensembles."""
        responses = None if self.store.path is None else self.store.path / "said.jsonl"
        return Panel(
            self.engine, {expert.info.name: as_patch(expert) for expert in self.experts}, responses
        )

    @cached_property
    def right_dev(self) -> list[tuple[str, str]]:
        """Each dev item's prompt, and its right answer as the model would have to write it."""
        return [
            (
                self.engine.chat(render_prompt(item, self.scoring, self.task.prompt)),
                item.answer if self.scoring == "letter" else item.answer_text,
            )
            for item in self.task.dev
        ]

    @cached_property
    def choices(self) -> Sequence[Choices]:
        """The dev items that have a right answer, as they are scored; by their answers under
        another metric.
        """
        accuracy = self.accuracy.get("dev")
        return (
            accuracy or Accuracy(self.task.dev, "generate", self.engine.chat, self.task.prompt)
        ).choices()

    @cached_property
    def tokens_per_item(self) -> float | None:
        """The tokens that one model reads to answer an item, mean over test (or dev); None if it is
        not known.
        """
        if self.scoring == "generate" or not self.accuracy:
            return None
        items = self.task.test or self.task.dev
        return sum(
            tokens_read(self.engine, item, self.scoring, self.task.prompt) for item in items
        ) / len(items)

    @property
    def dev_items(self) -> int:
        """Number of dev items."""
        return len(self.task.dev)

    def score(self, patch: Patch, split: str) -> tuple[Score, float]:
        """A candidate's score on a split and the seconds that it took, now or when it was first
        scored.
        """
        return self._score(patch, split, self.questions[split])

    def score_items(self, patch: Patch, items: Sequence[int]) -> tuple[Score, float]:
        """The same on some dev items alone."""
        chosen = tuple(items)
        if chosen not in self._parts:
            dev = self.task.split("dev")
            self._parts[chosen] = self.metric.build(
                [dev[i] for i in chosen], self.scoring, self.engine.chat, self.task.prompt
            )
        return self._score(patch, f"dev {','.join(map(str, chosen))}", self._parts[chosen])

    def loss(self, patch: Patch) -> tuple[float, float]:
        """Mean over dev items of -ln P(right answer | question), and the seconds."""

        def evaluate() -> dict[str, Any]:
            logs = self.engine.loglikelihood(self.right_dev)
            return {"loss": -sum(logs) / len(logs)}

        row = self._stored(patch, "loss", evaluate)
        return float(row["loss"]), float(row["seconds"])

    def ensemble_score(self, ensemble: Answerer, split: str) -> Score:
        """An ensemble's score on a split."""
        questions = self.accuracy[split]
        pairs = zip(questions.items, ensemble.answers(questions), strict=True)
        if questions.scoring == "generate":
            return score_of([float(is_correct(item, answer)) for item, answer in pairs])
        return score_of([float(item.answer == answer) for item, answer in pairs])

    def _score(self, patch: Patch, kind: str, questions: ItemsUtility) -> tuple[Score, float]:
        row = self._stored(patch, kind, lambda: {"items": pack(questions(self.engine).per_item)})
        return score_of(unpack(row["items"])), float(row["seconds"])

    def _stored(
        self, patch: Patch, kind: str, evaluate: Callable[[], dict[str, Any]]
    ) -> Mapping[str, Any]:
        key = patch_key(patch)
        if (self.task.name, kind, key) not in self.store.scores:
            start = time.perf_counter()
            self.engine.load(patch)
            row = evaluate()
            seconds = round(time.perf_counter() - start, 4)
            self.store.add_score(
                {"task": self.task.name, "kind": kind, "key": key, **row, "seconds": seconds}
            )
        return self.store.scores[self.task.name, kind, key]


def task_scoring(
    task: Task,
    setting: str,
    engine: TransformersEngine,
    experts: Sequence[Adapter],
    store: Store,
    metric: Metric,
) -> Scoring:
    """The scoring of a task; ``auto`` tries letters on the first experts as a search does, once,
    outside any budget.
    """
    possible = scorings_of(metric, setting, task)
    stored = store.scores.get((task.name, "scoring", "auto"))
    if len(possible) > 1 and stored is not None:
        return next(scoring for scoring in possible if scoring == stored["scoring"])

    def letters() -> list[Score]:
        trial, scores = trial_of(task, engine.chat), []
        for expert in experts[:TRIED]:
            engine.load(as_patch(expert))
            scores.append(trial(engine))
        return scores

    scoring = choose_scoring(possible, task.dev, letters)
    if len(possible) > 1:
        store.add_score({"task": task.name, "kind": "scoring", "key": "auto", "scoring": scoring})
    return scoring


class BudgetSpentError(RuntimeError):
    """The budget of item evaluations does not cover an evaluation."""


class BudgetedTrial:
    """A `baselines.method.Trial` on a bench with a budget of dev items; `trace` is its best-so-far
    curve.
    """

    def __init__(self, bench: Bench, budget: int) -> None:
        self.bench, self._budget = bench, budget
        self.model, self.tokenizer, self.base = (
            bench.engine.model,
            bench.engine.tokenizer,
            bench.base,
        )
        self.engine, self.choices = bench.engine, bench.choices
        self.spent = 0
        self.seconds_known = 0.0  # of scorings, whenever they were done
        self.seconds_here = 0.0  # of scorings, as this process waited for them
        self.trace: list[tuple[int, float]] = []

    @property
    def left(self) -> int:
        return self.items_left // self.bench.dev_items

    @property
    def items_left(self) -> int:
        return self._budget - self.spent

    def score(self, patch: Patch) -> Score:
        score = self.pay(lambda: (*self.bench.score(patch, "dev"), self.bench.dev_items))
        self.note(score.value)
        return score

    def score_items(self, patch: Patch, items: Sequence[int]) -> Score:
        """The score on these dev items alone, which is no point of the best-so-far curve."""
        return self.pay(
            lambda: (*self.bench.score_items(patch, items), len(items)), least=len(items)
        )

    def loss(self, patch: Patch) -> float:
        return self.pay(lambda: (*self.bench.loss(patch), self.bench.dev_items))

    def pay(
        self, evaluate: Callable[[], tuple[Answer, float, int]], least: int | None = None
    ) -> Answer:
        """Evaluate a candidate and charge it; the budget has to cover `least` items (default: all
        of dev).

        `evaluate` gives the answer, the seconds that it took, now or when it was first evaluated,
        and its items.
        """
        self._check(self.bench.dev_items if least is None else least)
        start = time.perf_counter()
        answer, seconds, items = evaluate()
        self.seconds_here += time.perf_counter() - start
        self.seconds_known += seconds
        self.spend(items)
        return answer

    def spend(self, items: int) -> None:
        self._check(items)
        self.spent += items

    def _check(self, items: int) -> None:
        if items > self.items_left:
            raise BudgetSpentError("the budget of item evaluations is spent")

    def note(self, value: float) -> None:
        """Add a dev score to the best-so-far curve."""
        self.trace.append((self.spent, max(value, self.trace[-1][1]) if self.trace else value))

    def load(self, patch: Patch) -> None:
        self.bench.engine.load(patch)

    def prompts(self, expert: str) -> Sequence[str]:
        """The questions of the expert's own data in the chat template, else the dev prompts."""
        chats = self.bench.chats.get(expert)
        if chats:
            return [
                self.bench.engine.chat(str(chat["messages"][0]["content"]))
                for chat in chats[:PROMPTS]
            ]
        return [context for context, _ in self.bench.right_dev]

    def examples(self, expert: str) -> Sequence[Mapping[str, Any]]:
        return self.bench.chats.get(expert, ())
