"""What a search chooses by itself: ``--preset``.

``auto`` is the best that this project's tables know for a task: weight changes (``delta``) from sums of experts, items
screened by a model of their margins, and one more expert that is trained on the dev items. ``paper`` is the published
algorithm, ``reference`` the authors' code, ``none`` leaves every setting as it is given. Settings that are given win.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from pyswarmopt_llm.common.config import MODEL_SWARMS, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.jobs.search.validate import check_dev_expert, check_screen
from pyswarmopt_llm.metrics.objectives import Objectives
from pyswarmopt_llm.spaces import space_kind

SCREEN = 0.05
LEAST_DEV = 40  # items from which on an expert is trained on them


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
    if config.dev_expert != "auto":
        return config
    trained, items = replace(config, dev_expert="on"), sum(len(task.dev) for task in objectives.tasks.values())
    chooses = chooses and items >= LEAST_DEV and _goes(lambda: check_dev_expert(trained, objectives))
    return trained if chooses else replace(config, dev_expert="off")


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
    screened = f", items screened at {config.screen:g}" if config.screen is not None else ""
    trained = f", one more expert trained on the {items} dev items" if config.dev_expert == "on" else ""
    return f"preset auto: space {config.space}{screened}{trained}"


def _goes(check: Callable[[], None]) -> bool:
    try:
        check()
    except InvalidOption:
        return False
    return True


__all__ = ["in_words", "with_policy", "with_space"]
