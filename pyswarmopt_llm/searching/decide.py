"""Turns requested settings into a plan: a procedure chooses, given settings win; settings that do not
go together, or not with the tasks, are refused.

There are three procedures. The default is the best method in this project's tables for the task:
weight changes (``delta``), candidates proposed by a model of the items' margins in place of
iterations, and training on dev at the end. `paper` is the published procedure, `reference` the
authors' released scripts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import (
    ALONE,
    LEAST_DEV,
    LEAST_DEV_BESIDE_SPARE,
    LEAST_TRAINED,
    MAX_ITER,
    MODEL_SWARMS,
    MODELS,
    MOST_COEFFICIENTS,
    PARTICLES,
    PATIENCE,
    SUMS,
    SearchConfig,
    given_settings,
)
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.optimizers import check_optimizer, is_swarm
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.experts.files import inside, refuse_unmatched
from pyswarmopt_llm.mix import space_kind, use_own
from pyswarmopt_llm.scores.metrics.objectives import check_answers, load_objectives
from pyswarmopt_llm.searching.plan import Plan
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED

RAY = "ray"
MOST = 4096  # workers on one machine
DRAWS = 10  # sets of coefficients drawn from a grid
CANDIDATES = 40  # evaluations per search if nothing else limits the iterations
WRITING = 10  # particles if replies are written, so that `CANDIDATES` make several iterations
OF_ITERATIONS = ("optimizer", "max_iter", "patience", "settings", "drop_k", "drop_n")
# The authors' four shell scripts set the restart patience of search.py to .67 times its patience (a
# particle goes back after 6 evaluations without a new best: `restart_patience` 7 in the recipe's
# ``compat="reference"``) and draw the other coefficients from the paper's grid. search.py's own
# values for them are below; it runs at most 200 iterations.
_OF_SCRIPTS = {"restart_patience": "7"}
_OF_SEARCH_PY = {"inertia": "0.4", "cognitive": "0.3", "social": "0.3", "repel": "0.3", "step": "1"}
_MOST_RELEASED = 200
# How a LoRA's location is read: research/notes/trial.md.
READINGS = (
    "a location is read as weights, as in the paper's text; `space` factor reads it as the matrices "
    "A and B, as in the authors' code, and gained less on synthetic tasks"
)
# Why nothing is trained by default with a score that costs money.
UNPAID = (
    "nothing is trained: every reply that is tried would be a request to pay for; to train use "
    "`train on`"
)
# Measured where the truth was known: research/notes/rewards.md.
GAMED = (
    "a model rates the replies, and a search may please it without answering better; on synthetic "
    "statements the rating rose from 5.4 to 7.5 and the right facts fell from 0.42 to 0.35: read "
    "the replies"
)


def make_plan(config: SearchConfig) -> Plan:
    """Decide a search.

    Raises:
        UserError: a setting that is out of range, unknown, in conflict, or not for these tasks.
    """
    given = given_settings(config)
    asked = filled_in(config)
    check_settings(asked, given)
    objectives = load_objectives(asked)
    # The harness may write replies.
    thinking = 0 if objectives.externals else config.thinking
    check_answers(config.scoring, thinking, objectives.tasks, objectives.metrics)
    request = Plan(asked, objectives, given)
    check_tasks(request)
    plan = _chosen(request)
    check_costs(plan)
    return plan


def stored_plan(config: SearchConfig, given: Mapping[str, Any] | None = None) -> Plan:
    """The plan that ``run.json`` holds, with its tasks; nothing is decided again.

    Args:
        config: the settings that were decided.
        given: settings that were given.

    Raises:
        UserError: the settings are not those of a plan, or do not fit the tasks any more.
    """
    use_own(config.space)
    check_settings(config, given or {})
    plan = Plan(config, load_objectives(config), given or {})
    check_tasks(plan)
    return plan


def filled_in(config: SearchConfig) -> SearchConfig:
    """The requested settings, with space, draws and day filled in: by default a search has one set
    of coefficients, unless there is a grid.
    """
    space = space_of(config)
    use_own(space)
    draws = config.draws
    own = any("," in setting for setting in config.settings)
    published = config.published and config.optimizer in ("auto", MODEL_SWARMS)
    if draws is None and (own or published):
        draws = DRAWS
    return replace(config, space=space, draws=draws, day=config.day or date.today().isoformat())


def space_of(config: SearchConfig) -> str:
    """The requested space; else the procedure's, whatever the tasks are."""
    if config.space != "auto":
        return config.space
    if config.reference:
        return "factor"
    return "delta" if config.base else "token"


# What a procedure chooses


def _chosen(request: Plan) -> Plan:
    """The plan that answers a request: a procedure's settings, with the given ones in their place."""
    config = request.config
    objectives = request.objectives
    why: dict[str, str] = {}
    if config.published:
        chosen = _published(request, why)
    elif config.quick:
        chosen = _by_model("items", len(config.experts) + SUMS["base"], "base", 0)
        chosen["train"] = "on"
    else:
        chosen = _proposing(request)
        chosen["train"] = _training(request, why)
    given = {name: value for name, value in request.given.items() if name in chosen}
    given.pop("settings", None)  # a procedure adds to them
    if chosen["method"] in MODELS:
        given.pop("max_iter", None)  # `max_iter` 0 asks for no iterations
    chosen |= given
    if config.combine == "auto" and objectives.combined_by != "harmonic":
        chosen["combine"] = objectives.combined_by
        why["combine"] = (
            f"{', '.join(objectives.names)}: the mean of the scores is maximised (`combine` "
            "arithmetic), since they may be negative"
        )
    if gamed := [name for name, metric in objectives.metrics.items() if metric.gamed]:
        why["gamed"] = f"{', '.join(gamed)}: {GAMED}"
    experts = len(config.experts)
    if chosen["method"] == "items" and request.kind.size(experts) > MOST_COEFFICIENTS:
        why["race"] = (
            f"a model learns from at most {MOST_COEFFICIENTS} coefficients, here are {experts}: a "
            f"race leaves at most {MOST_COEFFICIENTS} experts, and mixtures of those are proposed"
        )
    if config.threads is None:
        chosen["threads"] = threads_of(config.processes)
    return replace(request, config=replace(config, **chosen), why=why)


def _published(request: Plan, why: dict[str, str]) -> dict[str, Any]:
    """The published procedure, or that of the authors' scripts."""
    config = request.config
    chosen = _by_swarm("segments")
    if config.reference and config.optimizer in ("auto", MODEL_SWARMS):
        values = _OF_SCRIPTS if config.is_grid else {**_OF_SEARCH_PY, **_OF_SCRIPTS}
        names = {setting.partition("=")[0].replace("-", "_") for setting in config.settings}
        added = [f"{name}={value}" for name, value in values.items() if name not in names]
        chosen |= {"max_iter": _MOST_RELEASED, "settings": (*added, *config.settings)}
    elif config.space == "delta" and "space" not in request.given:
        why["space"] = READINGS
    return chosen


def _proposing(request: Plan) -> dict[str, Any]:
    """The proposer, with its particles and candidates, or with a budget for iterations.

    Without a setting for iterations there are none: a surrogate's candidates do better in fewer
    passes. The search then scores the experts, the base, their average and sum, and these
    candidates. Iterations without a stopping rule get a budget; else they may take hours.
    """
    config = request.config
    linear = request.kind.linear
    costly = request.objectives.writes or request.objectives.user_scored
    method = _proposer(request, costly)
    particles = len(config.experts) + SUMS["even"]
    if method == "items":
        return _by_model(method, particles, "even" if linear else "segments", ALONE)
    if method == "scores":
        particles = max(config.particles or 0, particles)
        proposals = max(CANDIDATES - particles, ALONE)
        return _by_model(method, particles, "even" if linear else "segments", proposals)
    start = "segments"
    if linear and (config.optimizer == "auto" or is_swarm(config.optimizer)):
        start = "even" if config.max_iter == 0 else "sums"
    chosen = _by_swarm(start)
    if config.max_iter is not None or config.budget_items is not None:
        return chosen
    if not why_no_model("items", request):
        chosen["budget_items"] = max(CANDIDATES, config.population) * request.items
    elif costly:
        particles = config.particles or max(WRITING, len(config.experts))
        rounds = max(1, CANDIDATES // config.population_of(particles) - 1)
        chosen |= {"particles": particles, "max_iter": rounds}
    return chosen


def _proposer(request: Plan, costly: bool) -> str:
    """The proposer: a surrogate where one can learn, unless iterations are requested."""
    if request.config.method != "auto":
        return request.config.method
    if iterations_given(request.given):
        return "swarm"
    if not why_no_model("items", request):
        return "items"
    if request.kind.several_models and not costly:
        return "swarm"  # a member's predictions are read once, for all mixtures
    return "swarm" if why_no_model("scores", request) else "scores"


def _by_model(method: str, particles: int, start: str, proposals: int) -> dict[str, Any]:
    """The settings of a search whose candidates a model proposes."""
    return {
        "method": method,
        "particles": particles,
        "start": start,
        "proposals": proposals,
        "max_iter": None,
    }


def _by_swarm(start: str) -> dict[str, Any]:
    """The settings of a swarm, each with its plain default."""
    return {
        "method": "swarm",
        "particles": PARTICLES,
        "start": start,
        "proposals": 0,
        "optimizer": MODEL_SWARMS,
        "max_iter": MAX_ITER,
        "patience": PATIENCE,
        "drop_k": 0.0,
        "drop_n": 0.0,
        "train": "off",
    }


def _training(request: Plan, why: dict[str, str]) -> str:
    """Whether the default trains, ``on`` or ``off``; if not, why tells the reason and the remedy."""
    if why_no_training(request):
        return "off"
    topic, reason = UNTRAINED, _too_few(request)
    if request.paid_metric:
        topic, reason = "train", UNPAID
    if not reason:
        return "on"
    if request.config.train == "auto":
        why[topic] = reason
    return "off"


def _too_few(request: Plan) -> str:
    """Why the default does not train on the dev items, and the remedy; "" if there are enough."""
    least = LEAST_DEV_BESIDE_SPARE if request.objectives.spare else LEAST_DEV
    items = request.distinct("dev")
    if items >= least:
        return ""
    what = "prompt" if request.objectives.written else "example"
    remedy = f"add {what}s"
    if request.objectives.written:
        remedy += f", or set `dev` {LEAST_DEV_BESIDE_SPARE} and add as many more to train on"
    if items >= LEAST_TRAINED:
        remedy += " or use `train on`"
    few = f"{counted(items, f'dev {what}')}, too few to train on"
    return f"{few}: a search trains from {LEAST_DEV} on; {remedy}"


def threads_of(processes: int) -> int | None:
    """Threads of each of several workers: the cores, divided among them; None for one worker.

    ``run.json`` stores it: the last bits of a score may depend on the number of threads.

    Args:
        processes: processes on this machine; 0: Ray's.
    """
    if processes == 1:
        return None
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return max(1, cores // processes) if processes else 1


def iterations_given(given: Mapping[str, Any]) -> list[str]:
    """The user's settings of iterations; none with `max_iter` 0."""
    if given.get("max_iter") == 0:
        return []
    return [name for name in OF_ITERATIONS if name in given]


# What is refused


def check_settings(config: SearchConfig, given: Mapping[str, Any]) -> None:
    """Refuse settings that are out of range, unknown, or in conflict.

    Args:
        config: requested or decided settings.
        given: settings given by the user.

    Raises:
        UserError: names the first one.
    """
    kind = space_kind(config.space)
    refuse_unmatched(config.experts)
    if len(config.experts) < 2:
        hints = "".join(inside(spec, "adapter_config.json") for spec in config.experts)
        why = f"{len(config.experts)} given, a search mixes at least 2"
        more = "; name more of them, or train one: swarm-llm train-expert"
        raise InvalidOption("experts", None, why + (hints or more))
    check_options(config)
    kind.check(config)
    by_model = config.method in MODELS
    iterations = iterations_given(given)
    several = any("," in setting for setting in config.settings)
    address = config.workers.partition("ray://")[2]
    on_ray = config.workers == RAY or (address and config.workers == f"ray://{address}")
    conflicts = [
        ("paper", config.paper and config.reference, "contradicts `reference`; remove one of them"),
        (
            "method",
            config.published and by_model,
            "a swarm proposes in the published procedures; remove it",
        ),
        (
            "quick",
            config.published and config.quick,
            "is no part of the published procedures; remove it",
        ),
        (
            "method",
            by_model and iterations,
            f"proposes without iterations; remove {', '.join(iterations[:1])}",
        ),
        (
            "optimizer",
            not is_swarm(config.optimizer) and (config.drop_k or config.drop_n),
            "needs every value; remove `drop_k` and `drop_n`",
        ),
        (
            "workers",
            not on_ray and not 1 <= config.processes <= MOST,
            "give a number from 1 on, ray, or ray://HOST",
        ),
        (
            "workers",
            kind.several_models and config.processes != 1,
            f"space {kind.name} has several models in one process; remove it",
        ),
        (
            "temperature",
            kind.several_models and config.temperature,
            f"`space` {kind.name} writes greedy replies only; remove it",
        ),
        (
            "draws",
            config.is_grid and not (several or config.published),
            "nothing to draw from; use several values of a coefficient, or `paper`",
        ),
        (
            "start",
            config.start in SUMS and not kind.adapters,
            f"sums weight changes by coefficients, which `space` {kind.name} does not have; remove it",
        ),
    ]
    for setting, conflict, why in conflicts:
        if conflict:
            raise InvalidOption(setting, getattr(config, setting), why)
    optimizer = MODEL_SWARMS if config.optimizer == "auto" else config.optimizer
    settings = config.settings
    if config.is_grid:
        from pyswarmopt_llm.searching.grid import make_grid

        settings = make_grid(config).waiting[0]
    check_optimizer(optimizer, settings, kind.size(len(config.experts)), config.population)


def check_tasks(request: Plan) -> None:
    """Refuse settings that do not suit the tasks.

    Raises:
        UserError: names the first one.
    """
    config = request.config
    untrained = why_no_training(request)
    unmodelled = why_no_model(config.method, request) if config.method in MODELS else ""
    options = request.without_options
    conflicts = [
        (
            "quick",
            config.quick and options,
            f"a race needs the scores of options, {options}; remove it",
        ),
        ("quick", config.quick and untrained, f"it trains, and training {untrained}"),
        ("train", config.train == "on" and untrained, untrained),
        ("method", unmodelled, unmodelled),
        (
            "workers",
            request.paid_metric and not request.alone,
            "a metric that is paid for counts and limits its requests in one process; remove it",
        ),
        (
            "space",
            request.kind.several_models and request.objectives.externals,
            "a harness task scores one model, not several; use task files",
        ),
    ]
    for setting, conflict, why in conflicts:
        if conflict:
            raise InvalidOption(setting, getattr(config, setting), why)


def why_no_training(request: Plan) -> str:
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


def why_no_model(method: str, request: Plan) -> str:
    """Why a model of the items or of the scores cannot propose; "" if it can."""
    if method == "items" and request.kind.several_models:
        return f"`space` {request.kind.name} scores all examples at once; remove it"
    if method == "items" and (why := request.without_options):
        return f"learns from the scores of options, {why}; remove it"
    size = request.kind.size(len(request.config.experts))
    if method == "scores" and size > MOST_COEFFICIENTS:
        return (
            f"learns from at most {MOST_COEFFICIENTS} coefficients, here a candidate has {size}; "
            "use swarm"
        )
    return ""


def check_costs(plan: Plan) -> None:
    """Refuse a decided plan with impossible proposals or an impossible budget.

    Raises:
        UserError: proposals of a model where a swarm proposes, or a budget that the starting points
            exceed.
    """
    if plan.proposals and plan.config.method not in MODELS:
        why = "a swarm proposes its own candidates; remove it"
        if given := " ".join(f"`{name}`" for name in iterations_given(plan.given)):
            why += f", or {given}"
        raise InvalidOption("proposals", plan.proposals, why)
    budget = plan.config.budget_items
    needed = plan.config.population * plan.items
    if budget is not None and budget < needed:
        why = f"the starting swarm alone takes {plan.config.population} x {plan.items} = {needed}"
        raise InvalidOption(
            "budget_items", budget, f"{why}; raise it, or lower `particles` or `dev`"
        )
