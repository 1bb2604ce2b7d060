"""What a search chooses by itself: ``--preset``.

``auto`` is the best that this project's tables know for a task: weight changes (``delta``) from sums of experts, items
screened by a model of their margins, one more expert that is trained on the dev items, and a budget, without which a
search takes hours. ``paper`` is the published algorithm, ``reference`` the authors' code, ``none`` leaves every setting
as it is given. Settings that are given win.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from pyswarmopt.cli.words import counted
from pyswarmopt_llm.common.config import MODEL_SWARMS, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.jobs.search.validate import check_dev_expert, check_screen
from pyswarmopt_llm.metrics.objectives import Objectives
from pyswarmopt_llm.models.choices import cross_fitting_passes
from pyswarmopt_llm.spaces import space_kind

SCREEN = 0.05
LEAST_DEV = 40  # items from which on an expert is trained on them
CANDIDATES = 40  # whose cost in passes a search has, training included, as in the tables of docs/results.md
LEAST_MORE = 7  # candidates that it can score in full beside the experts, whatever training costs


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
    if config.compat == "reference":
        return config
    departs = config.optimizer != MODEL_SWARMS or space_kind(config.space).departures(asdict(config))
    return replace(config, compat="none" if departs else "paper")


def _with_policy(config: SearchConfig, objectives: Objectives) -> SearchConfig:
    chooses = config.preset == "auto"
    if chooses and config.screen is None and not config.one_by_one and _few_coefficients(config):
        screened = replace(config, screen=SCREEN)
        if _goes(lambda: check_screen(screened, objectives, len(config.experts) + 1)):
            config = screened
    items = sum(len(task.dev) for task in objectives.tasks.values())
    if config.dev_expert == "auto":
        trained = replace(config, dev_expert="on")
        trains = chooses and items >= LEAST_DEV and _goes(lambda: check_dev_expert(trained, objectives))
        config = trained if trains else replace(config, dev_expert="off")
    return _with_budget(config, items) if chooses and config.screen is not None else config


def _with_budget(config: SearchConfig, items: int) -> SearchConfig:
    """With a budget of evaluations, and particles to suit it, unless something else ends the search."""
    if config.budget_items is not None or config.budget_minutes is not None or config.max_iter != SearchConfig.max_iter:
        return config
    from pyswarmopt_llm.evaluation.surrogate.proposals import population_for

    trained = config.dev_expert == "on"
    experts = len(config.experts) + trained
    candidates = max(CANDIDATES - trained * cross_fitting_passes(items) // items, experts + LEAST_MORE)
    if config.particles == SearchConfig.particles:
        config = replace(config, particles=population_for(experts, candidates))
    return replace(config, budget_items=max(candidates, config.population) * items)


def _few_coefficients(config: SearchConfig) -> bool:
    return config.granularity == "model" and not config.exact_flat


def in_words(config: SearchConfig, items: int) -> str:
    """What ``auto`` chose, in a line.

    Args:
        config: as the search runs it.
        items: on dev.

    Example:
        >>> in_words(SearchConfig("b", ("x", "y"), ("t",), "r", space="delta", screen=0.05, dev_expert="on"), 200)
        'preset auto: space delta, items screened at 0.05, one more expert trained on the 200 dev items'
    """
    budget = f", at most {counted(config.budget_items, 'item')} scored" if config.budget_items is not None else ""
    screened = f", items screened at {config.screen:g}" if config.screen is not None else ""
    trained = f", one more expert trained on the {items} dev items" if config.dev_expert == "on" else ""
    return f"preset auto: space {config.space}{screened}{trained}{budget}"


def _goes(check: Callable[[], None]) -> bool:
    try:
        check()
    except InvalidOption:
        return False
    return True
