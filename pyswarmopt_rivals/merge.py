"""Merge experts into one adapter, by a fixed rule or by a method that searches on a task's dev
items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pyswarmopt_llm.common.commands import changed, command
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.engine.load import load_engine
from pyswarmopt_llm.experts.adapter import Adapter, AdapterInfo, load_adapter
from pyswarmopt_llm.experts.base import BaseModel, refuse_quantised, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.files import check_free
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.report.pages import code, plain
from pyswarmopt_llm.scores.metrics.objectives import find_metrics
from pyswarmopt_llm.scores.metrics.questions.context_window import check_window
from pyswarmopt_llm.scores.tasks import Task, load_task
from pyswarmopt_rivals.comparison.bench import Bench, BudgetedTrial, task_scoring
from pyswarmopt_rivals.comparison.store import Store
from pyswarmopt_rivals.methods import load_method
from pyswarmopt_rivals.methods.changes import as_adapter
from pyswarmopt_rivals.methods.method import Merged, Method, Options, Settings

# Float32 factors cannot say more: below this an error is rounding.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class MergeResult:
    """The output of `merge_experts`."""

    method: str
    space: str
    ranks: tuple[int, ...]  # the LoRA ranks that occur in the adapter, ascending
    # relative Frobenius error of the adapter against what the method defines; 0 if it is exact
    error: float
    # the module where that error is largest and its own error; None if it is exact
    worst: tuple[str, float] | None
    items: int = 0  # dev items evaluated to find it
    note: str = ""  # how they were drawn, if the task's file has no split

    def loss(self) -> str:
        """The loss by truncation to the rank, in words."""
        if self.worst is None:
            return "nothing was cut"
        module, error = self.worst
        return (
            f"the method's result is of higher rank: the cut lost {self.error:.1%} of it in the "
            "Frobenius norm "
            f"(most at {module}: {error:.1%}); a higher rank loses less"
        )


def merge_experts(
    base: str,
    experts: Sequence[str],
    method: str,
    space: str | None,
    out: str | Path,
    options: Options | None = None,
    task: str | None = None,
    budget_items: int = 8000,
    columns: Sequence[str] = (),
    template: Sequence[str] = (),
    split_seed: int = 0,
) -> MergeResult:
    """Write the merge of `experts` to `out` as a PEFT adapter with a card.

    Args:
        base: the experts' base model.
        experts: adapter directories; their order matters to ``slerp`` and to `options.weights`.
        method: a key of `baselines.METHODS`.
        space: ``factor`` combines the LoRA factors, ``delta`` the weight changes; None is the
            method's own.
        out: directory to create.
        options: weights, density, t, rank, seed, where the method takes them.
        task: whose dev items a searching method looks at (a key of `baselines.SEARCHING`).
        budget_items: dev items that it may evaluate.
        columns: how `task` is read (`load_task`).
        template: see `load_task`.
        split_seed: see `load_task`.

    Raises:
        UserError: an unknown method, an option that does not fit, experts that do not fit, or `out`
            exists.
    """
    folder = user_path(out)
    rule, settings = checked(method, experts, space, folder, options, task)
    how = {"columns": columns, "template": template, "split_seed": split_seed}
    loaded = None if task is None else load_task(task, **how)  # type: ignore[arg-type]
    resolved = resolve_base(base)
    refuse_quantised(resolved)
    report = inspect_experts(experts, resolved)
    report.require(settings.space)
    adapters = [load_adapter(info) for info in report.experts]
    if loaded is not None:
        settings = replace(settings, trial=_trial(resolved, adapters, loaded, budget_items))
    merged = as_adapter(rule.execute(adapters, settings), adapters, settings.rank)
    result, reading = _result(rule, settings, merged), _reading(columns, template, split_seed)
    card = merge_card(base, experts, report.experts, rule, settings, result, task, reading)
    save_patch(merged.patch, report.experts, folder, card)
    return result


def checked(
    method: str,
    experts: Sequence[str],
    space: str | None,
    out: Path,
    options: Options | None,
    task: str | None,
) -> tuple[Method, Settings]:
    """The method and its settings, before anything is loaded.

    Raises:
        UserError: an unknown method, an option that does not fit, or `out` exists.
    """
    rule = load_method(method)
    need_extra(rule.module, f"`method` {method}")
    if method == "data-merge":
        why = "trains on all experts' data; use swarm-llm train-expert with several `data`"
        raise InvalidOption("method", method, why)
    if rule.needs - {"seed"} and task is None:
        raise InvalidOption("method", method, "looks at dev items; give `task`")
    if task is not None and not rule.needs - {"seed"}:
        raise InvalidOption(
            "task", task, f"{method} is a fixed rule and looks at no task; remove it"
        )
    settings = rule.settings(len(experts), space, options)
    check_free(out)
    return rule, settings


def _trial(
    base: BaseModel, experts: Sequence[Adapter], task: Task, budget_items: int
) -> BudgetedTrial:
    """The task's dev items, scored as in a search."""
    if len(task.dev) > budget_items:
        raise InvalidOption(
            "budget_items",
            budget_items,
            f"below the {len(task.dev)} dev items of {task.name}; raise it",
        )
    engine = load_engine(base, "auto", "auto", None)
    metric = find_metrics({task.name: task})[task.name]
    check_window(task, "auto", engine, ("dev",), metric)
    store = Store()
    scoring = task_scoring(task, "auto", engine, experts, store, metric)
    return BudgetedTrial(
        Bench(base, engine, experts, task, scoring, store, metric=metric), budget_items
    )


def _result(rule: Method, settings: Settings, merged: Merged) -> MergeResult:
    exact = merged.error < _ROUNDING
    return MergeResult(
        method=rule.name,
        space=settings.space,
        ranks=tuple(sorted({change.a.shape[0] for change in merged.patch.low_rank.values()})),
        error=0.0 if exact else merged.error,
        worst=None if exact else max(merged.errors.items(), key=lambda item: item[1]),
        items=settings.trial.spent if settings.trial is not None else 0,
        note=settings.trial.bench.task.note if isinstance(settings.trial, BudgetedTrial) else "",
    )


def _reading(columns: Sequence[str], template: Sequence[str], split_seed: int) -> dict[str, Any]:
    """The settings that say how a task is read."""
    return {"columns": list(columns), "template": list(template), "split_seed": split_seed}


def merge_card(
    base: str,
    paths: Sequence[str],
    experts: Sequence[AdapterInfo],
    rule: Method,
    settings: Settings,
    result: MergeResult,
    task: str | None = None,
    reading: Mapping[str, Any] | None = None,
) -> str:
    """README.md of a merged adapter: what it is made of, how, what was lost, and the command that
    reproduces it.
    """
    name = next((info.base_model_name for info in experts if info.base_model_name), base)
    tags = ["lora", "merge", "pyswarmopt"]
    header = {"base_model": " ".join(name.split()), "library_name": "peft", "tags": tags}
    front = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    how = "a fixed rule; nothing was trained or scored"
    if task is not None:
        how = (
            f"a method that searched on the dev items of {code(task)}; {result.items:,} item "
            "evaluations"
        )
    return (
        "\n\n".join(
            [
                f"---\n{front}---",
                f"# {len(experts)} experts merged by {rule.name}",
                f"A LoRA adapter for {code(name)}, made from others by {how}.",
                f"Method: {rule.name} ({plain(rule.paper)}), in {settings.space} space"
                + (f", density {settings.density:g}" if rule.density is not None else "")
                + (f", seed {settings.seed}" if "seed" in rule.needs else "")
                + f". Rank {', '.join(map(str, result.ranks))}; {plain(result.loss())}.",
                "## Experts",
                "\n".join(_expert_lines(experts, rule, settings)),
                "## How to make it again",
                "    "
                + " ".join(_command(base, paths, rule, settings, task, reading).splitlines()),
            ]
        )
        + "\n"
    )


def _expert_lines(experts: Sequence[AdapterInfo], rule: Method, settings: Settings) -> list[str]:
    if rule.weight is None:
        return [f"- {plain(info.name)}" for info in experts]
    rows = zip(experts, settings.weights.tolist(), strict=True)
    return [
        "| expert | weight |",
        "|---|---|",
        *(f"| {plain(info.name)} | {weight:g} |" for info, weight in rows),
    ]


def _command(
    base: str,
    paths: Sequence[str],
    rule: Method,
    settings: Settings,
    task: str | None,
    reading: Mapping[str, Any] | None,
) -> str:
    weights = ",".join(f"{weight:.9g}" for weight in settings.weights.tolist())
    return command(
        "merge",
        base=base,
        experts=paths,
        method=rule.name,
        space=settings.space,
        weights=None if rule.weight is None else weights,
        density=None if rule.density is None else f"{settings.density:g}",
        rank=settings.rank,
        seed=settings.seed if "seed" in rule.needs else None,
        task=task,
        out="ADAPTER",
        **changed(reading or {} if task else {}),
    )
