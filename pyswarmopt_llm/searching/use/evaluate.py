"""The score of one model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyswarmopt_llm.common.config import LM_EVAL
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.mix import saved_kind
from pyswarmopt_llm.searching.use.config import EvalConfig, OnItems
from pyswarmopt_llm.searching.use.exam import EvalResult, Exam
from pyswarmopt_llm.searching.use.from_run import NOT_OF_HARNESS, run_scoring
from pyswarmopt_llm.searching.use.opening import Model, model_of, open_model


def evaluate_model(
    base: str,
    adapter: str | None,
    task: str,
    split: str = "test",
    *,
    on_items: OnItems | None = None,
    **options: Any,
) -> EvalResult:
    """Score `adapter` (or the bare base) on a split, merged as a search merges candidates.

    Args:
        base: base model; may be empty for a run or a whole model.
        adapter: an adapter, a finished run, a whole model, or None.
        task: task file, or another spec of `load_task`.
        split: ``dev`` or ``test``.
        on_items: called with the number of items scored so far, and the total.
        **options: further fields of `EvalConfig`: ``scoring``, ``metric``, ``dev``, ``dtype``, ...

    Returns:
        The score with its 95% interval, the items' values, and how they were scored.

    Raises:
        UserError: bad input, in one line.

    Example:
        >>> result = evaluate_model("my/base", "runs/first", "questions.json")  # doctest: +SKIP
        >>> result.score.value, result.interval, result.n  # doctest: +SKIP
        (0.62, (0.55, 0.69), 200)
    """
    return evaluate(EvalConfig(base, task, adapter, split=split, **options), on_items)


def evaluate(config: EvalConfig, on_items: OnItems | None = None) -> EvalResult:
    """The score of one model; see `evaluate_model`."""
    base, adapter = model_of(config.base, config.adapter)
    config = replace(config, base=base, adapter=adapter)
    if config.task.startswith(LM_EVAL):
        return _evaluate_harness(config)
    return open_and_score(config, Exam.of(config), on_items)[1]


def open_and_score(
    config: EvalConfig, exam: Exam, on_items: OnItems | None
) -> tuple[Engine, EvalResult]:
    """The engine of the configured model, and the model's score in its run's answer format."""
    engine = open_configured(config, (config.base, config.adapter))
    scoring = config.scoring
    if scoring == "auto" and config.metric is None:
        scoring = run_scoring(user_path(config.adapter or config.base), exam.task.name) or scoring
    return engine, exam.score(engine, scoring, on_items)


def open_configured(config: EvalConfig, model: Model) -> Engine:
    """Open a model as an evaluation's configuration says."""
    return open_model(
        model,
        config.machine,
        run=config.run,
        system=config.system,
        thinking=config.thinking,
    )


def _evaluate_harness(config: EvalConfig) -> EvalResult:
    check_options(config)
    for name in NOT_OF_HARNESS:
        if getattr(config, name) != getattr(EvalConfig, name):
            why = "the harness reads and scores its tasks itself; remove it"
            raise InvalidOption(name, getattr(config, name), why)
    if saved_kind(config.base) is not None:
        several = f"the harness scores one model, {config.base} holds several"
        raise InvalidOption("task", config.task, f"{several}; use a task file")
    engine = open_configured(config, (config.base, config.adapter))
    from pyswarmopt_llm.published.lm_eval import LmEvalTask

    harness = LmEvalTask(config.task.removeprefix(LM_EVAL), config.dev, config.test)
    scored = harness(engine, config.split)
    return EvalResult(harness.name, scored, interval(scored.per_item), "own", "lm-eval")
