"""Arguments that cannot be: one line that says which and why, before the objective is called."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.stats import norm
from swarm_runs import bowl

import pyswarmopt as pso
from pyswarmopt.algorithms.clpso import Exemplars
from pyswarmopt.parts import topology
from pyswarmopt.parts.restart import RestartSwarm

BOX = [(-5.0, 5.0)] * 3
HUGE = 10**400


def still(s, move, generator):
    return s.v


def two(x):
    return bowl(x), float(x[0])


# what is no search: the search is never begun
MINIMIZE = [
    ({"bounds": (-5, 5)}, "do not tell the dimension"),
    ({"bounds": [(3, 3), (2, 2)]}, "nothing to search"),
    ({"bounds": [(None, None)] * 2}, "finite"),
    ({"bounds": [(0, None)]}, "finite"),
    ({"bounds": [(-1e308, 1e308)] * 2}, "wider than float64 can measure"),
    ({"bounds": [(-1, 1), (-1e200, 1e200)]}, "coordinate 1 .* wider than float64 can measure"),
    ({"bounds": ([0, 1, 2], [1, 2, 3])}, "two NumPy arrays"),
    ({"bounds": ([0, 0], [1, 1])}, "may be two pairs"),
    ({"bounds": np.zeros(3)}, "a starting point is x0= of minimize"),
    ({"evaluation_timeout": 1, "workers": map}, "use workers=1 in the main"),
    ({"on_error": ("retry", -1)}, "on_error"),
    ({"on_error": ("retry", 1.5)}, "on_error=.*use 'raise'"),
    ({"asynchronous": True, "workers": map}, "threads, processes"),
    ({"bounds": [(0.2, 0.8)] * 3, "integrality": 1}, "no integer lies"),
    ({"x0": [HUGE, 0.0]}, "use a point"),
    ({"constraints": LinearConstraint([[1, 2]], 0, 1)}, "2 columns"),
    ({"constraints": lambda x: x[0] < 1}, "bool"),
    ({"constraints": {"type": "le", "fun": bowl}}, "'ineq' or 'eq'"),
    ({"constraints": {"type": "eq", "fun": bowl, "lb": 0}}, "'ineq' or 'eq'"),
    ({"constraints": lambda x: np.zeros((2, 2))}, "a number or a vector"),
    *(
        ({"constraints": lambda x, value=value: value}, "a constraint returned .* a number or a")
        for value in (None, [None, 1.0], 1j, "1")
    ),
    ({"constraints": NonlinearConstraint(lambda x: x, [0, 0], 1)}, "2 bounds, lb and ub, for 3"),
    *(
        ({name: mask}, name)
        for name in ("integrality", "categorical")
        for mask in ([0], [True], [2, 0, 0], ["a", "b", "c"], [[1, 0, 0]], [0.5, 0, 0], [None] * 3)
    ),
]
# the objective itself, or what its first value shows
FUN = [
    ({"fun": 3.0}, "cannot be called"),
    ({"fun": lambda x: x}, "must give a number"),
    ({"fun": lambda x: x, "vectorized": False}, "number"),
    ({"fun": lambda x: np.zeros((len(x), 1)), "vectorized": True}, "for each"),
    ({"fun": lambda x: "low"}, "number"),
    ({"fun": lambda x: None}, "number"),
    ({"fun": lambda x: np.sum(x**2, axis=1), "asynchronous": True}, "only many at once"),
    ({"fun": two}, r"must give a number .*pso\.minimize_multi"),
    ({"fun": two, "vectorized": False}, r"must give a number .*pso\.minimize_multi"),
    ({"fun": lambda x: HUGE}, "fun returned a number beyond the range"),
    ({"fun": lambda x: [HUGE] * len(x), "vectorized": True}, "beyond the range of float64"),
    ({"fun": lambda x: x[:, 0] * 1j, "vectorized": True}, "complex numbers"),
    ({"constraints": lambda x: HUGE}, "a constraint returned a number beyond the range"),
]
SPACES = [
    ({"a": (1, 0)}, r"space\['a'\] = \(1, 0\): bounds must be finite numbers, low below high"),
    ({"a": (1, 2, 3)}, "choices are a list"),
    ({"a": ("x", "y")}, "choices are a list"),
    ({"a": []}, "must not be empty"),
    ({"a": 1}, "no parameter that may vary"),
    ({"a": object()}, r"space\['a'\] = <object"),
    ({"a": norm()}, r"space\['a'\] = norm\(.*uniform, loguniform and randint"),
    ({"a": (0, 1), "b": pso.when("c", 1, (0, 1))}, "must name choices or an integer"),
    ({"a": (0, 1), "b": pso.when("a", 1, (0, 1))}, "must name choices"),
    ({"a": [1, 2], "b": pso.when("a", True, (0, 1))}, "values that it may have"),
    ({"a": (0, 1), "c": (0, 1)}, r"fun takes \(a, b\), but the space has a, c"),
    ({"a": [0, 1], "b": pso.when("a", 1, (0, 1))}, "with a default"),
]
SWARMS = [
    ({}, "give bounds or positions"),
    ({"bounds": (0, 1)}, "do not tell the dimension"),
    ({"bounds": [(0, 1), (2, 1)]}, "coordinate 1"),
    ({"bounds": [(0, 1), (2, math.inf)]}, "finite"),
    ({"bounds": [(0, 1, 2)]}, "shape"),
    ({"bounds": [(0, 1)], "population": 0}, "at least 1"),
    ({"bounds": BOX, "population": 2.5}, "population=2.5: it must be a whole"),
    ({"bounds": BOX, "seed": 2**70}, "a swarm takes one below"),
    ({"bounds": BOX, "positions": [[HUGE] * 3]}, "positions hold a number"),
    ({"positions": [[0.0, 1.0]], "dim": 3}, "dim=3"),
    ({"positions": [[0.0], [math.nan]]}, r"positions\[1\]"),
    ({"positions": [[0.0], [1.0]], "population": 1}, "at least 2"),
    ({"positions": [[0.0]], "population": 3}, "at least 2, or bounds"),
    ({"positions": [[0.0], [1.0]], "velocities": [[0.0]]}, "velocities must have shape"),
    ({"positions": [[0.0], [1.0]], "recipe": "gradient"}, "no recipe is called 'gradient'"),
    *(
        ({"positions": [[0.0], [1.0]], "dtype": dtype}, "a floating dtype of torch")
        for dtype in (torch.int64, "float32", np.float32)
    ),
    ({"positions": torch.nn.Linear(2, 1)}, r"a module, Linear; .*pso\.FlatView\(module\)\.flatten"),
    ({"bounds": (-1, 1), "dim": 10**12, "population": 10}, "find no memory"),
    ({"bounds": (-1, 1), "dim": 3, "population": 10**30}, "find no memory"),
]
RESTARTED = pso.compose([pso.inertia(1.0)], restart=RestartSwarm(patience=2), population=2)
PARTS = [
    (lambda: pso.Swarm(positions=[[0.0], [1.0]], recipe=RESTARTED), "give bounds"),
    *(
        (lambda swarm=swarm, value=value: swarm.tell(swarm.ask(), [value]), "else than numbers")
        for swarm in (pso.MemeticSwarm([(0, 1)]), pso.Swarm(bounds=[(0, 1)], population=1))
        for value in (None, "1")
    ),
    (lambda: pso.MemeticSwarm(BOX, population=2.5), "population=2.5: it must be a whole"),
    (lambda: pso.MemeticSwarm(BOX, max_evals=2.5), "max_evals=2.5: it must be a whole"),
    (lambda: pso.MemeticSwarm(BOX, max_iter="x"), "max_iter='x': use a whole number"),
    (lambda: pso.MemeticSwarm(BOX, target=math.nan), "target=nan: use a finite number"),
    (lambda: pso.minimize(bowl, BOX, workers=lambda g, xs: []), "gave 0 answers for 1 points"),
    (lambda: pso.minimize(bowl, [0.0] * 3, bounds=BOX), "two bounds were given; a starting point"),
    (lambda: pso.minimize(bowl, [(0, 1)], space={"a": (0, 1)}), "space= and bounds="),
    (lambda: pso.minimize_multi(bowl, BOX, max_evals=2.5), "max_evals=2.5: it must be a whole"),
    (lambda: pso.minimize_multi(two, BOX, 0), "n_objectives=0"),
    (lambda: pso.minimize_multi(two, BOX, 2, population=0), "population=0"),
    (lambda: pso.minimize_multi(two, BOX, 2, archive=1), "archive=1"),
    (lambda: pso.minimize_multi(two, BOX, 2, x0=[9.0] * 3), "not within"),
    (lambda: pso.minimize_multi(two, BOX, 3), "3 numbers"),
    (lambda: pso.log(0, 1), "above 0"),
    (lambda: pso.integer(0.5, 3), "whole numbers"),
    (lambda: pso.stopping.Target(math.nan), "no value reaches it"),
    (lambda: pso.recipes.constriction(population=2.5), "population=2.5: it must be a whole"),
    (lambda: pso.recipes.constriction(phi1=1.0, phi2=2.0), "> 4"),
    (lambda: pso.recipes.model_swarms(repel=-0.1), "repel=-0.1"),
    (lambda: pso.recipes.model_swarms(inertia=0, cognitive=0, social=0, repel=0), "all 0"),
    (lambda: pso.recipes.model_swarms(inertia=math.nan), "finite"),
    (lambda: pso.recipes.model_swarms(randomness="some"), "randomness='some'"),
    (lambda: pso.recipes.model_swarms(compat="exact"), "compat='exact'"),
    (lambda: pso.recipes.model_swarms(restart_patience=0), "at least 1"),
    (lambda: pso.recipes.clpso(max_velocity=0.0), "max_velocity=0"),
    (lambda: pso.recipes.inertia_weight(horizon=0), "at least 1"),
    (lambda: pso.compose(terms=()), "no velocity terms"),
    (lambda: pso.compose(terms=(pso.inertia(1.0, "always"),)), "'always'"),
    (lambda: pso.compose([pso.inertia(1.0)], velocity=still), "either"),
    (lambda: pso.compose(velocity=still, normalise=True), "normalised"),
    (lambda: pso.Term("mine", 1.0, lambda s: s.x, looks_at="row"), "looks_at='row'"),
    (lambda: topology.Ring(reach=0), "at least 1"),
    (lambda: topology.RandomInformants(0), "at least 1"),
    (lambda: Exemplars(0), "at least 1"),
    (lambda: RestartSwarm(patience=0), "at least 1"),
    (lambda: RestartSwarm(growth=0.5), "growth"),
    (lambda: RestartSwarm(growth=math.inf), "growth"),
    (lambda: RestartSwarm(collapse=1.0), "collapse"),
    *(
        (lambda name=name: pso.recipes.get(name, topology="star"), "topology='star': use")
        for name in ("constriction", "inertia_weight", "bare_bones", "fips")
    ),
]
ROWS = Path(__file__).with_name("hostile_arguments.jsonl").read_text().splitlines()
MINIMIZE += [(row["given"], row["says"]) for row in map(json.loads, ROWS)]
CORPUS = [
    *(
        (lambda fun, a=a: pso.minimize(**{"fun": fun, "bounds": BOX} | a), say)
        for a, say in MINIMIZE
    ),
    *((lambda _, a=a: pso.minimize(**{"fun": bowl, "bounds": BOX} | a), say) for a, say in FUN),
    *((lambda _, s=s: pso.minimize(lambda a, b: 0.0, space=s), say) for s, say in SPACES),
    *((lambda _, a=a: pso.Swarm(**a), say) for a, say in SWARMS),
    *((lambda _, make=make: make(), say) for make, say in PARTS),
]


@pytest.mark.parametrize(("call", "message"), CORPUS, ids=range(len(CORPUS)))
def test_what_cannot_be_is_refused_in_one_line(call, message):
    called = []
    with pytest.raises((TypeError, ValueError), match=message) as refused:
        call(lambda x: called.append(x) or bowl(x))
    assert "\n" not in str(refused.value) and not called
