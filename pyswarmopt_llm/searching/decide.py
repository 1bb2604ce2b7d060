"""Turns a request into a plan: a procedure chooses, given settings win.

There are three procedures. The default is the best method in this project's tables for the task:
weight changes (``delta``), candidates proposed by a model of the items' margins in place of
iterations, and training on dev at the end. `paper` is the published procedure, `reference` the
authors' released scripts.
"""

from __future__ import annotations

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
from pyswarmopt_llm.common.optimizers import is_swarm
from pyswarmopt_llm.mix import use_own
from pyswarmopt_llm.scores.metrics.objectives import check_answers, load_objectives
from pyswarmopt_llm.searching.plan import Method, Plan, Request
from pyswarmopt_llm.searching.rules import (
    check_costs,
    check_settings,
    check_tasks,
    threads_of,
    why_no_model,
    why_no_training,
)
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED

DRAWS = 10  # sets of coefficients drawn from a grid
CANDIDATES = 40  # evaluations per search if nothing else limits the iterations
WRITING = 10  # particles if replies are written, so that `CANDIDATES` make several iterations
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
    request = Request(asked, objectives, given)
    check_tasks(request)
    plan = _planned(request, choose_method(request))
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
    given = given or {}
    use_own(config.space)
    check_settings(config, given)
    plan = Plan(config, load_objectives(config), given)
    check_tasks(plan)
    return plan


def filled_in(config: SearchConfig) -> SearchConfig:
    """The requested settings, with space, draws and day filled in."""
    space = space_of(config)
    use_own(space)
    day = config.day or date.today().isoformat()
    return replace(config, space=space, draws=_draws(config), day=day)


def space_of(config: SearchConfig) -> str:
    """The requested space; else the procedure's, whatever the tasks are."""
    if config.space != "auto":
        return config.space
    if config.reference:
        return "factor"
    return "delta" if config.base else "token"


def choose_method(request: Request) -> Method:
    """The method of the requested procedure, with the given settings in place of its own."""
    method = _published(request) if request.config.published else _default(request)
    chosen = method.chosen
    given = {name: value for name, value in request.given.items() if name in chosen}
    given.pop("settings", None)  # a procedure adds to them
    if method.method in MODELS:
        given.pop("max_iter", None)  # `max_iter` 0 asks for no iterations
    return replace(method, **given)


def _planned(request: Request, method: Method) -> Plan:
    """The plan of a request that this method answers."""
    config = request.config
    objectives = request.objectives
    why = dict(method.why)
    combine = config.combine
    if combine == "auto" and objectives.combined_by != "harmonic":
        combine = objectives.combined_by
        why["combine"] = (
            f"{', '.join(objectives.names)}: the mean of the scores is maximised (`combine` "
            "arithmetic), since they may be negative"
        )
    if gamed := [name for name, metric in objectives.metrics.items() if metric.gamed]:
        why["gamed"] = f"{', '.join(gamed)}: {GAMED}"
    if method.method == "items" and request.size > MOST_COEFFICIENTS:
        why["race"] = (
            f"a model learns from at most {MOST_COEFFICIENTS} coefficients, here are {request.size}: "
            f"a race leaves at most {MOST_COEFFICIENTS} experts, and mixtures of those are proposed"
        )
    threads = config.threads
    if threads is None and not request.alone:
        threads = threads_of(config.processes)
    config = replace(config, **method.chosen, combine=combine, threads=threads)
    return Plan(config, objectives, request.given, why)


def _draws(config: SearchConfig) -> int | None:
    """Sets of coefficients to search with: by default one, unless there is a grid."""
    own = any("," in setting for setting in config.settings)
    published = config.published and config.optimizer in ("auto", MODEL_SWARMS)
    if config.draws is None and (own or published):
        return DRAWS
    return config.draws


def _published(request: Request) -> Method:
    """The published procedure, or that of the authors' scripts."""
    config = request.config
    method = _swarm(request)
    if config.reference and config.optimizer in ("auto", MODEL_SWARMS):
        values = _OF_SCRIPTS if config.is_grid else {**_OF_SEARCH_PY, **_OF_SCRIPTS}
        names = {setting.partition("=")[0].replace("-", "_") for setting in config.settings}
        added = tuple(f"{name}={value}" for name, value in values.items() if name not in names)
        return replace(method, max_iter=_MOST_RELEASED, settings=(*added, *config.settings))
    if config.space == "delta" and "space" not in request.given:
        return replace(method, why={"space": READINGS})
    return method


def _default(request: Request) -> Method:
    """The best known method for the tasks."""
    config = request.config
    if config.quick:
        particles = len(config.experts) + SUMS["base"]
        return Method("items", particles, start="base", train="on")
    method = _proposing(request)
    if why_no_training(request):
        return method
    if request.paid_metric:
        return _untrained(request, method, "train", UNPAID)
    few = _too_few(request)
    if few:
        return _untrained(request, method, UNTRAINED, few)
    return replace(method, train="on")


def _untrained(request: Request, method: Method, topic: str, why: str) -> Method:
    """The method, with the reason why nothing is trained, unless that was asked for."""
    if request.config.train != "auto":
        return method
    return replace(method, why={topic: why})


def _proposing(request: Request) -> Method:
    """The proposer, with its particles and candidates, or with a budget for iterations.

    Without a setting for iterations there are none: a surrogate's candidates do better in fewer
    passes. The search then scores the experts, the base, their average and sum, and these
    candidates. Iterations without a stopping rule get a budget; else they may take hours.
    """
    config = request.config
    experts = len(config.experts)
    start = "even" if request.kind.linear else "segments"
    method = _proposer(request)
    if method == "items":
        return Method(method, experts + SUMS["even"], start, proposals=ALONE)
    if method == "scores":
        particles = max(config.particles or 0, experts + SUMS["even"])
        return Method(method, particles, start, proposals=max(CANDIDATES - particles, ALONE))
    swarm = replace(_swarm(request), start=_sums(request))
    if config.max_iter is not None or config.budget_items is not None:
        return swarm
    if not why_no_model("items", request):
        return replace(swarm, budget_items=max(CANDIDATES, config.population) * request.items)
    if not request.costly:
        return swarm
    particles = config.particles or max(WRITING, experts)
    rounds = max(1, CANDIDATES // config.population_of(particles) - 1)
    return replace(swarm, particles=particles, max_iter=rounds)


def _proposer(request: Request) -> str:
    """The proposer: a surrogate where one can learn, unless iterations are requested."""
    config = request.config
    if config.method != "auto":
        return config.method
    if request.iterates:
        return "swarm"
    if not why_no_model("items", request):
        return "items"
    if request.kind.several_models and not request.costly:
        return "swarm"  # a member's predictions are read once, for all mixtures
    return "swarm" if why_no_model("scores", request) else "scores"


def _swarm(request: Request) -> Method:
    """A swarm with the plain default of every setting."""
    return Method(
        "swarm",
        PARTICLES,
        start="segments",
        settings=request.config.settings,
        optimizer=MODEL_SWARMS,
        max_iter=MAX_ITER,
        patience=PATIENCE,
        drop_k=0.0,
        drop_n=0.0,
    )


def _sums(request: Request) -> str:
    """How a swarm over weight changes starts: from sums of experts. Baselines start from the
    experts.
    """
    optimizer = request.config.optimizer
    own = optimizer == "auto" or is_swarm(optimizer)
    if not (own and request.kind.linear):
        return "segments"
    return "even" if request.config.max_iter == 0 else "sums"


def _too_few(request: Request) -> str:
    """Why the default does not train on the dev items, and the remedy; "" if there are enough."""
    least = LEAST_DEV_BESIDE_SPARE if request.objectives.spare else LEAST_DEV
    items = request.distinct("dev")
    if items >= least:
        return ""
    remedy = " or use `train on`" if items >= LEAST_TRAINED else ""
    name = "example"
    beside = ""
    if request.objectives.written:
        name = "prompt"
        least = LEAST_DEV_BESIDE_SPARE
        beside = f", or set `dev` {least} and add as many more to train on"
    return (
        f"{counted(items, f'dev {name}')}, too few to train on: a search trains from {LEAST_DEV} "
        f"on; add {name}s{beside}{remedy}"
    )
