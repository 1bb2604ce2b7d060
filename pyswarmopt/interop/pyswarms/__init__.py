"""pyswarms' names for our swarms: its scripts run with their imports changed.

``import pyswarmopt.interop.pyswarms as ps``, then `ps.single`, `ps.discrete` and `ps.utils` as
there; ``from pyswarmopt.interop.pyswarms.utils.functions import single_obj`` and its like work,
too. docs/how-to/coming-from.md says what differs.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from pyswarmopt.base.arrays import needing_torch

with needing_torch("pyswarmopt.interop.pyswarms"):
    from pyswarmopt.interop.pyswarms.optimizers import BinaryPSO, GlobalBestPSO, LocalBestPSO
from pyswarmopt.interop.pyswarms.tools import (
    Designer,
    GridSearch,
    Mesher,
    RandomSearch,
    cost,
    plot_contour,
    plot_cost_history,
    plot_surface,
)

_FUNCTIONS = importlib.import_module("pyswarmopt.teaching.functions.functions").ALL
# Names without a counterpart, and what there is.
_ELSEWHERE = {
    "GeneralOptimizerPSO": "pso.compose(terms, topology=...) makes a recipe for pso.minimize",
    "Animator": "set the pace of the animation when you save it",
    "backend": "its parts are pso.topology, pso.velocity, pso.boundary and pso.Swarm",
    "Reporter": "messages go to the logger 'pyswarmopt'",
}


def _module(path: str, **names: Any) -> ModuleType:
    """A module of pyswarms that can be imported from: names to their meaning here."""
    module = ModuleType(f"{__name__}.{path}", f"pyswarms.{path}, by pyswarmopt")
    vars(module).update(names, __getattr__=__getattr__)
    sys.modules[module.__name__] = module
    return module


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        raise NotImplementedError(f"pyswarms' {name} is not here; {_ELSEWHERE[name]}")
    raise AttributeError(f"pyswarms' {name} is not here; see docs/how-to/coming-from.md")


single = _module("single", GlobalBestPSO=GlobalBestPSO, LocalBestPSO=LocalBestPSO)
discrete = _module("discrete", BinaryPSO=BinaryPSO)
utils = _module(
    "utils",
    functions=_module(
        "utils.functions",
        single_obj=_module(
            "utils.functions.single_obj", **_FUNCTIONS, goldstein=_FUNCTIONS["goldstein_price"]
        ),
    ),
    search=_module("utils.search", GridSearch=GridSearch, RandomSearch=RandomSearch),
    decorators=_module("utils.decorators", cost=cost),
    plotters=_module(
        "utils.plotters",
        plot_contour=plot_contour,
        plot_cost_history=plot_cost_history,
        plot_surface=plot_surface,
        formatters=_module("utils.plotters.formatters", Designer=Designer, Mesher=Mesher),
    ),
)

__all__ = ["cost", "discrete", "single", "utils"]
