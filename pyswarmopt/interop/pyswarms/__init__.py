"""pyswarms' names for our swarms: its scripts run with their imports changed.

``import pyswarmopt.interop.pyswarms as ps``, then `ps.single`, `ps.discrete`, `ps.cost` and
`ps.utils` as there; ``from pyswarmopt.interop.pyswarms.utils.functions import single_obj`` and its
like work, too. docs/how-to/from-pyswarms.md says what differs.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from pyswarmopt.interop.pyswarms.optimizers import BinaryPSO, GlobalBestPSO, LocalBestPSO
from pyswarmopt.interop.pyswarms.tools import (
    Animator,
    Designer,
    GridSearch,
    Mesher,
    RandomSearch,
    cost,
    plot_contour,
    plot_cost_history,
    plot_surface,
)

# pyswarms' test functions by our names for them.
_FUNCTIONS = {
    **{name: name for name in ("ackley", "beale", "easom", "himmelblau", "rastrigin")},
    **{name: name for name in ("rosenbrock", "sphere")},
    "goldstein": "goldstein_price",
}
# What has no counterpart of that name, and what there is.
_ELSEWHERE = {
    "GeneralOptimizerPSO": "pso.compose(terms, topology=...) makes a recipe for pso.minimize",
    "backend": "its parts are pso.topology, pso.velocity, pso.boundary and pso.Swarm",
    "Reporter": "messages go to the logger 'pyswarmopt'",
    **dict.fromkeys(
        "booth bukin6 crossintray eggholder holdertable levi matyas schaffer2 threehump".split(),
        "pso.functions has other test functions",
    ),
}


class _Names(ModuleType):
    """A module of pyswarms: names to what they are here."""

    def __init__(self, name: str, **names: Any) -> None:
        super().__init__(f"{__name__}.{name}", f"pyswarms.{name}, by pyswarmopt")
        vars(self).update(names)
        sys.modules[self.__name__] = self  # so that it can be imported from

    def __getattr__(self, name: str) -> Any:
        return _missing(self.__name__, name)


class _Functions(_Names):
    """The test functions, loaded on use."""

    def __getattr__(self, name: str) -> Any:
        if name not in _FUNCTIONS:
            return _missing(self.__name__, name)
        functions = importlib.import_module("pyswarmopt.teaching.functions.functions")
        return getattr(functions, _FUNCTIONS[name])


def _missing(module: str, name: str) -> Any:
    if name in _ELSEWHERE:
        raise NotImplementedError(f"pyswarms' {name} is not here; {_ELSEWHERE[name]}")
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def __getattr__(name: str) -> Any:
    return _missing(__name__, name)


single = _Names("single", GlobalBestPSO=GlobalBestPSO, LocalBestPSO=LocalBestPSO)
discrete = _Names("discrete", BinaryPSO=BinaryPSO)
utils = _Names(
    "utils",
    functions=_Names("utils.functions", single_obj=_Functions("utils.functions.single_obj")),
    search=_Names("utils.search", GridSearch=GridSearch, RandomSearch=RandomSearch),
    decorators=_Names("utils.decorators", cost=cost),
    plotters=_Names(
        "utils.plotters",
        plot_contour=plot_contour,
        plot_cost_history=plot_cost_history,
        plot_surface=plot_surface,
        formatters=_Names(
            "utils.plotters.formatters", Animator=Animator, Designer=Designer, Mesher=Mesher
        ),
    ),
)

__all__ = ["cost", "discrete", "single", "utils"]
