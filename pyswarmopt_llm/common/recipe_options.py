"""``--set NAME=VALUE``: the coefficients of Model Swarms, checked against the recipe's own parameters."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import pyswarmopt as pso
from pyswarmopt_llm.common.errors import UserError

_OTHERWISE = ("patience", "max_iter", "compat")  # options of their own


def recipe_options(settings: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of `pyswarmopt.recipes.model_swarms` from ``NAME=VALUE``.

    Raises:
        UserError: no such coefficient, or a value that it does not take.

    Example:
        >>> recipe_options(["repel=0", "restart_patience=3"])
        {'repel': 0.0, 'restart_patience': 3}
    """
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(pso.recipes.model_swarms).parameters.items()
        if name not in _OTHERWISE
    }
    found: dict[str, Any] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        name = name.replace("-", "_")
        if name not in known:
            raise UserError(f"--set {setting}: no coefficient {name}; there are {', '.join(known)}")
        try:
            found[name] = type(known[name])(text)
        except ValueError as error:
            raise UserError(f"--set {setting}: {text!r} is not a number; write {name}={known[name]}") from error
    try:
        pso.recipes.model_swarms(**found)
    except ValueError as error:
        raise UserError(f"--set {' '.join(settings)}: {error}") from error
    return found


__all__ = ["recipe_options"]
