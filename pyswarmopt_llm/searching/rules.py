"""Rules of a search: which settings go together, and which with which tasks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pyswarmopt_llm.common.config import (
    LEAST_TRAINED,
    MODEL_SWARMS,
    MODELS,
    MOST_COEFFICIENTS,
    SUMS,
    SearchConfig,
)
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.optimizers import check_optimizer, is_swarm
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.experts.files import inside, refuse_unmatched
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.searching.plan import Plan, Request, iterations_given

RAY = "ray"
MOST = 4096  # workers on one machine


def check_settings(config: SearchConfig, given: Mapping[str, Any]) -> None:
    """Refuse settings that are out of range, unknown, or in conflict.

    Args:
        config: requested or decided settings.
        given: settings given by the user.

    Raises:
        UserError: names the first one.
    """
    kind = space_kind(config.space)
    _check_experts(config)
    check_options(config)
    kind.check(config)
    check_workers(config)
    _check_procedure(config)
    _check_proposer(config, given)
    _check_machine(config)
    _check_coefficients(config)
    if config.start in SUMS and not kind.adapters:
        why = f"sums weight changes by coefficients, which `space` {kind.name} does not have"
        raise InvalidOption("start", config.start, f"{why}; remove it")


def _check_procedure(config: SearchConfig) -> None:
    """Refuse two procedures, and settings of another one."""
    if config.paper and config.reference:
        raise InvalidOption("paper", True, "contradicts `reference`; remove one of them")
    if config.published and config.method in MODELS:
        why = "a swarm proposes in the published procedures; remove it"
        raise InvalidOption("method", config.method, why)
    if config.published and config.quick:
        raise InvalidOption("quick", True, "is no part of the published procedures; remove it")


def _check_proposer(config: SearchConfig, given: Mapping[str, Any]) -> None:
    """Refuse iterations of a model, and dropped values where all are needed."""
    iterations = iterations_given(given)
    if config.method in MODELS and iterations:
        why = f"proposes without iterations; remove {iterations[0]}"
        raise InvalidOption("method", config.method, why)
    if not is_swarm(config.optimizer) and (config.drop_k or config.drop_n):
        why = "needs every value; remove `drop_k` and `drop_n`"
        raise InvalidOption("optimizer", config.optimizer, why)


def _check_machine(config: SearchConfig) -> None:
    """Refuse workers or sampled replies that do not go with the other settings."""
    kind = space_kind(config.space)
    if kind.several_models and config.processes != 1:
        why = f"space {kind.name} has several models in one process; remove it"
        raise InvalidOption("workers", config.workers, why)
    if config.budget_minutes and not config.processes:
        why = "the number of Ray's workers is not known ahead; use `budget_items`"
        raise InvalidOption("budget_minutes", config.budget_minutes, why)
    if config.temperature and kind.several_models:
        why = f"`space` {kind.name} writes greedy replies only; remove it"
        raise InvalidOption("temperature", config.temperature, why)


def _check_coefficients(config: SearchConfig) -> None:
    """Refuse coefficients of the swarm, or draws of them, that make no sense."""
    settings = config.settings
    several = any("," in setting for setting in settings)
    if config.is_grid and not (several or config.published):
        why = "nothing to draw from; use several values of a coefficient, or `paper`"
        raise InvalidOption("draws", config.draws, why)
    if config.is_grid:
        from pyswarmopt_llm.searching.grid import make_grid

        settings = make_grid(config).waiting[0]
    optimizer = MODEL_SWARMS if config.optimizer == "auto" else config.optimizer
    size = space_kind(config.space).size(len(config.experts))
    check_optimizer(optimizer, settings, size, config.population)


def check_tasks(request: Request) -> None:
    """Refuse settings that do not suit the tasks.

    Raises:
        UserError: names the first one.
    """
    config = request.config
    if config.quick:
        if why := request.without_options:
            why = f"a race needs the scores of options, {why}; remove it"
            raise InvalidOption("quick", True, why)
        if why := why_no_training(request):
            raise InvalidOption("quick", True, f"it trains, and training {why}")
    if config.train == "on" and (why := why_no_training(request)):
        raise InvalidOption("train", config.train, why)
    if config.method in MODELS and (why := why_no_model(config.method, request)):
        raise InvalidOption("method", config.method, why)
    if request.paid_metric and not request.alone:
        why = "a metric that is paid for counts and limits its requests in one process; remove it"
        raise InvalidOption("workers", config.workers, why)
    if request.kind.several_models and request.objectives.externals:
        why = "a harness task scores one model, not several; use task files"
        raise InvalidOption("space", config.space, why)


def why_no_training(request: Request) -> str:
    """Why nothing can be trained; "" if it can. Few items count only where training was requested: by
    default too few are no fault.
    """
    if not request.kind.linear:
        return f"goes with `space` delta only, not with {request.kind.name}; remove it"
    if not request.alone:
        return "goes with one worker; remove it, or remove `workers`"
    if not request.objectives.written and (why := request.without_options):
        where = "from the scores of options, or where all tasks have scores of written replies"
        return f"learns {where}, {why}; remove it"
    asked = request.config.train == "on" or request.config.quick
    if asked and request.items < LEAST_TRAINED:
        return f"{request.items} dev examples are too few to train on; remove it"
    return ""


def why_no_model(method: str, request: Request) -> str:
    """Why a model of the items or of the scores cannot propose; "" if it can."""
    if method == "items" and request.kind.several_models:
        return f"`space` {request.kind.name} scores all examples at once; remove it"
    if method == "items" and (why := request.without_options):
        return f"learns from the scores of options, {why}; remove it"
    if method == "scores" and request.size > MOST_COEFFICIENTS:
        return (
            f"learns from at most {MOST_COEFFICIENTS} coefficients, here a candidate has "
            f"{request.size}; use swarm"
        )
    return ""


def check_costs(plan: Plan) -> None:
    """Refuse a decided plan with impossible proposals or an impossible budget.

    Raises:
        UserError: proposals of a model where a swarm proposes, or a budget that the starting points
            exceed.
    """
    if plan.proposals and plan.config.method not in MODELS:
        given = " ".join(f"`{name}`" for name in iterations_given(plan.given))
        why = "a swarm proposes its own candidates; remove it"
        raise InvalidOption("proposals", plan.proposals, f"{why}, or {given}" if given else why)
    budget = plan.config.budget_items
    particles = plan.config.population
    if budget is not None and budget < particles * plan.items:
        needed = (
            f"the starting swarm alone takes {particles} x {plan.items} = {particles * plan.items}"
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


def check_workers(config: SearchConfig) -> None:
    """Refuse a `workers` that is neither a number nor Ray.

    Raises:
        UserError: names the option.
    """
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
