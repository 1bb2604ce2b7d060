"""What a search chooses where nothing is given: ``--preset``.

``auto`` is the best that this project's tables know for a task: weight changes (``delta``), candidates that a swarm
finds in a model of the items' margins in place of iterations, and training on the dev items at the end. ``paper`` is
the published procedure, ``reference`` that of the authors' released scripts, ``none`` the plain default of every
setting. Settings that are given win, also those that equal a default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import (
    EVEN_SUMS,
    LEAST_DEV,
    MAX_ITER,
    MODEL_SWARMS,
    PARTICLES,
    PATIENCE,
    SearchConfig,
)
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import option_name, options_of
from pyswarmopt_llm.evaluation.workers.spec import parse_workers
from pyswarmopt_llm.jobs.search.validate import check_screen, check_train
from pyswarmopt_llm.metrics.external.permission import is_function
from pyswarmopt_llm.metrics.objectives import Objectives
from pyswarmopt_llm.spaces import SpaceKind, space_kind

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
# The settings that a preset chooses, or that say how its choice is to run.
CHOICES = (
    *("preset", "compat", "space", "optimizer", "particles", "start", "max_iter", "patience", "settings"),
    *("grid", "draws", "screen", "drop_k", "drop_n", "train", "budget_items", "budget_minutes"),
)


def given(config: SearchConfig) -> dict[str, Any]:
    """The settings of `CHOICES` that are given: neither None nor ``auto``.

    Example:
        >>> given(SearchConfig("b", ("x", "y"), ("t",), "r", particles=20, seed=3))
        {'particles': 20}
    """
    values = {name: getattr(config, name) for name in CHOICES}
    return {name: value for name, value in values.items() if (name == "preset" and value) or _is_given(value)}


def _is_given(value: object) -> bool:
    return value not in (None, "auto", ())


def resolve(config: SearchConfig, objectives: Objectives | None = None) -> SearchConfig:
    """The configuration with a concrete value for every setting that a preset chooses, but for `start`.

    Its `compat` is ``paper`` only if what runs is the published algorithm, and ``none`` if that is another one.

    Args:
        config: what is given.
        objectives: of its tasks; without them, what ``auto`` chooses by task is as if nothing could be screened.

    Raises:
        InvalidOption: settings that contradict each other.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r")
        >>> paper = resolve(replace(auto, preset="paper", particles=8))
        >>> resolve(auto).space, paper.space, paper.particles, paper.max_iter
        ('delta', 'factor', 8, 50)
    """
    before, config = given(config), _with_preset(config)
    if config.preset in PUBLISHED:
        config = _published(config)
    auto = config.preset == "auto"
    config = _filled(config, {"space": ("delta" if config.base else "token") if auto else _PLAIN["space"]})
    kind = space_kind(config.space)
    if auto and objectives is not None:
        config = _with_policy(config, kind, objectives, any(name in before for name in _OF_ITERATIONS))
    config = _filled(config, _PLAIN)
    if config.draws is not None and not config.is_grid:
        raise InvalidOption("draws", config.draws, "nothing to draw from; add `grid` paper, or several values")
    return replace(config, compat=_compat(config, kind))


def _filled(config: SearchConfig, values: Mapping[str, Any]) -> SearchConfig:
    """The configuration with these values where none is given."""
    return replace(config, **{name: value for name, value in values.items() if not _is_given(getattr(config, name))})


def _with_preset(config: SearchConfig) -> SearchConfig:
    """The configuration with its preset: `compat` stands for one, with one set of coefficients.

    Raises:
        InvalidOption: `compat` and `preset` contradict each other.
    """
    if config.compat == "auto":
        return replace(config, preset=config.preset or "auto")
    if config.preset is None and config.compat in PUBLISHED:
        return _filled(replace(config, preset=config.compat), {"grid": "given"})
    preset = config.preset or "auto"
    agrees = preset not in PUBLISHED if config.compat == "none" else preset in (config.compat, "none")
    if not agrees:
        raise InvalidOption("compat", config.compat, f"contradicts `preset` {preset}; remove one of them")
    return replace(config, preset=preset)


def _published(config: SearchConfig) -> SearchConfig:
    """The configuration as the paper, or the authors' scripts, have it."""
    own = config.optimizer in ("auto", MODEL_SWARMS)
    choices: dict[str, Any] = {"compat": config.preset, "start": "segments", "grid": "paper" if own else "given"}
    if config.preset == "paper" or not own:
        return _filled(config, choices)
    config = _filled(config, {**choices, "max_iter": _MOST_RELEASED})
    values = _OF_SCRIPTS if config.grid == "paper" else {**_OF_SEARCH_PY, **_OF_SCRIPTS}
    names = {setting.partition("=")[0].replace("-", "_") for setting in config.settings}
    added = tuple(f"{name}={value}" for name, value in values.items() if name not in names)
    return replace(config, settings=(*added, *config.settings))


def _with_policy(config: SearchConfig, kind: SpaceKind, objectives: Objectives, iterates: bool) -> SearchConfig:
    """The configuration with what ``auto`` chooses by task; `iterates`: a setting of iterations is given."""
    if config.screen is None:
        screened = replace(config, screen=SCREEN)
        if _goes(lambda: check_screen(screened, kind, objectives, len(config.experts))):
            config = screened
    items = sum(len(task.dev) for task in objectives.tasks.values())
    trains, workers = replace(config, train="on"), parse_workers(config.workers)
    if items >= LEAST_DEV and _goes(lambda: check_train(trains, kind, workers, objectives)):
        config = _filled(config, {"train": "on"})
    if config.screen is not None:
        return _with_iterations(config, items, iterates)
    return _with_few(config) if objectives.writes else config


def _with_few(config: SearchConfig) -> SearchConfig:
    """With at most `CANDIDATES` evaluations, unless iterations or a budget are given: each writes all replies."""
    if any(limit is not None for limit in (config.max_iter, config.budget_items, config.budget_minutes)):
        return config
    config = _filled(config, {"particles": max(WRITING, len(config.experts))})
    return _filled(config, {"max_iter": max(1, CANDIDATES // config.population - 1)})


def _with_iterations(config: SearchConfig, items: int, iterates: bool) -> SearchConfig:
    """With none, unless a setting of theirs is given: the item model's proposals do better for fewer passes.

    What is scored: the experts, the base, their average and sum, and the proposals. Iterations
    that nothing ends have a budget, without which they may take hours.
    """
    if not iterates:
        return _filled(config, {"max_iter": 0, "particles": len(config.experts) + EVEN_SUMS})
    if all(limit is None for limit in (config.max_iter, config.budget_items, config.budget_minutes)):
        return replace(config, budget_items=max(CANDIDATES, config.population) * items)
    return config


def _compat(config: SearchConfig, kind: SpaceKind) -> str:
    """Whose algorithm runs."""
    if config.optimizer != MODEL_SWARMS:
        return "none"
    if config.compat == "reference":
        return "reference"
    return "none" if kind.departures(asdict(config)) else "paper"


def chosen_by_preset(before: Mapping[str, Any], config: SearchConfig) -> dict[str, Any]:
    """The settings that the preset chose, for ``run.json``.

    Args:
        before: what was given; see `given`.
        config: as the search runs it.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r", seed=3)
        >>> chosen_by_preset(given(auto), replace(auto, space="delta", max_iter=0, dtype="bfloat16"))
        {'space': 'delta', 'max_iter': 0}
    """
    return {name: value for name, value in given(config).items() if name not in before}


def in_words(config: SearchConfig, before: Mapping[str, Any], items: int | None = None) -> str:
    """What the preset chose and what was given, in a line.

    Args:
        config: as the search runs it.
        before: what was given; see `given`.
        items: on dev.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r", preset="auto", space="delta", screen=0.05, max_iter=0)
        >>> in_words(auto, {})
        'preset auto: space delta, 6 candidates proposed by a model of the items (`max_iter` N: iterations first)'
        >>> in_words(resolve(replace(auto, preset="paper", screen=None, space="auto", max_iter=3)), {"max_iter": 3})
        'preset paper: space factor, 20 particles, at most 3 iterations, grid of coefficients; given: max-iter 3'
    """
    typed = list(_as_typed({name: value for name, value in before.items() if name != "preset"}))
    line = f"preset {config.preset}: {', '.join(_parts(config, items))}"
    return f"{line}; given: {', '.join(typed)}" if typed else line


def _parts(config: SearchConfig, items: int | None) -> Iterable[str]:
    yield f"space {config.space}"
    if config.iterations:
        if config.optimizer != MODEL_SWARMS:
            yield config.optimizer
        yield counted(config.population, "particle")
        yield f"at most {counted(config.iterations, 'iteration')}"
        if config.budget_items is not None:
            yield f"at most {config.budget_items:,} items"
        if config.is_grid:
            yield "grid of coefficients"
        if config.screen is not None:
            yield f"items screened at {config.screen:g}"
    elif config.screen is not None:
        yield f"{config.proposals} candidates proposed by a model of the items (`max_iter` N: iterations first)"
    if config.train == "on":
        yield "then training on the dev items" if items is None else f"then training on the {items} dev items"


def _as_typed(values: Mapping[str, Any]) -> Iterable[str]:
    """Settings as the command line calls them."""
    options = options_of(SearchConfig)
    for name, value in values.items():
        shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
        yield f"{option_name(name, options.get(name))} {shown}"


def own_score(config: SearchConfig) -> list[str]:
    """What a search for a score of one's own does, and does not; nothing for other searches.

    Args:
        config: as the search runs it.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), (), "r", metrics=("mine.py:style",), particles=10, max_iter=3)
        >>> own_score(auto)
        ['score of your own: no item model, no training; a swarm of 10, at most 3 iterations, 40 evaluations']
    """
    if not (config.utilities or any(map(is_function, config.metrics))):
        return []
    size, most = config.population, counted(config.iterations, "iteration")
    swarm = f"a swarm of {size}, at most {most}, {config.planned:,} evaluations"
    return [f"score of your own: no item model, no training; {swarm}"]


def _goes(check: Callable[[], None]) -> bool:
    try:
        check()
    except InvalidOption:
        return False
    return True
