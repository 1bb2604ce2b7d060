"""Rules of a search: which settings go together, and which with which tasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pyswarmopt_llm.common.config import (
    LEAST_TRAINED,
    MODEL_SWARMS,
    MODELS,
    MOST_COEFFICIENTS,
    SUMS,
    TRANSFORMERS,
    SearchConfig,
    is_server,
)
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.optimizers import check_optimizer, is_swarm
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.experts.files import inside, refuse_unmatched
from pyswarmopt_llm.searching.plan import Plan, Work

RAY = "ray"
MOST = 4096  # workers on one machine
F = TypeVar("F", Plan, Work)
_UNSET = (None, "auto", "off", "", (), 0)  # values of a setting that mean it is off


@dataclass(frozen=True)
class Rule(Generic[F]):
    """A condition on a setting.

    Attributes:
        setting: name of the setting.
        holds: whether the setting is allowed.
        why: what is wrong, and what to do; `{f}` stands for the plan or the work.
    """

    setting: str
    holds: Callable[[F], bool]
    why: str


def _paid(work: Work) -> str:
    """The metric that costs money per request, or ""."""
    metrics = work.objectives.metrics.values()
    return next((metric.name for metric in metrics if metric.usage is not None), "")


_ONE_MODEL = "`space` {f.plan.kind.name} scores all examples at once; remove it"
_OPTIONS = "learns from the scores of options, {f.without_options}; remove it"
_FEW = "a model learns from at most 64 coefficients, here a candidate has {f.plan.size}; "
ENOUGH = Rule[Work](
    "train",
    lambda f: f.items >= LEAST_TRAINED,
    "{f.items} dev examples are too few to train on; remove it",
)
SETTINGS: tuple[Rule[Plan], ...] = (
    Rule(
        "start",
        lambda f: f.kind.adapters or f.config.start not in SUMS,
        "sums weight changes by coefficients, which `space` {f.kind.name} does not have; remove it",
    ),
    Rule(
        "method",
        lambda f: f.config.method not in MODELS or not f.iterations_given,
        "proposes without iterations; remove {f.iterations_given[0]}",
    ),
    Rule(
        "optimizer",
        lambda f: is_swarm(f.config.optimizer) or not (f.config.drop_k or f.config.drop_n),
        "needs every value; remove `drop_k` and `drop_n`",
    ),
    Rule(
        "workers",
        lambda f: f.alone or not f.kind.several_models,
        "space {f.kind.name} has several models in one process; remove it",
    ),
    Rule(
        "budget_minutes",
        lambda f: f.config.processes > 0,
        "the number of Ray's workers is not known ahead; give `budget_items`",
    ),
    Rule(
        "mix",
        lambda f: not f.config.served,
        "`engine` {f.config.engine} adds adapters at run time; remove it",
    ),
    Rule(
        "space",
        lambda f: not f.config.served or f.kind.name == "delta",
        "a server takes candidates of space delta; give that",
    ),
    Rule(
        "engine",
        lambda f: not f.config.served or f.alone,
        "makes its own batches in one process; remove `workers`",
    ),
    Rule(
        "temperature",
        lambda f: f.config.engine == TRANSFORMERS and not f.kind.several_models,
        "`engine` {f.config.engine} with `space` {f.kind.name} writes greedy replies only; remove it",
    ),
)

TASKS: tuple[Rule[Work], ...] = (
    Rule("quick", lambda f: f.plan.config.preset == "auto", "goes with `preset` auto; remove one"),
    Rule(
        "quick",
        lambda f: not f.without_options,
        "a race needs the scores of options, {f.without_options}; remove it",
    ),
    Rule(
        "train",
        lambda f: f.plan.kind.linear,
        "goes with `space` delta only, not with {f.plan.kind.name}; remove it",
    ),
    Rule(
        "train",
        lambda f: f.plan.local,
        "goes with one worker and `engine` transformers; remove it, or change those",
    ),
    Rule(
        "train",
        lambda f: f.objectives.written or not f.without_options,
        "learns from the scores of options, or where all tasks have scores of written replies, "
        "{f.without_options}; remove it",
    ),
    ENOUGH,
    Rule(
        "method",
        lambda f: f.plan.config.method != "items" or not f.plan.kind.several_models,
        _ONE_MODEL,
    ),
    Rule("method", lambda f: f.plan.config.method != "items" or not f.without_options, _OPTIONS),
    Rule(
        "method",
        lambda f: f.plan.config.method not in MODELS or f.plan.size <= MOST_COEFFICIENTS,
        _FEW + "give swarm",
    ),
    Rule("proposals", lambda f: f.plan.size <= MOST_COEFFICIENTS, _FEW + "give 0"),
    Rule(
        "workers",
        lambda f: f.plan.alone or not _paid(f),
        "a metric that is paid for counts and limits its requests in one process; remove it",
    ),
    Rule(
        "space",
        lambda f: not (f.plan.kind.several_models and f.objectives.externals),
        "a function or harness task scores one model, not several; give task files",
    ),
)


def reason(setting: str, work: Work, but_for: Rule[Work] | None = None) -> str:
    """Why a setting is refused by the rules other than `but_for`; "" if it is not."""
    rules = (rule for rule in TASKS if rule.setting == setting and rule is not but_for)
    return next((rule.why.format(f=work) for rule in rules if not rule.holds(work)), "")


def modelled(method: str, work: Work) -> str:
    """Why a model of the items or of the scores cannot propose; "" if it can."""
    return reason("method", Work(work.plan.with_settings(method=method), work.objectives))


def check_settings(plan: Plan) -> None:
    """Refuse settings that are out of range, unknown, or in conflict.

    Raises:
        UserError: names the first one.
    """
    config = plan.config
    _check_experts(config)
    check_options(config)
    plan.kind.check(config)
    if not plan.local:
        check_place(config)
    if config.draws is not None and not config.is_grid:
        why = "nothing to draw from; give several values of a coefficient, or `preset` paper"
        raise InvalidOption("draws", config.draws, why)
    optimizer = MODEL_SWARMS if config.optimizer == "auto" else config.optimizer
    settings = config.settings
    if config.is_grid:
        from pyswarmopt_llm.searching.grid import make_grid

        settings = make_grid(config).waiting[0]
    check_optimizer(optimizer, settings, plan.size, config.population)
    _apply(SETTINGS, plan, config)


def check_tasks(work: Work) -> None:
    """Refuse settings that do not suit the tasks.

    Raises:
        UserError: names the first one.
    """
    _apply(TASKS, work, work.plan.config)
    if work.plan.config.quick and (why := reason("train", work)):
        raise InvalidOption("quick", True, f"it trains, and training {why}")


def _apply(rules: Sequence[Rule[F]], subject: F, config: SearchConfig) -> None:
    for rule in rules:
        value = getattr(config, rule.setting)
        if value not in _UNSET and not rule.holds(subject):
            raise InvalidOption(rule.setting, value, rule.why.format(f=subject))


def check_costs(work: Work) -> None:
    """Refuse a decided plan with impossible proposals or an impossible budget.

    Raises:
        UserError: proposals of a model where a swarm proposes, or a budget that the starting points
            exceed.
    """
    plan = work.plan
    if plan.proposals and plan.config.method not in MODELS:
        given = " ".join(f"`{name}`" for name in plan.iterations_given)
        why = "a swarm proposes its own candidates; remove it"
        raise InvalidOption("proposals", plan.proposals, f"{why}, or {given}" if given else why)
    budget = plan.config.budget_items
    particles = plan.config.population
    if budget is not None and budget < particles * work.items:
        needed = (
            f"the starting swarm alone takes {particles} x {work.items} = {particles * work.items}"
        )
        why = f"{needed}; raise it, or lower `particles` or `dev`"
        raise InvalidOption("budget_items", budget, why)


def _check_experts(config: SearchConfig) -> None:
    """Refuse fewer than two experts."""
    refuse_unmatched(config.experts)
    if len(config.experts) < 2:
        hints = "".join(inside(spec, "adapter_config.json") for spec in config.experts)
        why = f"{len(config.experts)} given, a search mixes at least 2"
        more = "; name more of them, or train one further: swarm-llm train-expert --from"
        raise InvalidOption("experts", None, why + (hints or more))


def check_place(config: SearchConfig) -> None:
    """Refuse an engine that is neither local nor a server, and a `workers` that is neither a number
    nor Ray.

    Raises:
        UserError: names the option.
    """
    if not (config.engine == TRANSFORMERS or is_server(config.engine)):
        why = "unknown; use transformers or http://HOST:PORT"
        raise InvalidOption("engine", config.engine, why)
    if config.engine != TRANSFORMERS:
        from pyswarmopt_llm.common.files.http import server_url

        server_url(config.engine)
    address = config.workers.partition("ray://")[2]
    on_ray = config.workers in (RAY, f"ray://{address}") and config.workers != "ray://"
    if not on_ray and not 1 <= config.processes <= MOST:
        raise InvalidOption(
            "workers", config.workers, "give a number from 1 on, ray, or ray://HOST"
        )


def threads_of(processes: int) -> int | None:
    """Threads of each of several workers: the cores, divided among them; None for one worker.

    ``run.json`` stores it: the last bits of a score may depend on the number of threads.

    Args:
        processes: processes on this machine; 0: Ray's.
    """
    if processes == 1:
        return None
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, cores // processes) if processes else 1
