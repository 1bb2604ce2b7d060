"""Methods written by users: a function ``settings -> Patch``, or ``-> Merged``."""

from __future__ import annotations

import inspect

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.own import is_function, own
from pyswarmopt_rivals.methods.method import DELTA, Merged, Method, Settings

SETTING = "methods"


def own_method(name: str) -> Method | None:
    """The user's method with this name; None: no method, but perhaps a recipe.

    Raises:
        UserError: there is no such file, or it has no such name.
    """
    if not is_function(name):
        return None
    function = own(SETTING, name)
    if not callable(function):
        return None
    parameters = inspect.signature(function).parameters.values()
    if not any(each.default is each.empty for each in parameters):  # it makes a recipe
        return None
    return Method(
        name,
        "",
        "own",
        (name,),
        spaces=DELTA,
        needs=frozenset({"dev", "seed"}),
        kind="searching",
    )


def execute(name: str, settings: Settings) -> Merged:
    """Call the user's function.

    Raises:
        InvalidOption: the function returns no model.
    """
    found = own(SETTING, name)(settings)
    if isinstance(found, Patch):
        return Merged(found)
    if not isinstance(found, Merged):
        why = f": the function returned {type(found).__name__}; return a Patch, such as space.realise(weights)"
        raise InvalidOption(SETTING, name, why)
    return found
