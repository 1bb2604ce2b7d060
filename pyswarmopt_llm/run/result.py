"""The outcome of a search: models by name, with their scores item by item, as ``result.json`` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import read_json
from pyswarmopt_llm.common.paired import PairedComparison, corrected
from pyswarmopt_llm.common.statistics import LEVEL, Ends, Whole
from pyswarmopt_llm.run.combined import combined_difference
from pyswarmopt_llm.run.record import FRONT, Packed, unpack
from pyswarmopt_llm.scores.by_label import LabelErrors
from pyswarmopt_llm.scores.metrics.combine import FIRST, find_combine
from pyswarmopt_llm.scores.tasks.types import SPLITS, AnswerFormat

KNOB = "knob"  # the best expert at one strength
# What a result has to beat to be worth its search; of equal ones the simplest is named.
CONTROLS = ("commonest", "base", "best_single", "uniform", "base_tuned", "expert_tuned")


@dataclass(frozen=True)
class Outcome:
    """A model on one task.

    Attributes:
        value: its score.
        items: packed scores of the items; empty if they have none.
        named: further numbers from a score function.
        answers: the letter or text chosen for each item; empty if no options are compared, and on
            dev.
        whole: of a score of all items together.
    """

    value: float
    items: Packed = ""
    named: dict[str, float] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    whole: Whole | None = None

    @property
    def per_item(self) -> list[float]:
        """Scores of the items."""
        return unpack(self.items)


@dataclass(frozen=True)
class Scores:
    """A model's scores on a split: the combined score with 95% interval, and each task."""

    value: float
    tasks: dict[str, Outcome] = field(default_factory=dict)
    interval: Ends | None = None


@dataclass(frozen=True)
class CurvePoint:
    """A training on so many labels, scored on test."""

    labels: int
    test: Scores


@dataclass(frozen=True)
class Model:
    """A model and its scores.

    Attributes:
        weights: weight of each expert; all 0: the base.
        dev: scores on dev, cross-fitted if the model was trained on dev.
        test: scores on test; None if not scored.
        trained: whether a LoRA was trained on dev, on top of this mixture.
    """

    weights: dict[str, float]
    dev: Scores
    test: Scores | None = None
    trained: bool = False

    def same(self, other: Model) -> bool:
        """Whether both are the same model."""
        return (self.weights, self.trained) == (other.weights, other.trained)


@dataclass(frozen=True)
class Objective:
    """How a task is scored.

    Attributes:
        scoring: answer format; ``own`` for a harness task.
        metric: name of the metric.
        scale: the least and the greatest score of an item, where known.
        task: the task, if its scores have other names.
        lower: whether lower is better; values in `models` then have the other sign.
        unit: unit of a score; "" without one.
        questions: split -> question number of each item, where some repeat.
    """

    scoring: Literal["letter", "likelihood", "generate", "own"]
    metric: str = ""
    scale: Ends | None = None
    task: str = ""
    lower: bool = False
    unit: str = ""
    questions: dict[str, list[int]] = field(default_factory=dict)

    def shown(self, value: float) -> float:
        """A score of this task, as people read it."""
        return 0.0 - value if self.lower else value  # not -0.0

    @property
    def direction(self) -> str:
        """The better direction."""
        return "lower" if self.lower else "higher"

    @property
    def answer_format(self) -> AnswerFormat | None:
        """Answer format; None for a harness task."""
        if self.scoring == "own":
            return None
        return self.scoring


@dataclass(frozen=True)
class Dropped:
    """An expert that screening dropped, so that no mixture contains it.

    Attributes:
        examples: number of dev examples that it answered.
        value: its score on them.
        best: the best expert on them.
        best_value: its score.
        p_value: of the one-sided paired test that the expert is behind the best; None: no test says
            so, but too many others were ahead.
    """

    examples: int
    value: float
    best: str
    best_value: float
    p_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The outcome of a search.

    Attributes:
        models: ``best`` is the result, ``best_single`` the expert with the highest score on dev,
            ``uniform`` the plain average of the experts. If the search trains, ``mixture`` is the
            mixture found and ``trained`` the same after training; one of them is ``best``.
            ``base``, ``base_tuned`` and ``expert_tuned`` are the baselines, and ``commonest`` is
            the majority-class baseline (label most frequent on dev).
        objectives: task -> how it is scored.
        best_single: name of the best single expert.
        evaluations: evaluated candidates, without letter trials and trained models.
        item_evaluations: scored items.
        passes: forward passes per item, training included (a backward pass counts as 1.5).
        seconds, seconds_scoring, peak_memory_bytes: on this machine.
        stop: reason -> value.
        judge: name of each judge -> its requests and their tokens.
        combine: combination of the tasks' scores, see `find_combine`.
        experts: name -> expert on dev; without those in `dropped`.
        dropped: name -> why screening dropped an expert.
        learnt: expert -> number of dev examples that it was trained on.
        space: space of the mixtures.
        quantize: format whose rounding all scores include.
        expert_iteration: if the search used it: number of training ``rounds`` of the result, and of
            ``replies`` written and scored.
        front: the Pareto front of several scores: ``dev`` and ``coefficients``, expert -> weight, of
            each mixture that no other dominates; of a search for a front also its ``folder``, ``test``
            and intervals.
        chosen: number of the front's point that is ``best``, from 1; 0: no front was searched for.
        rule: why it was chosen.
        curve: the result's training on a quarter, half and all of the labels, if it was asked for.
        by_label: task -> errors of ``best`` on test, where options are compared.
        replies: of each task with written replies, the ``prompts`` on dev whose scores changed most,
            with the replies of base, best expert and result.
        alarms: signs that the score was gamed: a gain that the replies do not show.
        notes: remarks for readers of the scores.
    """

    models: dict[str, Model]
    objectives: dict[str, Objective]
    best_single: str
    evaluations: int
    item_evaluations: int
    passes: int = 0
    seconds: float
    seconds_scoring: float
    peak_memory_bytes: int
    stop: dict[str, Any]
    judge: dict[str, dict[str, Any]] = field(default_factory=dict)
    combine: str = "harmonic"
    experts: dict[str, Model] = field(default_factory=dict)
    dropped: dict[str, Dropped] = field(default_factory=dict)
    learnt: dict[str, int] = field(default_factory=dict)
    space: str | None = None
    quantize: str | None = None
    expert_iteration: dict[str, int] | None = None
    front: list[dict[str, Any]] = field(default_factory=list)
    chosen: int = 0
    rule: str = ""
    curve: list[CurvePoint] = field(default_factory=list)
    by_label: dict[str, LabelErrors] = field(default_factory=dict)
    replies: list[dict[str, Any]] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunResult:
        """Read a result from ``result.json``; other keys are dropped.

        Raises:
            WrongType: names the part that `to_json` would not write.
        """
        result: RunResult = typed(data, cls)
        if "best" not in result.models:
            raise WrongType("models best")
        return result

    def to_json(self) -> dict[str, Any]:
        """The content of ``result.json``: the fields, and names that tools read without nesting:
        MODEL_SPLIT with intervals, the mixture, and with several tasks the scores of each.
        """
        from pydantic import TypeAdapter

        content: dict[str, Any] = TypeAdapter(RunResult).dump_python(
            self, mode="json", exclude_none=True
        )
        scores = {
            f"{name}_{split}": model[split]
            for name, model in content["models"].items()
            for split in SPLITS
            if split in model and not name.startswith((f"{FRONT}/", f"{KNOB}/"))
        }
        content |= {key: found["value"] for key, found in scores.items()}
        content |= {
            "intervals": {key: found.get("interval") for key, found in scores.items()},
            "coefficients": self.coefficients,
            "scoring": self.scoring,
            "trained": self.best.trained,
        }
        if self.several_tasks:
            content["tasks"] = {}
            for task, objective in self.objectives.items():
                row = {
                    k: objective.shown(f["tasks"][task]["value"])
                    for k, f in scores.items()
                    if task in f["tasks"]
                }
                how = {"scoring": objective.scoring, "better": objective.direction}
                content["tasks"][task] = {**how, "unit": objective.unit, **row}
        return content

    @property
    def best(self) -> Model:
        """The model that the search returns."""
        return self.models["best"]

    @property
    def coefficients(self) -> dict[str, float]:
        """The experts' weights in the result."""
        return self.best.weights

    def with_point(self, number: int) -> RunResult:
        """The result with another point of the front as ``best``, untrained; what is shown of the
        replies and the training of the former one is left out.
        """
        if number == self.chosen and not self.best.trained:
            return self
        models = {**self.models, "best": self.models[f"{FRONT}/{number}"]}
        for name in ("mixture", "trained"):  # of the former one
            models.pop(name, None)
        return replace(
            self,
            models=models,
            chosen=number,
            rule="chosen by hand",
            replies=[],
            by_label={},
            alarms=[],
            expert_iteration=None,
        )

    def objective_of(self, task: str, metric: str = "") -> Objective | None:
        """How a task is scored, by the first of its scores, or that of a metric; None if unknown."""
        for name, objective in self.objectives.items():
            if task == (objective.task or name) and metric in ("", objective.metric):
                return objective
        return None

    @property
    def several_tasks(self) -> bool:
        """Whether scores are combined."""
        return len(self.objectives) > 1

    @property
    def scoring(self) -> str:
        """The answer format of all tasks; ``mixed`` if they differ."""
        kinds = {one.scoring for one in self.objectives.values() if one.answer_format} or {"own"}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    @cached_property
    def leads(self) -> dict[str, dict[str, PairedComparison]]:
        """Split -> another model -> the result minus this model on the same items: the source of every
        statement on two models.

        Several tasks are compared by their combined scores. The comparisons are read together, so
        they are corrected for their number (Holm 1979). Models without item scores are missing.
        """
        return {split: self._corrected(split) for split in SPLITS}

    def _corrected(self, split: str) -> dict[str, PairedComparison]:
        tests: dict[str, PairedComparison] = {}
        for name in (*CONTROLS, "mixture"):
            pair = self._difference(name, split)
            if pair and (name == "best_single" or not self.models[name].same(self.best)):
                tests[name] = pair
        return corrected(
            tests, lambda name, level: self._difference(name, split, level) or tests[name]
        )

    def _difference(self, over: str, split: str, level: float = LEVEL) -> PairedComparison | None:
        """The result minus another model."""
        ours = getattr(self.best, split)
        theirs = getattr(self.models.get(over), split, None)
        if not ours or not theirs:
            return None
        return self.compared(ours, theirs, split, level)

    def compared(
        self, ours: Scores, theirs: Scores, split: str, level: float = LEVEL
    ) -> PairedComparison | None:
        """Two models on the same items of a split, first minus second; None without item scores."""
        tasks = ours.tasks
        if self.combine == FIRST:
            tasks = dict([*tasks.items()][:1])
        scales = {name: objective.scale for name, objective in self.objectives.items()}
        asked = {name: one.questions.get(split, []) for name, one in self.objectives.items()}
        combine = find_combine(self.combine, len(self.objectives))
        return combined_difference(tasks, theirs.tasks, combine, scales, asked, level)


def read_result(path: Path) -> RunResult | None:
    """The result of the run at `path`; None while the run, its adapter or its front is incomplete.

    Raises:
        UserError: ``result.json`` is damaged.
    """
    file = path / "result.json"
    if not file.exists() or not (path / "best").is_dir():
        return None
    try:
        result = RunResult.from_json(read_json(file))
    except (UserError, WrongType) as error:
        raise UserError(f"{file} is damaged ({error}); remove it and resume the run") from error
    points = [point.get("folder", "") for point in result.front]
    return result if all((path / folder).is_dir() for folder in points) else None
