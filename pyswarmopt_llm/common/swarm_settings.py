"""Coefficients of Model Swarms given by a user as ``NAME=VALUE``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import pyswarmopt as pso
from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import RARE, options_of

# parameters of the recipe that have options of their own
_OTHER_OPTIONS = ("patience", "max_iter", "compat")


def recipe_options(settings: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of `pyswarmopt.recipes.model_swarms` from ``NAME=VALUE``.

    Raises:
        UserError: no such coefficient, or a wrong value.

    Example:
        >>> recipe_options(["repel=0", "restart_patience=3"])
        {'repel': 0.0, 'restart_patience': 3}
    """
    parameters = inspect.signature(pso.recipes.model_swarms).parameters
    defaults = {name: parameters[name].default for name in parameters if name not in _OTHER_OPTIONS}
    options: dict[str, Any] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        name = name.replace("-", "_")
        if name not in defaults:
            why = f"no setting {name}; {_instead(name, [*defaults])}"
            raise InvalidOption("settings", setting, why)
        try:
            options[name] = type(defaults[name])(text)
        except ValueError as error:
            why = f"{text!r} is not a number; write {name}={defaults[name]}"
            raise InvalidOption("settings", setting, why) from error
    try:
        pso.recipes.model_swarms(**options)
    except ValueError as error:
        raise InvalidOption("settings", " ".join(settings), str(error)) from error
    return options


def _instead(name: str, coefficients: list[str]) -> str:
    """What to write in place of an unknown name."""
    if name in _OTHER_OPTIONS:
        return "it is an option of its own"
    options = options_of(SearchConfig)
    rare = [field for field, option in options.items() if option.group == RARE]
    return did_you_mean(name, [*coefficients, *rare], f"coefficients are {', '.join(coefficients)}")
