"""A task as all methods see it: loaded base, experts, dev, test, and the cost of evaluations."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.engine.chat import split_chat
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import Adapter, load_adapter
from pyswarmopt_llm.experts.base import BaseModel, refuse_quantised, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.run.record import Row, Store
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import TRIED, Accuracy, choose_answer_format, trial_of
from pyswarmopt_llm.scores.metrics.metric import ACCURACY, ItemsUtility, Metric
from pyswarmopt_llm.scores.metrics.objectives import answer_formats_of
from pyswarmopt_llm.scores.tasks.types import SPLITS, AnswerFormat, Task
from pyswarmopt_llm.training.examples import TrainingOptions
from pyswarmopt_rivals.panel import Panel

Chats = Mapping[str, Sequence[Mapping[str, Any]]]

PROMPTS = 200  # chats of an expert's own data used by methods that need its inputs


@dataclass(eq=False)
class Bench:
    """A task and everything needed to compete on it.

    The store keeps every score, by task, kind and the candidate's weights; kinds are ``dev``,
    ``test``, ``loss``, and names that start with ``modelled``.
    """

    base: BaseModel
    engine: TransformersEngine
    experts: Sequence[Adapter]
    task: Task
    answer_format: AnswerFormat = "generate"
    store: Store = field(default_factory=lambda: Store(None))
    chats: Chats = field(default_factory=dict)  # expert name -> its training chats, if given
    schedule: TrainingOptions = TrainingOptions(heldout=0)  # epochs and learning rate of data merge
    # seed -> what data merge trained, which all tasks share, and its seconds
    unions: dict[int, tuple[Patch, float]] = field(default_factory=dict)
    metric: Metric = ACCURACY
    replayed_seconds: float = 0.0  # seconds of stored scorings, for which a method did not wait

    @cached_property
    def questions(self) -> dict[str, ItemsUtility]:
        """Split -> its items, prepared for the metric."""
        questions = {}
        for split in SPLITS:
            if items := self.task.split(split):
                how = (self.answer_format, self.engine.chat, self.task.prompt)
                questions[split] = self.metric.on(items, *how)
        return questions

    @property
    def accuracy(self) -> dict[str, Accuracy]:
        """The splits for ensembles, scored right or wrong; empty if another metric scores."""
        splits = self.questions.items()
        return {split: scored for split, scored in splits if isinstance(scored, Accuracy)}

    @cached_property
    def labelled(self) -> Accuracy:
        """The dev items with their right answers; under another metric, the answers are written."""
        written = Accuracy(self.task.dev, "generate", self.engine.chat, self.task.prompt)
        return self.accuracy.get("dev", written)

    @cached_property
    def choices(self) -> Sequence[Choices]:
        """The dev items with a right answer, prepared for scoring."""
        return self.labelled.choices()

    @property
    def dev_items(self) -> int:
        """Number of dev items."""
        return len(self.task.dev)

    @cached_property
    def panel(self) -> Panel:
        """The experts as a panel; they answer an item once for all ensembles."""
        return Panel(self.engine, [as_patch(expert) for expert in self.experts])

    def settled(self, setting: str, store: Store) -> Bench:
        """The bench with a store and the final answer format.

        ``auto`` tries letters on the first experts like a search, once, outside all budgets.
        """
        possible = answer_formats_of(self.metric, setting, self.task)
        if len(possible) == 1:
            return replace(self, store=store, answer_format=possible[0])

        def choose() -> dict[str, AnswerFormat]:
            trial = trial_of(self.task, self.engine.chat)
            scores = []
            for expert in self.experts[:TRIED]:
                self.engine.load(as_patch(expert))
                scores.append(trial(self.engine))
            return {"scoring": choose_answer_format(possible, self.task.dev, scores)}

        what = f"{self.task.name} scoring"
        row = store.get(what, setting, choose)
        if row.get("scoring") not in possible:
            raise store.damaged(what, setting, "scoring")
        return replace(self, store=store, answer_format=row["scoring"])

    def score(self, patch: Patch, split: str) -> Score:
        """A candidate's score on a split.

        Raises:
            InvalidOption: the metric scores all examples together.
        """
        return self._scored(patch, split).tasks[self.task.name]

    def _scored(self, patch: Patch, split: str) -> Row:
        return self._stored(patch, split, lambda: self._asked(split))

    def _asked(self, split: str) -> Score:
        score = self.questions[split](self.engine)
        if score.whole:
            why = "gives one number for all replies, but methods are compared by example; return a list"
            raise InvalidOption("metric", self.metric.name, why)
        return score

    @cached_property
    def pace(self) -> float:
        """Seconds per dev item, measured on the first expert; 0 if items cost money."""
        if self.metric.usage is not None:
            return 0.0
        row = self._scored(as_patch(self.experts[0]), "dev")
        return row.seconds / row.n

    def loss(self, patch: Patch) -> float:
        """Mean over dev items of -ln P(right answer | question)."""
        right = [item.pairs[item.right] for item in self.choices]
        row = self._stored(patch, "loss", lambda: score_of(self.engine.loglikelihood(right)))
        return -row.tasks[self.task.name].value

    def _stored(self, patch: Patch, kind: str, evaluate: Callable[[], Score]) -> Row:
        """A candidate's scores, from the store or computed now."""
        task = self.task.name
        who = patch_key(patch)
        what = f"{task} {kind}"
        row = self.store.find_row(what, who)
        if row is not None:
            self.replayed_seconds += row.seconds
            return row
        start = time.perf_counter()
        self.engine.load(patch)
        score = evaluate()
        row = Row.of({task: score}, score, time.perf_counter() - start)
        self.store.add(what, who, asdict(row))
        return row


def load_pool(base: str, experts: Sequence[str], space: str) -> tuple[BaseModel, list[Adapter]]:
    """The base (without its weights) and the experts.

    Raises:
        UserError: they do not fit together, or not into the space.
    """
    found = resolve_base(base)
    refuse_quantised(found)
    report = inspect_experts(experts, found)
    report.require(space)
    return found, [load_adapter(info) for info in report.experts]


def as_patch(expert: Adapter) -> Patch:
    """The patch of a single expert."""
    parts = expert.factors.items()
    return Patch(low_rank={f"{name}.weight": change for name, change in parts})


def patch_key(patch: Patch) -> str:
    """A digest of a candidate's weights."""
    parts = dict(patch.dense)
    for name, change in patch.low_rank.items():
        parts |= {f"{name} b": change.b, f"{name} a": change.a}
    parts |= {f"{name} changed by": change for name, change in patch.full_rank.items()}
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(parts.items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


class BudgetedBench:
    """The input of a method that looks at dev items or texts: a bench with a budget of dev items.

    Exceeding the budget raises RuntimeError.

    Attributes:
        model: a transformers causal LM with the latest patch.
        choices: dev items with a right answer, prepared for scoring.
        items_left: item evaluations left in the budget.
        spent: item evaluations so far.
    """

    def __init__(self, bench: Bench, budget: int) -> None:
        self.bench = bench
        self.engine = bench.engine
        self.choices = bench.choices
        self.model = bench.engine.model
        self.items_left = budget
        self.spent = 0

    @property
    def left(self) -> int:
        """How often the rest of the budget covers all dev items."""
        return self.items_left // self.bench.dev_items

    def score(self, patch: Patch) -> Score:
        """The candidate's score on dev."""
        self.spend(self.bench.dev_items)
        return self.bench.score(patch, "dev")

    def loss(self, patch: Patch) -> float:
        """Mean over dev items of -ln P(right answer | question), in nats; one pass over dev."""
        self.spend(self.bench.dev_items)
        return self.bench.loss(patch)

    def spend(self, items: int) -> None:
        """Charge passes over single items; a forward and a backward pass together cost `PASSES`."""
        if items > self.items_left:
            raise RuntimeError("the budget of example evaluations is used up")
        self.items_left -= items
        self.spent += items

    def prompts(self, expert: str) -> Sequence[str]:
        """The expert's own chats up to their answers, in the chat template; else the dev prompts."""
        if chats := self.bench.chats.get(expert):
            tokenizer = self.engine.tokenizer
            return [split_chat(tokenizer, chat["messages"])[0] for chat in chats[:PROMPTS]]
        return self.bench.labelled.prompts
