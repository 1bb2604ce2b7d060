"""The outcome of a search: models by name, with their scores item by item, as ``result.json`` holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import read_json
from pyswarmopt_llm.common.statistics import (
    LEVEL,
    Comparison,
    compare_tasks,
    corrected,
)
from pyswarmopt_llm.scores.by_label import LabelErrors
from pyswarmopt_llm.scores.metrics.combine import find_combine
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.scoring.combined import combined_difference
from pyswarmopt_llm.searching.scoring.record import Packed, unpack

SPLITS = ("dev", "test")
# models that the result is compared with in one verdict
RIVALS = ("best_single", "base", "base_tuned", "expert_tuned", "mixture", "commonest")
PLAIN = ("base_tuned", "expert_tuned")  # those of them that are a plain fine-tuning
Interval = tuple[float, float]
_LIMITS = frozenset(
    {"max_iter", "patience", "max_evals", "proposals", "budget_items", "budget_minutes"}
)
_FLAT_COST = (
    "evaluations",
    "item_evaluations",
    "passes",
    "seconds",
    "seconds_scoring",
    "peak_memory_bytes",
)


@dataclass(frozen=True)
class Outcome:
    """A model on one task.

    Attributes:
        value: its score.
        items: packed scores of the items; empty where a function gives one number.
        named: other numbers of a score function.
    """

    value: float
    items: Packed = ""
    named: dict[str, float] = field(default_factory=dict)

    @property
    def per_item(self) -> list[float]:
        """The scores of the items, NaN where not scored."""
        return unpack(self.items)


@dataclass(frozen=True)
class Scores:
    """A model on a split: the combined score with its 95% interval and standard error, and each task."""

    value: float
    tasks: dict[str, Outcome] = field(default_factory=dict)
    interval: Interval | None = None
    stderr: float | None = None

    @property
    def items(self) -> dict[str, list[float]]:
        """Task -> scores of its items."""
        return {name: outcome.per_item for name, outcome in self.tasks.items()}

    @property
    def n(self) -> int:
        """Items that were scored, of all tasks."""
        return sum(value == value for values in self.items.values() for value in values)


@dataclass(frozen=True)
class Model:
    """A model and its scores.

    Attributes:
        weights: weights of each expert; 0 of all is the base.
        dev: its scores; cross-fitted, where it was trained on dev.
        test: None where it was not scored.
        trained: on dev, on top of the mixture of these weights.
    """

    weights: dict[str, float]
    dev: Scores
    test: Scores | None = None
    trained: bool = False

    def on(self, split: str) -> Scores | None:
        """The scores on ``dev`` or ``test``."""
        return self.dev if split == "dev" else self.test

    @property
    def unscored(self) -> str:
        """A task none of whose items has a score, though they are listed; "" if there is none."""
        tasks = (scores.tasks for scores in (self.dev, self.test) if scores is not None)
        for name, outcome in chain.from_iterable(each.items() for each in tasks):
            if outcome.items and all(value != value for value in outcome.per_item):
                return name
        return ""

    def same(self, other: Model) -> bool:
        """Whether both are one model."""
        return (self.weights, self.trained) == (other.weights, other.trained)


@dataclass(frozen=True)
class Objective:
    """The way in which a task is scored.

    Attributes:
        scoring: format of the answers; ``own`` of a function that scores the engine.
        metric: its name.
        scale: the least and the greatest score of an item, where known.
        held_out: whether a function of the user's has a test split.
        questions: split -> for each item the number of its question, where some are repeated.
    """

    scoring: str
    metric: str = ""
    scale: Interval | None = None
    held_out: bool | None = None
    questions: dict[str, list[int]] = field(default_factory=dict)

    @property
    def answer_format(self) -> Scoring | None:
        """Format of the answers; None where a function scores."""
        return next((scoring for scoring in get_args(Scoring) if scoring == self.scoring), None)


@dataclass(frozen=True)
class WorkerUse:
    """The workers that were requested, and how many failed, by kind."""

    asked: str
    failures: dict[str, int]


@dataclass(frozen=True)
class JudgeUse:
    """Requests to a judge, their tokens, and what they cost."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a search.

    Attributes:
        evaluations: evaluations of candidates (neither a trial of letters nor what was trained).
        item_evaluations: items that were scored.
        passes: forward passes of an item, training included (a backward pass counts as 1.5).
        passes_rivals, seconds_rivals: what the rivals took, counted nowhere else; None without any.
        seconds, seconds_scoring, peak_memory_bytes: on this machine.
        workers, judge: use of several workers, and of each judge.
    """

    evaluations: int
    item_evaluations: int
    seconds: float
    seconds_scoring: float
    peak_memory_bytes: int
    passes: int = 0
    passes_rivals: int | None = None
    seconds_rivals: float | None = None
    workers: WorkerUse | None = None
    judge: dict[str, JudgeUse] = field(default_factory=dict)


@dataclass(frozen=True)
class Iterated:
    """Expert iteration.

    Attributes:
        rounds: that were trained.
        round: the one with the best score on dev, from 1; 0 if none was trained.
        kept: prompts with a reply that it was trained on.
        replies: that were written and scored.
        tokens: tokens of these.
        spare: spare prompts, to which replies were trained on; 0: to dev prompts.
    """

    rounds: int
    round: int
    kept: int
    replies: int
    tokens: int
    spare: int = 0


@dataclass(frozen=True)
class Front:
    """The points of the Pareto front that were saved, and its size."""

    points: list[Any]
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of a search.

    Attributes:
        models: ``best`` is handed over, ``best_single`` the expert with the highest score on dev,
            ``uniform`` the plain average of the experts. Where the search trains, ``mixture`` is
            what it found and ``trained`` the same after training; one of them is ``best``.
            ``base``, ``base_tuned`` and ``expert_tuned`` are the rivals, and ``commonest`` gives
            always the label that is most frequent on dev.
        objectives: task -> how it is scored.
        best_single: the name of that expert.
        cost: cost of the search.
        stop: reason -> value.
        combine: combination of the tasks' scores, see `find_combine`.
        alike: whether all tasks have the same items.
        experts: name -> the expert on dev; of one that dropped out of a race, on some items.
        space: space of the mixtures.
        graph: the result in words, where it is one.
        expert_iteration, front: where a search does it.
        by_label: task -> the errors of ``best`` on test, where options are compared.
        notes: remarks for whoever reads the scores.
    """

    models: dict[str, Model]
    objectives: dict[str, Objective]
    best_single: str
    cost: Cost
    stop: dict[str, Any]
    combine: str = "harmonic"
    alike: bool = False
    experts: dict[str, Model] = field(default_factory=dict)
    space: str | None = None
    graph: str | None = None
    expert_iteration: Iterated | None = None
    front: Front | None = None
    by_label: dict[str, LabelErrors] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in _LIMITS & self.stop.keys():
            typed(self.stop[name], float, f"stop {name}")
        if missing := {"best", "best_single"} - self.models.keys():
            raise WrongType(f"models {min(missing)}")
        if self.best_single not in self.coefficients:
            raise WrongType("best_single")
        if self.experts and self.best_single not in self.experts:
            raise WrongType("experts")
        tasks = self.objectives.keys()
        experts = self.coefficients.keys()
        for name, model in [*self.models.items(), *self.experts.items()]:
            unknown = {} if model.test is None else model.test.tasks.keys() - tasks
            if model.dev.tasks.keys() != tasks or unknown or model.weights.keys() != experts:
                raise WrongType(f"models {name}")
            for split in SPLITS:
                self._check_items(name, model.on(split), self._questions(split))
        for name, model in self.models.items():
            if empty := model.unscored:
                raise WrongType(f"models {name} items of {empty}")

    def _check_items(
        self, name: str, scores: Scores | None, asked: Mapping[str, Sequence[int]]
    ) -> None:
        """Refuse scores of more or fewer items than there are questions, or than another task of the
        same items has.
        """
        tasks = {} if scores is None else scores.tasks
        shapes = {
            (len(outcome.items), *asked[task]) for task, outcome in tasks.items() if outcome.items
        }
        if any(numbers and len(numbers) != count for count, *numbers in shapes):
            raise WrongType(f"models {name} items")
        if self.alike and len(shapes) > 1:
            raise WrongType("alike")

    @classmethod
    def from_json(cls, data: object) -> Result:
        """The result that ``result.json`` holds; keys of later versions are left out.

        Raises:
            WrongType: names what is not as `to_json` writes it.
        """
        result: Result = typed(data, cls)
        return result

    def to_json(self) -> dict[str, Any]:
        """The content of ``result.json``: the fields, and `flat_names`."""
        content: dict[str, Any] = _json(self)
        return {**content, **flat_names(self)}

    @property
    def best(self) -> Model:
        """The model that is handed over."""
        return self.models["best"]

    @property
    def coefficients(self) -> dict[str, float]:
        """The weights of the experts in the result."""
        return self.best.weights

    @property
    def several_tasks(self) -> bool:
        """Whether scores are combined."""
        return len(self.objectives) > 1

    @property
    def scoring(self) -> str:
        """The answer format of all tasks; ``mixed`` of several."""
        kinds = {one.scoring for one in self.objectives.values() if one.answer_format} or {"own"}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    @property
    def plain(self) -> list[str]:
        """The plain fine-tunings that are not the result, by their scores on test, the best first."""
        scored = {
            name: self.models[name].test
            for name in PLAIN
            if name in self.models and not self.models[name].same(self.best)
        }
        values = {name: test.value for name, test in scored.items() if test is not None}
        return sorted(values, key=lambda name: -values[name]) if self.best.test else []

    @property
    def outdone_by(self) -> str | None:
        """The better plain fine-tuning, if it is significantly better than the result on test."""
        for name in self.plain[:1]:
            lead = self.lead(name)
            if lead is not None and lead.sign < 0:
                return name
        return None

    def lead(
        self, over: str = "best_single", split: str = "test", of: str = "best"
    ) -> Comparison | None:
        """A model minus another on the same items: whatever is said of two models is said of this.

        Of several tasks it is of the combined scores. The result's comparisons with its rivals are
        read together, and so corrected for their number (Holm 1979).

        Args:
            over: the other model.
            split: dev or test.
            of: the model.

        Returns:
            None where one of them has no scores of its items.
        """
        if of == "best" and over in self._leads[split]:
            return self._leads[split][over]
        return self._difference(self.models.get(of), self.models.get(over), split)

    def read_together(self, split: str) -> list[str]:
        """The rivals with which the result is compared on a split."""
        return list(self._leads[split])

    def ahead(self) -> Comparison | None:
        """The best expert minus the second on dev, where all are scored on the same items."""
        if self.dropped or len(self.ranking) < 2:
            return None
        first, second = (self.experts[name] for name in self.ranking[:2])
        return self._difference(first, second, "dev")

    @cached_property
    def _leads(self) -> dict[str, dict[str, Comparison]]:
        """Split -> rival -> the result minus it, corrected."""
        return {split: self._corrected(split) for split in SPLITS}

    def _corrected(self, split: str) -> dict[str, Comparison]:
        tests: dict[str, Comparison] = {}
        for name in filter(self._is_rival, RIVALS):
            if pair := self._difference(self.best, self.models[name], split):
                tests[name] = pair

        def at_level(name: str, level: float) -> Comparison:
            return self._difference(self.best, self.models[name], split, level) or tests[name]

        return corrected(tests, at_level)

    def _is_rival(self, name: str) -> bool:
        """Whether there is such a model, and it is not the result; the best expert always counts."""
        model = self.models.get(name)
        return model is not None and (name == "best_single" or not model.same(self.best))

    def _difference(
        self, ours: Model | None, theirs: Model | None, split: str, level: float = LEVEL
    ) -> Comparison | None:
        """A model minus another."""
        first, second = ours and ours.on(split), theirs and theirs.on(split)
        if not first or not second:
            return None
        if not self.several_tasks:
            return next(iter(self._by_task(first, second, split, level).values()), None)
        combine = find_combine(self.combine, len(self.objectives))
        scales, asked = self.scales, self._questions(split)
        tasks = first.tasks, second.tasks
        return combined_difference(*tasks, combine, self.alike, scales, asked, level)

    def by_task(self, split: str = "test") -> dict[str, Comparison]:
        """Task -> the result minus the best expert, where both have scores of its items."""
        ours, theirs = self.best.on(split), self.models["best_single"].on(split)
        return self._by_task(ours, theirs, split, LEVEL) if ours and theirs else {}

    def _by_task(
        self, ours: Scores, theirs: Scores, split: str, level: float
    ) -> dict[str, Comparison]:
        return compare_tasks(ours.items, theirs.items, self.scales, self._questions(split), level)

    @property
    def scales(self) -> dict[str, Interval | None]:
        """Task -> the least and the greatest score of an item, where known."""
        return {name: objective.scale for name, objective in self.objectives.items()}

    def _questions(self, split: str) -> dict[str, list[int]]:
        """Task -> the numbers of its items' questions, where some are repeated."""
        return {name: one.questions.get(split, []) for name, one in self.objectives.items()}

    @cached_property
    def ranking(self) -> list[str]:
        """The experts, the best on dev first; last those that dropped out of a race."""
        return sorted(
            self.experts, key=lambda name: (name in self.dropped, -self.experts[name].dev.value)
        )

    @cached_property
    def dropped(self) -> dict[str, int]:
        """The experts that dropped out of a race -> items that they were scored on."""
        counts = {name: expert.dev.n for name, expert in self.experts.items()}
        return {name: n for name, n in counts.items() if n < max(counts.values())}


def _json(value: Any) -> Any:
    """JSON values of dataclasses, tuples and what they hold; fields that say nothing are left out."""
    if is_dataclass(value):
        return {
            f.name: _json(part) for f in fields(value) if _says(f, part := getattr(value, f.name))
        }
    if isinstance(value, dict):
        return {key: _json(part) for key, part in value.items()}
    return [_json(part) for part in value] if isinstance(value, list | tuple) else value


def _says(at: Field[Any], value: Any) -> bool:
    """Whether a field is written; the None of a field without a default is an outcome."""
    if value is None:
        return at.default is not None
    return bool(value) or at.default_factory is MISSING


def flat_names(result: Result) -> dict[str, Any]:
    """The names on which readers of ``result.json`` rely, beside its nested content: MODEL_SPLIT with
    intervals, the mixture, the comparisons with the best expert, tasks, and what it cost.
    """
    scores = {
        f"{name}_{split}": found
        for name, model in result.models.items()
        for split in SPLITS
        if (found := model.on(split)) is not None
    }
    leads = {split: result.lead(split=split) for split in SPLITS}
    cost: dict[str, Any] = _json(result.cost)
    flat = {
        **{key: found.value for key, found in scores.items()},
        "intervals": {key: _json(found.interval) for key, found in scores.items()},
        "coefficients": result.coefficients,
        "scoring": result.scoring,
        "trained": result.best.trained,
        "lead": {split: lead.record() for split, lead in leads.items() if lead is not None},
        **{name: cost[name] for name in _FLAT_COST if name in cost},
    }
    return flat | ({"tasks": _flat_tasks(result, scores)} if result.several_tasks else {})


def _flat_tasks(result: Result, scores: Mapping[str, Scores]) -> dict[str, dict[str, Any]]:
    """Task -> its answer format, and its own scores."""
    return {
        task: {
            "scoring": objective.scoring,
            **{
                key: found.tasks[task].value for key, found in scores.items() if task in found.tasks
            },
        }
        for task, objective in result.objectives.items()
    }


def read_result(path: Path) -> Result | None:
    """The result of the run at `path`; None while the run, or its adapter, is not complete.

    Raises:
        UserError: ``result.json`` is damaged.
    """
    file = path / "result.json"
    if not file.exists() or not (path / "best").is_dir():
        return None
    try:
        return Result.from_json(read_json(file))
    except (UserError, OSError, WrongType) as error:
        what = str(error).removeprefix(f"{file}: ").removesuffix("; restore the file")
        raise UserError(
            f"{file}: damaged ({what}); remove it and resume: the journal has all scores"
        ) from error
