"""The outcome of a search as ``result.json`` holds it: typed, written and read in one place."""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import read_json
from pyswarmopt_llm.common.paired import Comparison, Paired, only
from pyswarmopt_llm.evaluation.record import Packed
from pyswarmopt_llm.tasks import Scoring

MODELS = ("best", "best_single", "mixture", "trained", "uniform")  # that a search scores
Interval = tuple[float, float]


@dataclass(frozen=True)
class ModelScore:
    """The scores of one model; None where it has none (no test split, or not scored there)."""

    label: str  # in tables
    dev: float | None = None
    dev_interval: Interval | None = None
    test: float | None = None
    test_interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class RivalScore(ModelScore):
    """A model that the result is compared with.

    Attributes:
        name: ``base``, ``base-tuned`` or ``expert-tuned``.
        difference, interval, p: of the result against it on test.
        dev_of: of what the score on dev is where its items were trained on: ``training`` or
            ``cross-fitting``.
        row: ``best`` or ``trained``, where the search trained the same.
    """

    name: str
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None
    dev_of: str | None = None
    row: str | None = None


@dataclass(frozen=True)
class ExpertScores:
    """The experts on dev: scores, the second best, the share of items on which they differ, the
    best against it; of those that dropped out of a race, the items that they were scored on.
    """

    dev: dict[str, float]
    second: str
    differ: float | None = None
    ahead: Comparison | None = None
    dropped: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.second not in self.dev:
            raise WrongType("experts second")


@dataclass(frozen=True)
class Headroom:
    """The way from the best expert to the best expert of each item, on dev.

    Attributes:
        oracle: the score with, for each item, the best of the experts' scores.
        best_single: the score of the best expert.
        best: the score of the result.
        share: of the way that the result goes; None where there is none to go.
        n: items, of all tasks.
        partial: whether some items are missing, since an expert dropped out before them.
    """

    oracle: float
    best_single: float
    best: float
    share: float | None
    n: int
    partial: bool = False


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


@dataclass(frozen=True)
class Iterated:
    """Expert iteration.

    Attributes:
        rounds: that were trained.
        round: the one with the best score on dev, from 1; 0 if none was trained.
        kept: prompts with a reply that it was trained on.
        replies: that were written and scored.
        tokens: of these.
        spare: spare prompts, to which replies were trained on; 0: to dev prompts.
    """

    rounds: int
    round: int
    kept: int
    replies: int
    tokens: int
    spare: int = 0


@dataclass(frozen=True)
class FunctionScore:
    """A score function of the user's: how many items it has, and whether some are held out."""

    items: int
    held_out: bool


@dataclass(frozen=True)
class Leader:
    """A leading candidate: its score in the search and on fresh items."""

    dev: float
    fresh: float


@dataclass(frozen=True)
class Confirmed:
    """Leaders scored again on fresh dev items, and the number of the one that was chosen, from
    0.
    """

    items: int
    candidates: list[Leader]
    chosen: int

    def __post_init__(self) -> None:
        if not 0 <= self.chosen < len(self.candidates):
            raise WrongType("confirm chosen")


@dataclass(frozen=True)
class Front:
    """The points of the Pareto front that were saved, and its size."""

    points: list[Any]
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """The scores of the models on one task, or on all of them: MODEL_SPLIT; None where one was not
    scored.
    """

    best_dev: float
    best_single_dev: float
    scoring: str
    best_test: float | None = None
    best_single_test: float | None = None
    mixture_dev: float | None = None
    mixture_test: float | None = None
    trained_dev: float | None = None
    trained_test: float | None = None
    uniform_dev: float | None = None
    uniform_test: float | None = None

    @property
    def answer_format(self) -> Scoring | None:
        """How the items are scored; None where it is in several ways or by a function."""
        return next((scoring for scoring in get_args(Scoring) if scoring == self.scoring), None)


@dataclass(frozen=True, kw_only=True)
class RunResult(TaskResult):
    """The outcome of a search; ``None`` where there is nothing to say.

    ``best`` is the candidate that the search hands over, ``best_single`` the expert with the
    highest score on dev, ``uniform`` the plain average of the experts. Where the search trains,
    ``mixture`` is what it found and ``trained`` the same after training on dev (scored on dev by
    cross-fitting), which is ``best`` if `trained`; ``paired_training`` compares the second with the
    first as ``paired`` does the best with the best single expert, ``expert_iteration`` says what
    training without labels took. Of several tasks ``combined`` and ``combined_training`` hold the
    differences of the combined scores, by split. What the ``rivals`` took is in ``passes_rivals`` and
    ``seconds_rivals`` and nowhere else. ``named`` holds the named numbers of a score function, by
    task and by model and split; ``outcomes`` the packed scores of the test items, by model and
    task. Scores are fractions or whatever the metrics give; ``evaluations`` are of candidates
    (neither a trial of letters nor what was trained), ``passes`` forward passes of an item,
    training included (a backward pass counts as 1.5); memory is in bytes.
    """

    best_single: str
    coefficients: dict[str, float]
    evaluations: int
    item_evaluations: int
    seconds: float
    seconds_scoring: float
    peak_memory_bytes: int
    stop: dict[str, Any]
    space: str | None = None
    truncation: dict[str, float] | None = None
    intervals: dict[str, Interval | None] = field(default_factory=dict)
    stderr: dict[str, float | None] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    trained: bool | None = None
    outcomes: dict[str, dict[str, Packed]] | None = None
    paired: Paired = field(default_factory=dict)
    paired_training: Paired | None = None
    combined: dict[str, Comparison] = field(default_factory=dict)
    combined_training: dict[str, Comparison] = field(default_factory=dict)
    expert_iteration: Iterated | None = None
    rivals: list[RivalScore] = field(default_factory=list)
    passes_rivals: int | None = None
    seconds_rivals: float | None = None
    experts: ExpertScores | None = None
    headroom: Headroom | None = None
    notes: list[str] = field(default_factory=list)
    graph: str | None = None
    passes: int = 0
    items_saved: float = 0.0
    workers: WorkerUse | None = None
    judge: dict[str, JudgeUse] = field(default_factory=dict)
    own_scores: dict[str, FunctionScore] = field(default_factory=dict)
    named: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    confirm: Confirmed | None = None
    tasks: dict[str, TaskResult] = field(default_factory=dict)
    front: Front | None = None

    def __post_init__(self) -> None:
        for name in _LIMITS & self.stop.keys():
            typed(self.stop[name], float, f"stop {name}")
        if self.best_single not in (
            self.coefficients if self.experts is None else self.experts.dev
        ):
            raise WrongType("best_single")

    @classmethod
    def from_json(cls, data: object) -> RunResult:
        """The result that ``result.json`` holds; keys of later versions are left out.

        Raises:
            WrongType: names what is not as `to_json` writes it.
        """
        result: RunResult = typed(data, cls)
        return result

    def to_json(self) -> dict[str, Any]:
        """The content of ``result.json``."""
        content: dict[str, Any] = _json(self)
        return content

    def lead(self, over: str = "best_single", split: str = "test") -> Comparison | None:
        """The result minus the best single expert, or, over ``training``, training minus none.

        None where the scores have no paired outcomes. Of several tasks it is of the combined scores.
        """
        if over == "training":
            combined, pairs = self.combined_training, self.paired_training or {}
        else:
            combined, pairs = self.combined, self.paired
        return combined.get(split) if self.tasks else only(pairs, split)

    def task(self, name: str) -> TaskResult:
        """The result on one task: where it is the only one, the whole."""
        return self.tasks.get(name, self)


_LIMITS = frozenset(
    {"max_iter", "patience", "max_evals", "proposals", "budget_items", "budget_minutes"}
)
_ALWAYS = frozenset({"intervals", "stderr", "metrics", "paired", "notes"})  # written even if empty


def _json(value: Any) -> Any:
    """JSON values of dataclasses, tuples and what they hold; fields that say nothing are left
    out.
    """
    if is_dataclass(value):
        return {
            f.name: _json(part) for f in fields(value) if _says(f, part := getattr(value, f.name))
        }
    if isinstance(value, dict):
        return {key: _json(part) for key, part in value.items()}
    return [_json(part) for part in value] if isinstance(value, list | tuple) else value


def _says(place: Field[Any], value: Any) -> bool:
    """Whether a field is written; the None of a field without a default is an outcome."""
    if value is None:
        return place.default is not None
    return bool(value) or place.default_factory is MISSING or place.name in _ALWAYS


def read_result(path: Path) -> RunResult | None:
    """The result of the run at `path`; None while the run, or its adapter, is not complete.

    Raises:
        UserError: ``result.json`` is damaged.
    """
    file = path / "result.json"
    if not file.exists() or not (path / "best").is_dir():
        return None
    try:
        return RunResult.from_json(read_json(file))
    except (UserError, OSError, WrongType) as error:
        what = str(error).removeprefix(f"{file}: ").removesuffix("; restore the file")
        raise UserError(
            f"{file}: damaged ({what}); remove it and resume: the journal has all scores"
        ) from error
