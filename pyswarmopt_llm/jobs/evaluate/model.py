"""Score one model on one task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.interfaces import Batched, BatchedEngine, Engine, Score, Utility
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.common.statistics import interval, score_of
from pyswarmopt_llm.jobs.evaluate.names import model_of, run_scoring
from pyswarmopt_llm.metrics.external.permission import LM_EVAL, metric_of
from pyswarmopt_llm.metrics.objectives import scorings_of
from pyswarmopt_llm.metrics.questions.answer_format import choose_scoring, possible_scorings, trial_of
from pyswarmopt_llm.metrics.questions.context_window import check_window
from pyswarmopt_llm.metrics.registry import METRICS, Metric, find_metric
from pyswarmopt_llm.models.engines.hardware import pick_device
from pyswarmopt_llm.spaces import saved_kind
from pyswarmopt_llm.spaces.load import open_model
from pyswarmopt_llm.tasks import Task, load_task

OnItems = Callable[[int, int], None]  # items scored, of how many


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
    metric: str | None = None,
    on_items: OnItems | None = None,
) -> EvalResult:
    """Score `adapter` (or the bare base) on a split of a task, merged as a search merges its candidates.

    `adapter` may also be a finished run or a whole model, which needs no `base`.
    `metric` is a name of `pyswarmopt_llm.metrics.registry`; None takes the task's own, else accuracy. `dev` and `test`
    use the first items of these splits, as in a search; `limit` is the size of `split`. `columns`, `template` and
    `split_seed` are those of `load_task`. `on_items` receives the number of items scored so far, and of all.

    Raises:
        UserError: whatever is wrong with the input, in one line.
    """
    base, adapter = model_of(base, adapter)
    sizes = split_sizes(split, limit, dev, test)
    possible_scorings(scoring, ())  # a wrong name is found before the model is loaded
    if task.startswith(LM_EVAL):
        if saved_kind(base) is not None:
            raise UserError(f"--task {task}: the harness scores one model, {base} holds several; use a task file")
        return _evaluate_harness(open_model(base, adapter, dtype, device, threads), task, split, sizes[split])
    loaded = load_task(
        task,
        dev=sizes["dev"],
        test=sizes["test"],
        allow_overlap=allow_overlap,
        columns=columns,
        template=template,
        split_seed=split_seed,
    )
    how = metric_for(metric or metric_of(loaded), loaded, split, device)
    engine = open_model(base, adapter, dtype, device, threads)
    if scoring == "auto" and metric is None:
        scoring = run_scoring(user_path(adapter or base), loaded.name) or scoring
    check_window(loaded, scoring, engine, (split,), how)
    return score_task(engine, loaded, split, scoring, how, on_items)


def split_sizes(split: str, limit: int | None, dev: int | None, test: int | None) -> dict[str, int | None]:
    """How many items of each split to use; None: all.

    Example:
        >>> split_sizes("test", 50, 20, None)
        {'dev': 20, 'test': 50}
    """
    if split not in ("dev", "test"):
        raise unknown("--split", split, ("dev", "test"))
    sizes = {"dev": dev, "test": test}
    if limit is not None:
        if sizes[split] is not None:
            raise UserError(f"--limit {limit}: --{split} {sizes[split]} is the size of this split, too; remove one")
        sizes[split] = limit
    return sizes


def metric_for(name: str, task: Task, split: str, device: str) -> Metric:
    """The metric, checked against the items that it is to score."""
    found = find_metric(name, device=str(pick_device(device)))
    found.check(task.split(split), f"{task.source}: {split}")
    return found


def _evaluate_harness(engine: Engine, task: str, split: str, limit: int | None) -> EvalResult:
    from pyswarmopt_llm.metrics.external.lm_eval import LmEvalTask

    harness = LmEvalTask(task.removeprefix(LM_EVAL), limit, limit)
    score = harness(engine, split)
    return EvalResult(harness.name, score, interval(score.per_item), "own", "lm-eval")


def score_task(
    engine: Engine,
    task: Task,
    split: str,
    scoring: str = "auto",
    metric: Metric = METRICS["accuracy"],
    on_items: OnItems | None = None,
) -> EvalResult:
    """Score the loaded model; ``auto`` uses letters if it beats chance with them on dev."""
    possible = scorings_of(metric, scoring, task)
    how = choose_scoring(possible, task.dev, lambda: [trial_of(task, engine.chat)(engine)])
    found = score(metric.build(task.split(split), how, engine.chat, task.prompt), engine, on_items)
    return EvalResult(task.name, found, interval(found.per_item), how, metric.name, task.note)


def score(utility: Utility, engine: Engine, on_items: OnItems | None) -> Score:
    """The score; batch by batch, with the same bits, if somebody follows the progress."""
    if on_items is None or not (isinstance(utility, Batched) and isinstance(engine, BatchedEngine)):
        return utility(engine)
    values: dict[int, float] = {}
    for found in utility.score_batches(engine):
        values |= found
        on_items(len(values), utility.n)
    return score_of([values[i] for i in range(utility.n)])
