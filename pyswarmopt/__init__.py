"""Particle swarm optimisation for any objective: composable, resumable to the bit, from 2 to 10^7 dimensions.

>>> import pyswarmopt as pso
>>> pso.minimize(pso.functions.sphere, [(-5, 5)] * 3, max_evals=4000, seed=0).fun < 1e-6
True
"""

from pyswarmopt import interop
from pyswarmopt.algorithms import registry as recipes
from pyswarmopt.algorithms.recipe import Recipe, compose
from pyswarmopt.base.flat_view import FlatView, layer_of, module_type_of
from pyswarmopt.base.optimizer import Optimizer, Point
from pyswarmopt.driver.history import History, ParticleRecord, Record
from pyswarmopt.driver.multi import pareto
from pyswarmopt.driver.multi.multiobjective import MultiResult, minimize_multi
from pyswarmopt.driver.result import Result
from pyswarmopt.hybrid.memetic import MemeticSwarm
from pyswarmopt.inspect import diagnostics, plot
from pyswarmopt.inspect.diagnostics import Diagnosis, diagnose
from pyswarmopt.inspect.recorder import Step, record
from pyswarmopt.minimize import maximize, minimize
from pyswarmopt.parts import boundary, initialise, restart, schedule, stopping, topology, velocity
from pyswarmopt.parts.boundary import Box
from pyswarmopt.parts.velocity import Snapshot, Term, cognitive, inertia, repel, social
from pyswarmopt.swarm import Swarm, Ticket
from pyswarmopt.teaching.functions import functions, wrappers

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
