"""Merges experts into one adapter, by a fixed rule or by a method that searches on a task's dev
items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.files.regular import check_free, user_path
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import Adapter, AdapterInfo
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.report.pages import front_matter, render
from pyswarmopt_llm.run.cards import may_be_on_hub
from pyswarmopt_llm.scores.metrics.objectives import check_window, find_metrics
from pyswarmopt_llm.scores.tasks import Task, load_task
from pyswarmopt_rivals.bench import Bench, BudgetedBench, load_pool
from pyswarmopt_rivals.comparison.contest import check_budget
from pyswarmopt_rivals.merge_config import MergeConfig
from pyswarmopt_rivals.methods import load_method
from pyswarmopt_rivals.methods.changes import as_adapter
from pyswarmopt_rivals.methods.method import Method, Settings

# Float32 factors are not more precise: smaller errors are rounding.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class MergeResult:
    """The output of `merge_experts`."""

    space: str
    ranks: tuple[int, ...]  # the LoRA ranks in the adapter, ascending
    # relative Frobenius error of the adapter against the method's exact result; 0 if exact
    error: float
    items: int = 0  # dev items evaluated by the method
    note: str = ""  # how they were drawn, if the task's file has no split

    def loss(self) -> str:
        """The loss from truncating the rank, in words.

        Example:
            >>> MergeResult("delta", (8,), 0.0).loss()
            'nothing was truncated'
            >>> MergeResult("delta", (8,), 0.125).loss().partition(" of it")[0]
            'the exact merge has a higher rank; truncation lost 12.5%'
        """
        if not self.error:
            return "nothing was truncated"
        return (
            f"the exact merge has a higher rank; truncation lost {self.error:.1%} of it in the "
            "Frobenius norm (a higher rank loses less)"
        )


def merge_experts(
    base: str,
    experts: Sequence[str],
    method: str,
    space: str | None,
    out: str | Path,
    **options: Any,
) -> MergeResult:
    """`sl.merge`: write the merge of some experts as a PEFT adapter with a card.

    Args:
        base: the experts' base model.
        experts: adapter directories.
        method: a key of `METHODS` or `SEARCHING`.
        space: ``factor``, ``delta``, or None for the method's default.
        out: directory to create.
        **options: further fields of `MergeConfig`: ``weights="0.7,0.3"``, ``rank``, ``task``, ...

    Returns:
        The space, the adapter's ranks, and the loss from truncation.

    Raises:
        UserError: see `merge`.
    """
    return merge(MergeConfig(base, tuple(experts), str(out), method, space, **options))


def merge(config: MergeConfig) -> MergeResult:
    """Write the merge described by a configuration.

    Raises:
        UserError: an unknown method, an option that does not fit, experts that do not fit, or `out`
            exists.
    """
    folder = user_path(config.out)
    method, settings = checked(config)
    check_free(folder)
    task = None
    if config.task is not None:
        task = load_task(config.task, columns=config.columns, template=config.template)
    base, experts = load_pool(config.base, config.experts, settings.space)
    if task is not None:
        settings = replace(settings, trial=_trial(base, experts, task, config.budget_items))
    merged = as_adapter(method.execute(experts, settings), experts, config.rank)
    ranks = {change.a.shape[0] for change in merged.patch.low_rank.values()}
    error = 0.0 if merged.error < _ROUNDING else merged.error
    result = MergeResult(settings.space, tuple(sorted(ranks)), error)
    if task is not None:
        result = replace(result, items=settings.trial.spent, note=task.note)
    infos = [expert.info for expert in experts]
    card = merge_card(config, infos, method, settings, result, base.name)
    save_patch(merged.patch, infos, folder, card)
    return result


def checked(config: MergeConfig) -> tuple[Method, Settings]:
    """The method and its settings, checked before anything is loaded.

    Raises:
        UserError: an unknown method, or an option that does not fit.
    """
    name = config.method
    task = config.task
    check_options(config)
    method = load_method(name)
    need_extra(method.module, f"`method` {name}")
    if name == "data-merge":
        why = "trains on all experts' data; use swarm-llm train-expert with several `data`"
        raise InvalidOption("method", name, why)
    looks = bool(method.needs - {"seed"})
    if looks and task is None:
        raise InvalidOption("method", name, "needs dev examples; add `task`")
    if task is not None and not looks:
        raise InvalidOption("task", task, f": {name} is a fixed rule and uses no task; remove it")
    return method, method.settings(
        len(config.experts),
        config.space,
        weights=weights_of(config),
        density=config.density,
        rank=config.rank,
        seed=config.seed,
    )


def weights_of(config: MergeConfig) -> tuple[float, ...] | None:
    """The experts' weights.

    Raises:
        InvalidOption: they are not finite numbers separated by commas.
    """
    text = config.weights
    if text is None:
        return None
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        why = ": use finite numbers separated by commas, such as 0.5,0.3,0.2"
        raise InvalidOption("weights", text, why)
    return numbers


def _trial(
    base: BaseModel, experts: Sequence[Adapter], task: Task, budget_items: int
) -> BudgetedBench:
    """The task's dev items, scored as in a search."""
    check_budget(budget_items, task)
    engine = load_engine(base, "auto", "auto", None)
    metric = find_metrics({task.name: task})[task.name]
    check_window(task, "auto", engine, ("dev",), metric)
    bench = Bench(base, engine, experts, task, metric=metric)
    return BudgetedBench(bench.settled("auto", bench.store), budget_items)


def merge_card(
    config: MergeConfig,
    experts: Sequence[AdapterInfo],
    method: Method,
    settings: Settings,
    result: MergeResult,
    base: str,
) -> str:
    """README.md of a merged adapter: experts, method, loss, and the command that reproduces it."""
    named = {"base_model": base} if may_be_on_hub(base) else {}
    header = {**named, "library_name": "peft", "tags": ["lora", "merge", "pyswarmopt"]}
    given = asdict(config) | {"out": "ADAPTER"}
    names = [info.name for info in experts]
    weights = {}
    if method.even or method.weight is not None:
        weights = dict(zip(names, settings.weights.tolist(), strict=True))
    text = render(
        "pyswarmopt_rivals/merged.md.j2",
        front=front_matter(header),
        base=base,
        names=names,
        method=method,
        task=config.task,
        settings=settings,
        result=result,
        weights=weights,
        again=command("merge", of=MergeConfig, **given),
    )
    return f"{text}\n"
