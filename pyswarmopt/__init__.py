"""Particle swarm optimisation of any function. Swarms are composed of parts such as repulsion,
restarts and step schedules, and work on flat arrays or tensors of 2 to 10^7 coordinates.

`minimize` accepts any swarm as `recipe`; by default it uses a Gaussian process and descents
instead. Interrupted searches resume bit for bit. The names in `__all__` are the public API; they
are loaded on first use, so importing the package is fast.

>>> import pyswarmopt as pso
>>> pso.minimize(pso.functions.sphere, [(-5, 5)] * 3, max_evals=4000, seed=0).fun < 1e-6
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyswarmopt import interop
    from pyswarmopt._compare import Comparison, compare
    from pyswarmopt._compare import Paired as Paired
    from pyswarmopt._minimize import maximize, minimize
    from pyswarmopt.algorithms import registry as recipes
    from pyswarmopt.algorithms.recipe import Recipe, compose
    from pyswarmopt.base.flat_view import FlatView
    from pyswarmopt.base.optimizer import Optimizer
    from pyswarmopt.base.optimizer import Point as Point
    from pyswarmopt.base.optimizer import Ticket as Ticket
    from pyswarmopt.default.continuous import DefaultSearch as DefaultSearch
    from pyswarmopt.driver.history import History
    from pyswarmopt.driver.history import ParticleRecord as ParticleRecord
    from pyswarmopt.driver.history import Record as Record
    from pyswarmopt.driver.multi import pareto
    from pyswarmopt.driver.multi.front import MultiResult, minimize_multi
    from pyswarmopt.driver.problem.parameters import Fixed as Fixed
    from pyswarmopt.driver.problem.parameters import Integer as Integer
    from pyswarmopt.driver.problem.parameters import (
        Permutation,
        Shares,
        Subset,
        fixed,
        integer,
        log,
        ordered,
        when,
    )
    from pyswarmopt.driver.problem.parameters import Real as Real
    from pyswarmopt.driver.problem.parameters import When as When
    from pyswarmopt.driver.problem.space import Space
    from pyswarmopt.driver.result import Result
    from pyswarmopt.inspect import diagnostics as diagnostics
    from pyswarmopt.inspect import plot
    from pyswarmopt.inspect.diagnostics import diagnose
    from pyswarmopt.inspect.recorder import RecordedSwarm, record
    from pyswarmopt.inspect.step import Step
    from pyswarmopt.parts import (
        boundary,
        initialise,
        restart,
        schedule,
        stopping,
        topology,
        velocity,
    )
    from pyswarmopt.parts.boundary import Box
    from pyswarmopt.parts.velocity import Snapshot, Term, cognitive, inertia, repel, social
    from pyswarmopt.study import Study, Trial
    from pyswarmopt.swarm import Swarm
    from pyswarmopt.teaching.functions import functions, wrappers

__version__ = "0.1.0.dev0"  # pyproject.toml reads it from here

# Module -> its public names; and public modules.
_DEFINED_IN = {
    "_minimize": "maximize minimize",
    "algorithms.recipe": "Recipe compose",
    "base.flat_view": "FlatView",
    "base.optimizer": "Optimizer Point Ticket",
    "driver.history": "History ParticleRecord Record",
    "driver.multi.front": "MultiResult minimize_multi",
    "driver.problem.parameters": "Fixed Integer Permutation Real Shares Subset When fixed integer log ordered when",
    "driver.problem.space": "Space",
    "driver.result": "Result",
    "study": "Study Trial",
    "default.continuous": "DefaultSearch",
    "_compare": "Comparison Paired compare",
    "inspect.diagnostics": "diagnose",
    "inspect.recorder": "RecordedSwarm record",
    "inspect.step": "Step",
    "parts.boundary": "Box",
    "parts.velocity": "Snapshot Term cognitive inertia repel social",
    "swarm": "Swarm",
}
_HOME = {name: module for module, names in _DEFINED_IN.items() for name in names.split()}
_PARTS = ("boundary", "initialise", "restart", "schedule", "stopping", "topology", "velocity")
_MODULES = {
    "diagnostics": "inspect.diagnostics",
    "functions": "teaching.functions.functions",
    "interop": "interop",
    "pareto": "driver.multi.pareto",
    "plot": "inspect.plot",
    "recipes": "algorithms.registry",
    "wrappers": "teaching.functions.wrappers",
    **{name: f"parts.{name}" for name in _PARTS},
}


def __getattr__(name: str) -> Any:
    module = _HOME.get(name) or _MODULES.get(name)
    if module is None:
        from pyswarmopt.base.spelling import missing

        raise missing("pyswarmopt", name)
    from pyswarmopt.base.arrays import needing_torch

    with needing_torch(f"pyswarmopt.{name}"):
        loaded = import_module(f"{__name__}.{module}")
    if name in _HOME:
        return getattr(loaded, name)
    vars(loaded)["__dir__"] = loaded.__all__.copy  # what users need, without what it imports
    return loaded


# Types that nobody builds are left out; they can be imported all the same.
__all__ = [
    "Box",
    "Comparison",
    "FlatView",
    "History",
    "MultiResult",
    "Optimizer",
    "Permutation",
    "Recipe",
    "RecordedSwarm",
    "Result",
    "Shares",
    "Snapshot",
    "Space",
    "Step",
    "Study",
    "Subset",
    "Swarm",
    "Term",
    "Trial",
    "__version__",
    "boundary",
    "cognitive",
    "compare",
    "compose",
    "diagnose",
    "fixed",
    "functions",
    "inertia",
    "initialise",
    "integer",
    "interop",
    "log",
    "maximize",
    "minimize",
    "minimize_multi",
    "ordered",
    "pareto",
    "plot",
    "recipes",
    "record",
    "repel",
    "restart",
    "schedule",
    "social",
    "stopping",
    "topology",
    "velocity",
    "when",
    "wrappers",
]
__dir__ = __all__.copy
