"""What a search chooses where nothing is given: ``--preset``.

``auto`` is the best that this project's tables know for a task: weight changes (``delta``), candidates that a swarm
finds in a model of the items' margins in place of iterations, and training on the dev items at the end. ``paper`` is
the published procedure, ``reference`` that of the authors' released scripts, ``none`` the plain default of every
setting. Settings that are given win, also those that equal a default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from pyswarmopt_llm.common.config import (
    ALONE,
    EVEN_SUMS,
    LEAST_DEV,
    MAX_ITER,
    MODEL_SWARMS,
    PARTICLES,
    PATIENCE,
    SearchConfig,
)
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.evaluation.workers.spec import parse_workers, threads_of
from pyswarmopt_llm.jobs.search.resolved import ResolvedSearch, filled, given_settings
from pyswarmopt_llm.jobs.search.validate import check_proposals, check_screen, check_train
from pyswarmopt_llm.metrics.objectives import Objectives
from pyswarmopt_llm.spaces import space_kind

SCREEN = 0.05
CANDIDATES = 40  # of which iterations without another limit may score as many items
WRITING = 10  # particles where replies are written, so that `CANDIDATES` are several iterations
PUBLISHED = ("paper", "reference")
_PLAIN: dict[str, Any] = {
    **{"space": "factor", "optimizer": MODEL_SWARMS, "particles": PARTICLES, "max_iter": MAX_ITER},
    **{"patience": PATIENCE, "train": "off", "grid": "given", "drop_k": 0.0, "drop_n": 0.0},
}
# The authors' four shell scripts call search.py with a restart patience of .67 times its patience (a particle goes back
# after 6 evaluations without a new best, which `restart_patience` 7 is under ``compat`` reference) and draw the other
# coefficients from the paper's grid; search.py has these values for them, and at most 200 iterations.
_OF_SCRIPTS = {"restart_patience": "7"}
_OF_SEARCH_PY = {"inertia": "0.4", "cognitive": "0.3", "social": "0.3", "repel": "0.3", "step": "1"}
_MOST_RELEASED = 200
_OF_ITERATIONS = ("optimizer", "max_iter", "patience", "settings", "drop_k", "drop_n")


def resolve(config: SearchConfig, objectives: Objectives | None = None) -> ResolvedSearch:
    """The search with a concrete value for every setting that a preset chooses, but for `start`.

    Its `compat` is ``paper`` only if what runs is the published algorithm, and ``none`` if that is another one.

    Args:
        config: what is given.
        objectives: of its tasks; without them, what ``auto`` chooses by task is as if nothing could be screened.

    Raises:
        InvalidOption: settings that contradict each other.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r")
        >>> paper = resolve(replace(auto, preset="paper", particles=8)).config
        >>> resolve(auto).config.space, paper.space, paper.particles, paper.max_iter
        ('delta', 'factor', 8, 50)
    """
    before, config = given_settings(config), _with_preset(config)
    if config.preset in PUBLISHED:
        config = _published(config)
    auto = config.preset == "auto"
    config = filled(config, {"space": ("delta" if config.base else "token") if auto else _PLAIN["space"]})
    kind, workers = space_kind(config.space), parse_workers(config.workers)
    search = ResolvedSearch(config=config, given=before, kind=kind, workers=workers)
    if auto and objectives is not None:
        search = _by_task(search, objectives)
    search = search.filled({**_PLAIN, "threads": threads_of(workers)})
    config = search.config
    if config.draws is not None and not config.is_grid:
        raise InvalidOption("draws", config.draws, "nothing to draw from; add `grid` paper, or several values")
    return search.changed(compat=_compat(search))


def _with_preset(config: SearchConfig) -> SearchConfig:
    """The configuration with its preset: `compat` stands for one, with one set of coefficients.

    Raises:
        InvalidOption: `compat` and `preset` contradict each other.
    """
    if config.compat == "auto":
        return replace(config, preset=config.preset or "auto")
    if config.preset is None and config.compat in PUBLISHED:
        return filled(replace(config, preset=config.compat), {"grid": "given"})
    preset = config.preset or "auto"
    agrees = preset not in PUBLISHED if config.compat == "none" else preset in (config.compat, "none")
    if not agrees:
        raise InvalidOption("compat", config.compat, f"contradicts `preset` {preset}; remove one of them")
    return replace(config, preset=preset)


def _published(config: SearchConfig) -> SearchConfig:
    """The configuration as the paper, or the authors' scripts, have it."""
    published = config.optimizer in ("auto", MODEL_SWARMS)
    choices: dict[str, Any] = {"compat": config.preset, "start": "segments", "grid": "paper" if published else "given"}
    if config.preset == "paper" or not published:
        return filled(config, choices)
    config = filled(config, {**choices, "max_iter": _MOST_RELEASED})
    values = _OF_SCRIPTS if config.grid == "paper" else {**_OF_SEARCH_PY, **_OF_SCRIPTS}
    names = {setting.partition("=")[0].replace("-", "_") for setting in config.settings}
    added = tuple(f"{name}={value}" for name, value in values.items() if name not in names)
    return replace(config, settings=(*added, *config.settings))


def _by_task(search: ResolvedSearch, objectives: Objectives) -> ResolvedSearch:
    """The search with what ``auto`` chooses by task."""
    if search.config.screen is None:
        screened = search.changed(screen=SCREEN)
        if _goes(check_screen, screened, objectives, len(search.config.experts)):
            search = screened
    items = sum(len(task.dev) for task in objectives.tasks.values())
    if items >= LEAST_DEV and _goes(check_train, search.changed(train="on"), objectives):
        search = search.filled({"train": "on"})
    if search.config.screen is not None:
        return _proposing(search, items)
    return _few(search) if objectives.writes or objectives.own else search


def _few(search: ResolvedSearch) -> ResolvedSearch:
    """With `CANDIDATES` evaluations, unless iterations or a budget are given: each writes all replies, or more.

    A model of the scores proposes those that the experts, the base, their average and sum leave.
    """
    if not _unending(search.config):
        return search
    starting = len(search.config.experts) + EVEN_SUMS
    modelled = _goes(check_proposals, search.changed(proposals=ALONE).config, len(search.config.experts))
    if modelled and not any(name in search.given for name in _OF_ITERATIONS):
        most = max(CANDIDATES - starting, ALONE)
        return search.filled({"max_iter": 0, "particles": starting, "proposals": most})
    search = search.filled({"particles": max(WRITING, len(search.config.experts))})
    return search.filled({"max_iter": max(1, CANDIDATES // search.config.population - 1)})


def _proposing(search: ResolvedSearch, items: int) -> ResolvedSearch:
    """Without iterations, unless a setting of theirs is given: the item model's proposals do better for fewer passes.

    What is scored: the experts, the base, their average and sum, and the proposals. Iterations
    that nothing ends have a budget, without which they may take hours.
    """
    if not any(name in search.given for name in _OF_ITERATIONS):
        return search.filled({"max_iter": 0, "particles": len(search.config.experts) + EVEN_SUMS})
    if _unending(search.config):
        return search.changed(budget_items=max(CANDIDATES, search.config.population) * items)
    return search


def _unending(config: SearchConfig) -> bool:
    """Whether nothing that is given ends the iterations."""
    return all(limit is None for limit in (config.max_iter, config.budget_items, config.budget_minutes))


def _compat(search: ResolvedSearch) -> str:
    """Whose algorithm runs."""
    if search.config.optimizer != MODEL_SWARMS:
        return "none"
    if search.config.compat == "reference":
        return "reference"
    return "none" if search.kind.departures(asdict(search.config)) else "paper"


def _goes(check: Callable[..., None], *arguments: Any) -> bool:
    try:
        check(*arguments)
    except InvalidOption:
        return False
    return True
