"""Turns requested settings into a plan: a procedure chooses, and given settings take precedence.
Settings that conflict with each other or with the tasks are refused.

There are three procedures. The default is the best method in this project's tables for the task:
weight changes (``delta``), candidates proposed by a surrogate model of the items' margins instead
of iterations, and training on dev at the end. `paper` is the published procedure, `reference` the
authors' released scripts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any, TypedDict

import torch

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import (
    ALONE,
    LEAST_DEV,
    LEAST_DEV_BESIDE_SPARE,
    LEAST_DEV_WRITTEN,
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
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.experts.files import refuse_unmatched
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.mix.load import format_of
from pyswarmopt_llm.scores.metrics.metric import Metric
from pyswarmopt_llm.scores.metrics.objectives import check_answers, load_objectives
from pyswarmopt_llm.searching.optimizers import check_optimizer, is_swarm
from pyswarmopt_llm.searching.plan import Plan, check_floors, draws_of

RAY = "ray"
DRAWS = 10  # sets of coefficients drawn from a grid
CANDIDATES = 40  # evaluations per search if nothing else limits the iterations
OF_ITERATIONS = ("optimizer", "max_iter", "patience", "settings", "drop_k", "drop_n")
# The authors' four shell scripts set the restart patience of search.py to .67 times its patience (a
# particle goes back after 6 evaluations without a new best: `restart_patience` 7 in the recipe's
# ``compat="reference"``) and draw the other coefficients from the paper's grid. search.py's own
# values for them are below; it runs at most 200 iterations.
_OF_SCRIPTS = {"restart_patience": "7"}
_OF_SEARCH_PY = {"inertia": "0.4", "cognitive": "0.3", "social": "0.3", "repel": "0.3", "step": "1"}
_MOST_RELEASED = 200


class Choice(TypedDict, total=False):
    """What a procedure chooses: settings by their names in `SearchConfig`."""

    method: str
    particles: int
    start: str
    proposals: int
    optimizer: str
    max_iter: int | None
    patience: int
    settings: tuple[str, ...]
    drop_k: float
    drop_n: float
    train: str
    batch: int
    screen: str
    budget_items: int


# The settings of a swarm, each with its plain default.
_SWARM: Choice = {
    "method": "swarm",
    "particles": PARTICLES,
    "start": "segments",
    "proposals": 0,
    "optimizer": MODEL_SWARMS,
    "max_iter": MAX_ITER,
    "patience": PATIENCE,
    "drop_k": 0.0,
    "drop_n": 0.0,
    "train": "off",
}
FEW_TEST = 30  # fewer test items get a note
# Why nothing is trained by default with a score that costs money.
UNPAID = "nothing is trained, because every reply would be a paid request; use `train on` to train anyway"
# What another optimizer leaves of a published procedure.
REPLACES = (
    "replaces Algorithm 1 with its own rule, topology, schedule and restarts, and no grid of "
    "coefficients is searched; the space, the particles, their interpolated starting points, the "
    "iterations and the patience stay the procedure's"
)
# Measured where the truth was known: research/notes/rewards.md.
GAMED = (
    "a model rates the replies, and a search may exploit its errors; on synthetic statements the rating "
    "rose from 5.4 to 7.5 while correct facts fell from 0.42 to 0.35, so read the replies"
)


def make_plan(config: SearchConfig) -> Plan:
    """Choose all settings of a search.

    Raises:
        UserError: a setting is out of range, unknown, in conflict with others or with the tasks.
    """
    given = given_settings(config)
    asked = filled_in(config)
    check_settings(asked, given)
    objectives = load_objectives(asked)
    thinking = 0 if objectives.externals else config.thinking  # the harness may write replies
    check_answers(config.scoring, thinking, objectives.tasks, objectives.metrics)
    plan = _chosen(Plan(asked, objectives, given))
    _refuse(plan.config, _unsuited(plan))
    check_floors(plan.config.floor, plan.objectives.names)
    return plan


def stored_plan(config: SearchConfig, given: Mapping[str, Any]) -> Plan:
    """The plan in ``run.json``, with its tasks; nothing is decided again.

    Args:
        config: the settings that were decided.
        given: settings that were given.

    Raises:
        UserError: the settings are not those of a plan, or no longer suit the tasks.
    """
    check_settings(config, given)
    plan = Plan(config, load_objectives(config), given)
    _refuse(plan.config, _unsuited(plan))
    return plan


def filled_in(config: SearchConfig) -> SearchConfig:
    """The requested settings, with space and draws filled in: by default a published procedure
    draws from its grid.
    """
    space = config.space
    if space == "auto":
        space = "token"
        if config.reference:
            space = "factor"
        elif config.base:
            space = "delta"
    draws = config.draws
    if draws is None and config.published and config.optimizer in ("auto", MODEL_SWARMS):
        draws = DRAWS
    return replace(config, space=space, draws=draws)


# What a procedure chooses


def _chosen(request: Plan) -> Plan:
    """The plan that answers a request: a procedure's settings, with the given ones in their place."""
    config = request.config
    objectives = request.objectives
    why: dict[str, str] = {}
    chosen: dict[str, Any] = {**_procedure(request, why)}
    for name in chosen.keys() & request.given.keys():
        if name != "settings":  # a procedure has added to these
            chosen[name] = request.given[name]
    if chosen.get("optimizer") == MODEL_SWARMS and not config.is_grid:
        chosen["settings"] = _with_defaults(chosen.get("settings", config.settings))
    if config.combine == "auto" and objectives.combined_by == "arithmetic":
        chosen["combine"] = objectives.combined_by
        why["combine"] = _why_mean(objectives.metrics.values())
    if config.threads is None and config.processes != 1:
        chosen["threads"] = _threads_of_a_worker(config.processes)
    why |= _remarks(request)
    return replace(request, config=replace(config, **chosen), why=why)


def _procedure(request: Plan, why: dict[str, str]) -> Choice:
    """What the requested procedure chooses; `why` receives what users should know about it."""
    config = request.config
    if config.published:
        chosen = _published(config)
        if config.optimizer not in ("auto", MODEL_SWARMS):
            why["optimizer"] = f"{config.optimizer} {REPLACES}"
    elif config.quick:
        chosen = _by_model("items", len(config.experts) + SUMS["base"], "base", 0)
        chosen["train"] = "on"
    else:
        chosen = _proposing(request)
        chosen["train"] = _training(request, why)
    if chosen.get("method") in MODELS and not config.asynchronous:
        chosen["batch"] = 1  # a batch learns less: research/notes/batches.md
    chosen["screen"] = "off"
    if not request.with_settings(**chosen).why_no_screening:
        chosen["screen"] = "on"
    return chosen


def _threads_of_a_worker(processes: int) -> int:
    """Threads of each of several processes; one for Ray's workers, whose number is 0.

    The run's record has them, since the last bits of a score may depend on it.
    """
    threads = torch.get_num_threads()
    return max(threads // (processes or threads), 1)


def _remarks(request: Plan) -> dict[str, str]:
    """Topic -> what a user should know about the tasks and scores."""
    config = request.config
    objectives = request.objectives
    remarks = {}
    if len(objectives.names) > 1 and not (config.front or config.published):
        remarks["front"] = (
            "one combined score is searched; `front` searches for the trade-offs between them"
        )
    main = next(iter(objectives.metrics.values()), None)
    if main is not None and main.lower and (config.front or len(objectives.names) == 1):
        remarks["lower"] = f"{main.name}: lower is better, so as the main score it has a minus sign"
    tested = request.examples[1]
    if 0 < tested < FEW_TEST and not objectives.externals:
        few = counted(tested, "test example")
        remarks["test"] = f"{few} can only show large differences; add rows"
    gamed = [name for name, metric in objectives.metrics.items() if metric.gamed]
    if gamed:
        remarks["gamed"] = f"{', '.join(gamed)}: {GAMED}"
    return remarks


def _why_mean(metrics: Collection[Metric]) -> str:
    """Why the arithmetic mean stands for the harmonic one."""
    signed = [metric for metric in metrics if metric.signed]
    negative = {metric.name for metric in signed if metric.lower or metric.scale}
    if negative:
        cause = f"those of {', '.join(sorted(negative))} may be negative"
    else:
        unknown = {metric.name for metric in signed}
        cause = f"those of {', '.join(sorted(unknown))} have no known range"
    return f"the mean of the scores is maximised, because {cause}"


def _published(config: SearchConfig) -> Choice:
    """The published procedure, or that of the authors' scripts."""
    if not config.reference or config.optimizer not in ("auto", MODEL_SWARMS):
        return _SWARM.copy()
    values = _OF_SCRIPTS
    if not config.is_grid:
        values = {**_OF_SEARCH_PY, **values}
    names = {setting.partition("=")[0].replace("-", "_") for setting in config.settings}
    added = [f"{name}={value}" for name, value in values.items() if name not in names]
    return {**_SWARM, "max_iter": _MOST_RELEASED, "settings": (*added, *config.settings)}


def _with_defaults(settings: Sequence[str]) -> tuple[str, ...]:
    """Settings of Model Swarms, with the default of each coefficient that they do not set, so that the
    run's record has them all.

    Example:
        >>> _with_defaults(["inertia=.3", "step=1"])
        ('cognitive=0.3', 'social=0.4', 'repel=0.05', 'inertia=.3', 'step=1')
    """
    from pyswarmopt.algorithms.model_swarms import GRID, model_swarms

    named = {setting.partition("=")[0].replace("-", "_") for setting in settings}
    defaults = signature(model_swarms).parameters
    added = [f"{name}={defaults[name].default}" for name in GRID if name not in named]
    return (*added, *settings)


def _proposing(request: Plan) -> Choice:
    """The proposer, with its starting points and candidates, or with a budget for iterations.

    A surrogate proposes where one can learn, unless iterations are requested: its candidates do
    better in fewer passes. The search then scores the experts, the base, their average and sum, and
    these candidates. Iterations without a stopping rule get a budget; else they may take hours.
    Where several models only compare options, candidates are cheap: each model's predictions are
    read once, for all mixtures.
    """
    config = request.config
    linear = request.kind.linear
    cheap = request.kind.several_models and not request.objectives.writes
    method = "scores" if config.front else config.method
    if method == "auto":
        method = "swarm"
        if not (cheap or iterations_given(request.given)):
            method = next((model for model in MODELS if learns(model, request)), method)
    if method in MODELS:
        particles = len(config.experts) + SUMS["even"]
        proposals = ALONE
        if method == "scores":
            starts = max(config.particles or 0, particles)
            proposals = max(CANDIDATES - starts, ALONE)
        return _by_model(method, particles, "even" if linear else "segments", proposals)
    chosen = _SWARM.copy()
    if linear and is_swarm(config.optimizer):
        chosen["start"] = "sums"
    if config.max_iter is None and config.budget_items is None and not cheap:
        if request.objectives.externals:  # only the harness knows its items
            chosen["max_iter"] = max(1, CANDIDATES // config.population - 1)
        else:
            chosen["budget_items"] = max(CANDIDATES, config.population) * request.items
    return chosen


def _by_model(method: str, particles: int, start: str, proposals: int) -> Choice:
    """The settings of a search whose candidates a model proposes."""
    return {
        "method": method,
        "particles": particles,
        "start": start,
        "proposals": proposals,
        "max_iter": None,
    }


def _training(request: Plan, why: dict[str, str]) -> str:
    """Whether the default trains, ``on`` or ``off``; if not, `why` receives the reason and the remedy."""
    config = request.config
    if config.train != "auto" or config.front or why_no_training(request):
        return "off"
    if request.paid_metric:
        why["train"] = UNPAID
        return "off"
    least = LEAST_DEV
    if request.objectives.spare:
        least = LEAST_DEV_BESIDE_SPARE
    elif request.objectives.written:
        least = LEAST_DEV_WRITTEN
    if request.items >= least:
        return "on"
    few = counted(request.items, "dev example")
    why["train"] = (
        f"nothing is trained with only {few} (at least {least} are needed); add rows, raise `dev`, or "
        "mark more rows as dev in a split column"
    )
    return "off"


def iterations_given(given: Mapping[str, Any]) -> list[str]:
    """The user's settings of iterations."""
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
        why = f": a search needs at least 2 experts, got {len(config.experts)}"
        raise InvalidOption(
            "experts", None, f"{why}; add more, or train one with swarm-llm train-expert"
        )
    check_options(config)
    format_of(config.quantize)
    kind.check(config)
    _refuse(config, _conflicts(config, iterations_given(given)))
    optimizer = MODEL_SWARMS if config.optimizer == "auto" else config.optimizer
    settings = config.settings
    if config.is_grid:
        settings = draws_of(config)[0]
    if settings or optimizer != MODEL_SWARMS:  # else no recipe is loaded
        check_optimizer(optimizer, settings)


def _refuse(config: SearchConfig, conflicts: Iterator[tuple[str, str]]) -> None:
    """Raise the error of the first conflict: a setting, and why."""
    for setting, why in conflicts:
        raise InvalidOption(setting, getattr(config, setting), why)


def _conflicts(config: SearchConfig, iterations: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The settings that do not go together, and why; `iterations`: the given ones of iterations."""
    by_model = config.method in MODELS
    if config.paper and config.reference:
        yield "paper", "contradicts `reference`; remove one of them"
    if config.published and config.quick:
        yield "quick", "is not part of the published procedures; remove it"
    if config.front and (config.published or config.quick):
        yield "front", "is not part of this procedure; remove it"
    if config.front and (iterations or config.method not in ("auto", "scores")):
        yield "front", "proposes candidates by models of the scores; remove the other method"
    if config.front and config.combine != "auto":
        yield "combine", "has no part in a front; remove it"
    if config.floor and not config.front:
        why = "limits a score in the choice from a front; add `front`, or remove it"
        raise InvalidOption("floor", config.floor[0], why)
    if by_model and iterations:
        yield "method", f"does not use iterations; remove `{'`, `'.join(iterations)}`"
    if (config.drop_k or config.drop_n) and not is_swarm(config.optimizer):
        yield "optimizer", "needs a value for every candidate; remove `drop_k` and `drop_n`"
    if config.asynchronous:
        yield from _not_asynchronous(config)
    if config.quantize and config.mix == "runtime":
        yield "quantize", "rounds merged weights; remove it, or remove `mix`"
    if config.curve and config.front:
        yield "curve", "shows one score, not a front; remove it, or remove `front`"
    if config.curve and config.quantize:
        yield "curve", "is of models that are not rounded; remove it, or remove `quantize`"
    if config.quantize and config.front:
        yield "quantize", "scores one result, not a front; remove it, or remove `front`"
    if config.quantize and not space_kind(config.space).linear:
        yield "quantize", f"works only with `space` delta, not with {config.space}; remove it"
    if not (config.processes or re.fullmatch(r"ray(://.+)?", config.workers)):
        yield "workers", ": use a number, ray or ray://HOST"
    if config.is_grid and not config.published:
        yield "draws", "needs the grid of `paper` or `reference`; add one of them"
    if config.is_grid and (config.budget_items or config.budget_minutes):
        yield "draws", "does not work with a budget; use `draws` 1, or remove the budget"


def _not_asynchronous(config: SearchConfig) -> Iterator[tuple[str, str]]:
    """The settings that need rounds, in a search without."""
    if config.batch:
        yield "batch", "proposes candidates in rounds; remove it, or remove `asynchronous`"
    for name in ("drop_k", "drop_n"):
        if getattr(config, name):
            yield name, "leaves candidates out of rounds; remove it, or remove `asynchronous`"
    if not is_swarm(config.optimizer):
        yield "optimizer", "proposes candidates in rounds; remove it, or remove `asynchronous`"
    if config.is_grid:
        yield "draws", "does not work with `asynchronous`; use `draws` 1"


def _unsuited(plan: Plan) -> Iterator[tuple[str, str]]:
    """The settings that do not suit the tasks, and why."""
    config = plan.config
    untrained = why_no_training(plan)
    if config.quick and untrained:
        yield "quick", f"fine-tunes a model, but training {untrained}"
    if config.train == "on" and untrained:
        yield "train", untrained
    if plan.screens and plan.why_no_screening:
        yield "screen", plan.why_no_screening
    if config.curve and not (plan.trains and plan.test_items and not plan.objectives.written):
        yield "curve", "needs training on labels and test examples; remove it"
    if config.front:
        if len(plan.objectives.names) < 2:
            why = "needs two scores or more; add a `metric`, such as tokens or mine.py:both#ENTRY"
            yield "front", f"{why}, or a `task`"
        if plan.kind.size(len(config.experts)) > MOST_COEFFICIENTS:
            yield "front", f"mixes at most {MOST_COEFFICIENTS} experts; leave some out"
    if config.method in MODELS:
        if not learns(config.method, plan):
            yield "method", "cannot learn from this task in this space; remove it"
    elif config.proposals:
        yield "proposals", ": a swarm proposes its own candidates; remove it"
    elif config.batch:
        yield "batch", ": a swarm moves all its particles at once; remove it, and set `particles`"
    if plan.paid_metric and not plan.alone:
        yield "workers", ": a paid metric counts its requests in a single process; remove it"
    if plan.kind.several_models and config.keep:
        yield "keep", "needs a single base model to compare with; remove it, and the metric drift"
    if plan.kind.several_models and plan.objectives.externals:
        yield "space", ": a harness task scores one model, not several; use task files"
    needed = plan.started_items
    if config.budget_items is not None and config.budget_items < needed:
        why = f": the starting swarm alone needs {needed} examples"
        yield "budget_items", f"{why}; raise it, or lower `particles` or `dev`"


def why_no_training(request: Plan) -> str:
    """Why nothing can be trained; "" if it can. Too few items are an error only if training was
    requested.
    """
    config = request.config
    if config.front:  # the chosen point is trained by the first score
        request = request.first
    if len(request.objectives.different_tasks) < len(request.tasks):
        return "works only with one score for each task; remove it"
    if not request.kind.linear:
        return f"works only with `space` delta, not with {request.kind.name}; remove it"
    races = config.quick or not request.objectives.written
    if races and (why := request.without_options):
        return f"needs questions whose options are scored, unlike those of {why}; remove it"
    if config.quantize and request.objectives.written:
        return "works with `quantize` only where options are compared; remove one of them"
    asked = config.train == "on" or config.quick
    if asked and request.items < LEAST_TRAINED:
        return f"needs at least {LEAST_TRAINED} dev examples, got {request.items}; add some, or remove it"
    return ""


def learns(method: str, request: Plan) -> bool:
    """Whether a surrogate model of the items or scores can propose candidates."""
    if method == "items":
        return not (request.kind.several_models or request.without_options)
    return request.kind.size(len(request.config.experts)) <= MOST_COEFFICIENTS
