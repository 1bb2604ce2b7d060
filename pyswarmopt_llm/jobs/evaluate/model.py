"""Score one model on one task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.interfaces import Batched, BatchedEngine, Engine, Score, Utility
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.common.statistics import interval, score_of
from pyswarmopt_llm.jobs.evaluate.config import EvalConfig
from pyswarmopt_llm.jobs.evaluate.names import model_of, run_scoring
from pyswarmopt_llm.metrics.external.permission import LM_EVAL, metric_of
from pyswarmopt_llm.metrics.objectives import scorings_of
from pyswarmopt_llm.metrics.questions.answer_format import choose_scoring, possible_scorings, trial_of
from pyswarmopt_llm.metrics.questions.context_window import check_window
from pyswarmopt_llm.metrics.registry import Metric, find_metric
from pyswarmopt_llm.models.engines.hardware import pick_device
from pyswarmopt_llm.spaces import saved_kind
from pyswarmopt_llm.spaces.load import open_model
from pyswarmopt_llm.tasks import Item, Task
from pyswarmopt_llm.tasks.load import load_task_of

OnItems = Callable[[int, int], None]  # items scored, of how many
Found = TypeVar("Found")


@dataclass(frozen=True)
class EvalResult:
    """The result of `evaluate_model`."""

    task: str  # its name
    score: Score  # value, per item, standard error
    interval: tuple[float, float]  # 95% interval of the value
    scoring: str  # the answer format
    metric: str = "accuracy"
    note: str = ""  # how the items were drawn, if the file has no split (`Task.note`)

    @property
    def n(self) -> int:
        """Number of items."""
        return self.score.n


def evaluate_model(
    base: str,
    adapter: str | None,
    task: str,
    split: str = "test",
    *,
    scoring: str = "auto",
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    limit: int | None = None,
    dev: int | None = None,
    test: int | None = None,
    allow_overlap: bool = False,
    columns: Sequence[str] = (),
    template: Sequence[str] = (),
    split_seed: int = 0,
    skip_bad_rows: bool = False,
    metric: str | None = None,
    prompts: str | None = None,
    max_new_tokens: int | None = None,
    on_items: OnItems | None = None,
) -> EvalResult:
    """Score `adapter` (or the bare base) on a split of a task, merged as a search merges its candidates.

    `adapter` may also be a finished run or a whole model, which needs no `base`.
    `metric` is a name of `pyswarmopt_llm.metrics.registry`; None takes the task's own, else accuracy. `dev` and `test`
    use the first items of these splits, as in a search; `limit` is the size of `split`. `columns`, `template`,
    `split_seed` and `skip_bad_rows` are those of `load_task`; `prompts` is a file that stands for `task`, and
    `max_new_tokens` the longest reply. `on_items` receives the number of items scored so far,
    and of all.

    Raises:
        UserError: whatever is wrong with the input, in one line.
    """
    base, adapter = model_of(base, adapter)
    config = EvalConfig(
        base=base,
        task=task,
        adapter=adapter,
        split=split,
        limit=limit,
        dev=dev,
        test=test,
        columns=tuple(columns),
        template=tuple(template),
        split_seed=split_seed,
        skip_bad_rows=skip_bad_rows,
        scoring=scoring,
        metric=metric,
        prompts=prompts,
        max_new_tokens=max_new_tokens,
        allow_overlap=allow_overlap,
        dtype=dtype,
        device=device,
        threads=threads,
    )
    if config.task.startswith(LM_EVAL):
        return _evaluate_harness(config)
    return open_and_score(config, Exam.of(config), on_items)[1]


@dataclass(frozen=True)
class Exam:
    """The items that models are scored on, and how.

    Attributes:
        task: has the items.
        split: of the task.
        metric: checked against the items.
    """

    task: Task
    split: str
    metric: Metric

    @classmethod
    def of(cls, config: EvalConfig) -> Self:
        """The one that a configuration describes.

        Raises:
            UserError: whatever is wrong with the task or the metric.
        """
        task = load_items(config)
        metric = find_metric(config.metric or metric_of(task), device=str(pick_device(config.device)))
        metric = metric.up_to(config.max_new_tokens)
        metric.check(task.split(config.split), f"{task.source}: {config.split}")
        return cls(task, config.split, metric)

    @property
    def items(self) -> Sequence[Item]:
        """Those of the split."""
        return self.task.split(self.split)

    def check(self, engine: Engine, scoring: str) -> None:
        """Refuse items that do not fit the engine's context window."""
        check_window(self.task, scoring, engine, (self.split,), self.metric)

    def score(self, engine: Engine, scoring: str = "auto", on_items: OnItems | None = None) -> EvalResult:
        """Score the loaded model; ``auto`` uses letters if it knows them (`knows_letters`)."""
        self.check(engine, scoring)
        possible = scorings_of(self.metric, scoring, self.task)
        how = choose_scoring(possible, self.task.dev, lambda: [trial_of(self.task, engine.chat)(engine)])
        found = score(self.metric.build(self.items, how, engine.chat, self.task.prompt), engine, on_items)
        return EvalResult(self.task.name, found, interval(found.per_item), how, self.metric.name, self.task.note)


def open_and_score(config: EvalConfig, exam: Exam, on_items: OnItems | None) -> tuple[Engine, EvalResult]:
    """The engine of the configuration's model, and its score in the answer format of the run that it comes from."""
    engine = open_model(config.base, config.adapter, config.dtype, config.device, config.threads)
    scoring = config.scoring
    if scoring == "auto" and config.metric is None:
        scoring = run_scoring(user_path(config.adapter or config.base), exam.task.name) or scoring
    return engine, exam.score(engine, scoring, on_items)


def load_items(config: EvalConfig) -> Task:
    """The task, read as the configuration says.

    Raises:
        UserError: it cannot be read, or has no items of its own.
    """
    if config.task.startswith(LM_EVAL):
        raise InvalidOption("task", config.task, "only the harness knows its items; use a task file")
    sizes = split_sizes(config.split, config.limit, config.dev, config.test)
    possible_scorings(config.scoring, ())
    return load_task_of(config, config.task, **sizes)


def split_sizes(split: str, limit: int | None, dev: int | None, test: int | None) -> dict[str, int | None]:
    """How many items of each split to use; None: all.

    Example:
        >>> split_sizes("test", 50, 20, None)
        {'dev': 20, 'test': 50}
    """
    if split not in ("dev", "test"):
        raise unknown("split", split, ("dev", "test"))
    sizes = {"dev": dev, "test": test}
    if limit is not None:
        if sizes[split] is not None:
            raise InvalidOption("limit", limit, f"`{split}` {sizes[split]} is the size of this split, too; remove one")
        sizes[split] = limit
    return sizes


def _evaluate_harness(config: EvalConfig) -> EvalResult:
    from pyswarmopt_llm.metrics.external.lm_eval import LmEvalTask

    limit = split_sizes(config.split, config.limit, config.dev, config.test)[config.split]
    possible_scorings(config.scoring, ())  # a wrong name is found before the model is loaded
    if saved_kind(config.base) is not None:
        several = f"the harness scores one model, {config.base} holds several"
        raise InvalidOption("task", config.task, f"{several}; use a task file")
    engine = open_model(config.base, config.adapter, config.dtype, config.device, config.threads)
    harness = LmEvalTask(config.task.removeprefix(LM_EVAL), limit, limit)
    found = harness(engine, config.split)
    return EvalResult(harness.name, found, interval(found.per_item), "own", "lm-eval")


def score(utility: Utility, engine: Engine, on_items: OnItems | None) -> Score:
    """The score; batch by batch, with the same bits, if somebody follows the progress."""
    if on_items is None or not (isinstance(utility, Batched) and isinstance(engine, BatchedEngine)):
        return utility(engine)
    return score_of(collected(utility.score_batches(engine), utility.n, on_items))


def collected(batches: Iterable[Mapping[int, Found]], count: int, on_items: OnItems) -> list[Found]:
    """What batches, index -> result, give for `count` items, in their order; `on_items` is called after each batch."""
    found: dict[int, Found] = {}
    for batch in batches:
        found |= batch
        on_items(len(found), count)
    return [found[i] for i in range(count)]
