"""Particle swarm optimisation for any objective: composable, resumable to the bit, from 2 to 10^7 dimensions.

>>> import pyswarmopt as pso
>>> pso.minimize(pso.functions.sphere, [(-5, 5)] * 3, max_evals=4000, seed=0).fun < 1e-6
True
"""

from . import (
    boundary,
    diagnostics,
    initialise,
    interop,
    pareto,
    plot,
    recipes,
    restart,
    schedule,
    stopping,
    topology,
    velocity,
)
from .algorithms.memetic import MemeticSwarm
from .boundary import Box
from .compose import Recipe, compose
from .diagnostics import Diagnosis, diagnose
from .flat import FlatView, layer_of, module_type_of
from .history import History, ParticleRecord, Record
from .minimize import maximize, minimize
from .multi import MultiResult, minimize_multi
from .optimizer import Optimizer, Point
from .recorder import Step, record
from .result import Result
from .swarm import Swarm, Ticket
from .toy import functions, wrappers
from .velocity import Snapshot, Term, cognitive, inertia, repel, social

__version__ = "0.1.0"  # pyproject.toml reads it from here

__all__ = [
    "Box",
    "Diagnosis",
    "FlatView",
    "History",
    "MemeticSwarm",
    "MultiResult",
    "Optimizer",
    "ParticleRecord",
    "Point",
    "Recipe",
    "Record",
    "Result",
    "Snapshot",
    "Step",
    "Swarm",
    "Term",
    "Ticket",
    "__version__",
    "boundary",
    "cognitive",
    "compose",
    "diagnose",
    "diagnostics",
    "functions",
    "inertia",
    "initialise",
    "interop",
    "layer_of",
    "maximize",
    "minimize",
    "minimize_multi",
    "module_type_of",
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
    "wrappers",
]
