"""What a search chooses by itself: ``--preset``.

``auto`` is the best that this project's tables know for a task: weight changes (``delta``), candidates that a swarm
finds in a model of the items' margins in place of iterations, and training on the dev items at the end. ``paper`` is
the published algorithm, ``reference`` the authors' code, ``none`` leaves every setting as it is given. Settings that
are given win.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from pyswarmopt_llm.common.config import EVEN_SUMS, LEAST_DEV, MODEL_SWARMS, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.jobs.search.validate import check_screen, check_train
from pyswarmopt_llm.metrics.objectives import Objectives
from pyswarmopt_llm.spaces import space_kind

SCREEN = 0.05
CANDIDATES = 40  # of which iterations without another limit may score as many items
_OF_ITERATIONS = ("optimizer", "max_iter", "patience", "settings", "drop_k", "drop_n")
_CHOSEN = ("budget_items", "compat", "max_iter", "particles", "screen", "space", "start", "train")  # by ``auto``


def with_space(config: SearchConfig) -> SearchConfig:
    """The configuration with its space, and with what else follows from the preset alone.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r")
        >>> with_space(auto).space, with_space(replace(auto, preset="paper")).space
        ('delta', 'factor')
    """
    if config.preset == "reference":
        config = replace(config, compat="reference")
    if config.preset == "auto" and config.compat == "reference":
        config = replace(config, preset="reference")
    if config.preset in ("paper", "reference") and config.start == "auto":
        config = replace(config, start="segments")
    return replace(config, space=_space(config)) if config.space == "auto" else config


def _space(config: SearchConfig) -> str:
    if config.preset != "auto" or config.exact_flat:
        return "factor"
    return "delta" if config.base else "token"


def with_policy(config: SearchConfig, objectives: Objectives) -> SearchConfig:
    """The configuration with all else that depends on the tasks; `with_space` comes first.

    Its `compat` is ``paper`` only if what runs is the published algorithm, and ``none`` if that is another one.
    """
    config = _with_policy(config, objectives)
    config = replace(config, max_iter=config.iterations)
    if config.compat == "reference":
        return config
    departs = config.optimizer != MODEL_SWARMS or space_kind(config.space).departures(asdict(config))
    return replace(config, compat="none" if departs else "paper")


def _with_policy(config: SearchConfig, objectives: Objectives) -> SearchConfig:
    chooses = config.preset == "auto"
    if chooses and config.screen is None and not config.one_by_one and _few_coefficients(config):
        screened = replace(config, screen=SCREEN)
        if _goes(lambda: check_screen(screened, objectives, len(config.experts))):
            config = screened
    items = sum(len(task.dev) for task in objectives.tasks.values())
    if config.train == "auto":
        trained = replace(config, train="on")
        trains = chooses and items >= LEAST_DEV and _goes(lambda: check_train(trained, objectives))
        config = trained if trains else replace(config, train="off")
    return _with_iterations(config, items) if chooses and config.screen is not None else config


def _with_iterations(config: SearchConfig, items: int) -> SearchConfig:
    """With none, unless a setting of theirs is given: the item model's proposals do better for fewer passes.

    What is scored: the experts, the base, their average and sum, and the proposals. Iterations
    that nothing ends have a budget, without which they may take hours.
    """
    if any(getattr(config, name) != getattr(SearchConfig, name) for name in _OF_ITERATIONS):
        if all(limit is None for limit in (config.max_iter, config.budget_items, config.budget_minutes)):
            return replace(config, budget_items=max(CANDIDATES, config.population) * items)
        return config
    given = config.particles != SearchConfig.particles
    return replace(config, max_iter=0, particles=config.particles if given else len(config.experts) + EVEN_SUMS)


def chosen_by_preset(given: SearchConfig, config: SearchConfig) -> list[str]:
    """The settings that ``auto`` chose, for ``run.json``.

    Example:
        >>> given = SearchConfig("b", ("x", "y"), ("t",), "r", seed=3)
        >>> chosen_by_preset(given, replace(given, space="delta", max_iter=0, dtype="bfloat16"))
        ['max_iter', 'space']
    """
    if config.preset != "auto":
        return []
    return [name for name in _CHOSEN if getattr(given, name) != getattr(config, name)]


def _few_coefficients(config: SearchConfig) -> bool:
    return config.granularity == "model" and not config.exact_flat


def in_words(config: SearchConfig, items: int) -> str:
    """What ``auto`` chose, in a line.

    Args:
        config: as the search runs it.
        items: on dev.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r", space="delta", screen=0.05, train="on")
        >>> in_words(auto, 200)
        'preset auto: space delta, items screened at 0.05, then training on the 200 dev items'
        >>> in_words(replace(auto, max_iter=0, train="off"), 200)
        'preset auto: space delta, 6 candidates proposed by a model of the items (--max-iter N: iterations first)'
    """
    parts = [f"space {config.space}"]
    if config.screen is not None and config.iterations:
        parts.append(f"items screened at {config.screen:g}")
    if config.screen is not None and not config.iterations:
        parts.append(f"{config.proposals} candidates proposed by a model of the items (--max-iter N: iterations first)")
    if config.train == "on":
        parts.append(f"then training on the {items} dev items")
    return f"preset auto: {', '.join(parts)}"


def _goes(check: Callable[[], None]) -> bool:
    try:
        check()
    except InvalidOption:
        return False
    return True
