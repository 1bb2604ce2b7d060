"""Arguments that cannot be: one line that says which and why, before the objective is called."""

from __future__ import annotations

import json
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.stats import norm
from swarm_runs import bowl

import pyswarmopt as pso
from pyswarmopt.algorithms.clpso import Exemplars
from pyswarmopt.parts.restart import RestartSwarm

BOX = [(-5.0, 5.0)] * 3
HUGE = 10**400


def still(s, move, generator):
    return s.v


async def later(x):
    return 0.0


def two(x):
    return bowl(x), float(x[0])


# what is no search: the search is never begun
MINIMIZE = [
    ({"bounds": (-5, 5)}, "do not tell the dimension"),
    ({"bounds": ([0, 1, 2], [1, 2, 3])}, "two NumPy arrays"),
    ({"bounds": ([0, 0], [1, 1])}, "may be two pairs"),
    ({"bounds": np.zeros(3)}, "a starting point is x0= of minimize"),
    ({"on_error": ("retry", -1)}, "on_error"),
    ({"on_error": ("retry", 1.5)}, "on_error=.*use 'raise'"),
    *(({"workers": w}, "use a number >= 1") for w in (map, 0, -2, 1.5, True, "processes:2")),
    ({"x0": [HUGE, 0.0]}, "use a point"),
    ({"patience": 0}, "patience"),
    ({"patience": 1.5}, "patience"),
    ({"equality_tolerance": float("nan")}, "equality_tolerance"),
    ({"equality_tolerance": "1e-4"}, "equality_tolerance"),
    ({"known": 3}, r"use \(points, values\)"),
    ({"known": ([[0.0] * 3], [0.0]), "noisy": True}, "noisy=True and known="),
    ({"constraints": "return"}, "'returned' where fun returns"),
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
    ({"fun": later}, r"asyncio\.run"),
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
    ({"a": object()}, r"space\['a'\] = <object"),
    ({"a": norm()}, r"space\['a'\] = norm\(.*uniform, loguniform and randint"),
    ({"a": (0, 1), "b": pso.when("c", 1, (0, 1))}, "must name choices or an integer"),
    ({"a": (0, 1), "b": pso.when("a", 1, (0, 1))}, "must name choices"),
    ({"a": [1, 2], "b": pso.when("a", True, (0, 1))}, "values that it may have"),
    ({"a": (0, 1), "c": (0, 1)}, r"fun takes \(a, b\), but the space has a, c"),
    ({"a": [0, 1], "b": pso.when("a", 1, (0, 1))}, "with a default"),
]
SWARMS = [
    ({"bounds": (0, 1)}, "do not tell the dimension"),
    ({"bounds": BOX, "positions": [[HUGE] * 3]}, "positions hold a number"),
    *(
        ({"positions": [[0.0], [1.0]], "dtype": dtype}, "a floating dtype of torch")
        for dtype in (torch.int64, "int32", np.longdouble, "nonsense", 3)
    ),
    ({"positions": torch.nn.Linear(2, 1)}, r"a module, Linear; .*pso\.FlatView\(module\)\.flatten"),
    ({"bounds": (-1, 1), "dim": 10**12, "population": 10}, "find no memory"),
    ({"bounds": (-1, 1), "dim": 3, "population": 10**30}, "find no memory"),
]


def moved(**parts):
    """Some moves of four particles in three dimensions, which the parts make."""
    terms = parts.pop("terms", [pso.inertia(0.5), pso.social(1.5)])
    recipe = pso.compose(None if "velocity" in parts else terms, population=4, **parts)
    return lambda: pso.minimize(bowl, BOX, recipe, max_evals=20, seed=0)


def named_after(direction, **kwargs):
    return moved(terms=[pso.Term("mine", 1.0, direction, **kwargs)])


RESTARTED = pso.compose([pso.inertia(1.0)], restart=RestartSwarm(patience=2), population=2)
PARTS = [
    (lambda: pso.Swarm(positions=[[0.0], [1.0]], recipe=RESTARTED), "give bounds"),
    *(
        (lambda swarm=swarm, value=value: swarm.tell(swarm.ask(), [value]), "else than numbers")
        for swarm in (pso.MemeticSwarm([(0, 1)]), pso.Swarm(bounds=[(0, 1)], population=1))
        for value in (None, "1")
    ),
    (lambda: pso.minimize(bowl, [0.0] * 3, bounds=BOX), "two bounds were given; a starting point"),
    (lambda: pso.minimize(bowl, [(0, 1)], space={"a": (0, 1)}), "space= and bounds="),
    (lambda: pso.minimize_multi(two, BOX, 3), "3 numbers"),
    (lambda: pso.minimize_multi(lambda x: [None, 1.0], BOX), "failed is NaN, not None$"),
    (lambda: pso.compose(terms=()), "no velocity terms"),
    (lambda: pso.compose([pso.inertia(1.0), lambda s: s.x]), r"terms\[1\] is a function"),
    (lambda: pso.compose(terms=(pso.inertia(1.0, "always"),)), "'always'"),
    (lambda: pso.compose([pso.inertia(1.0)], velocity=still), "either"),
    (lambda: pso.compose(velocity=still, normalise=True), "normalised"),
    (lambda: pso.Term("mine", 1.0, lambda s: s.x, looks_at="row"), "looks_at='row'"),
    (lambda: Exemplars(0), "at least 1"),
    (lambda: moved(topology=pso.topology.Ring), r"topology is a class: write Ring\(\.\.\.\)"),
    (
        lambda: moved(topology="ring"),
        "topology='ring': use a function, or one of pyswarmopt.topology",
    ),
    (lambda: moved(boundary="reflect"), "boundary='reflect'"),
    (lambda: moved(schedule=pso.schedule.Linear), "is a class: write Linear"),
    (lambda: moved(restart=RestartSwarm), "restart is a class: write RestartSwarm"),
    (lambda: moved(stop=pso.stopping.Patience), "stop is a class: write Patience"),
    (lambda: pso.inertia("0.7"), "weight or step length='0.7'"),
    (lambda: pso.Term("mine", 1.0, 0.5), "direction of term 'mine'=0.5"),
    (named_after(lambda s: s.fx), r"direction of term 'mine' has shape \(4,\); .* here \(4, 3\)"),
    (named_after(lambda s: s.fx, looks_at="column"), "direction of term 'mine' has shape"),
    (moved(velocity=lambda s, move, generator: s.fx), "velocity rule returns has shape"),
    (moved(topology=lambda state, generator: state.best_costs), "topology returns has shape"),
    (moved(topology=lambda s, g: s.best_costs.argmin()), r"positions, \(N, D\) or \(1, D\)"),
    (lambda: pso.inertia(np.linspace(0.4, 0.9, 20)), "a weight or step length is a ndarray"),
    (lambda: pso.minimize(bowl, {"a": (0, 1)}), "parameters by name are space="),
    (lambda: pso.minimize_multi(two, BOX, constraints="returned"), "they are functions"),
    (lambda: pso.FlatView([torch.zeros(2)]), "a module or"),
    (lambda: pso.Swarm(positions=torch.nn.Linear(2, 1).parameters()), r"pso\.FlatView\(module\)"),
    (lambda: pso.compare(bowl, BOX, ["fips"], n_runs=3), "here it is seeds="),
    (lambda: pso.Swarm(n_particles=3, bounds=BOX), "population="),
    (lambda: pso.minimize(bowl, BOX, "memetic"), "recipe=None"),
    (lambda: pso.minimize(bowl, BOX, "PSO"), "constriction and inertia_weight"),
    # a hint is for the name that was typed, not for one that is spelt alike
    (lambda: pso.minimize(bowl, BOX, iterations=3), "max_iter="),
    (lambda: pso.minimize_multi(two, BOX, n_obj=2), "n_objectives="),
    (lambda: pso.minimize_multi(two, BOX, progress=True), "there is fun, bounds"),
    (lambda: pso.Study(BOX, direction="maximize"), "maximize="),
    (moved(topology=lambda s, g: s.best_costs, terms=[pso.social(1.0)]), "topology returns"),
    (moved(boundary=lambda x, v, box, generator: x, schedule=100.0), "must return two arrays"),
    (lambda: pso.minimize(bowl, BOX, pso.recipes.fips), r"is a function: write fips\(\)"),
    (lambda: pso.Swarm(bounds=BOX, recipe=pso.recipes.fips), r"is a function: write fips\(\)"),
    (lambda: pso.compare(bowl, BOX, [pso.recipes.fips]), r"is a function: write fips\(\)"),
    (lambda: pso.compare(bowl, BOX, "fips,clpso"), "give a list"),
    (lambda: pso.compare(bowl, BOX, ["fips"], seed=1), "here it is seeds="),
    (lambda: pso.minimize(bowl, BOX, velocity_clamp=(0, 1)), "max_velocity="),
    (lambda: pso.minimize(bowl, BOX, omega=0.5), r"pso\.inertia\(w\)"),
    (lambda: pso.minimize(bowl, n_dim=2, lb=0, ub=1), "bounds="),
    (lambda: pso.minimize(bowl, BOX, pop=4), "population="),
]
# of `minimize`, or of what is called there
ROWS = Path(__file__).with_name("hostile_arguments.jsonl").read_text().splitlines()
SEARCHES = ("minimize", "maximize", "minimize_multi")


def call_of(row):
    """What a row calls, as a function of the objective."""
    name = row.get("call", "minimize")

    def call(fun):
        problem = {"fun": fun, "bounds": BOX} if name in SEARCHES else {}
        attrgetter(name)(pso)(**problem | row["given"])

    return call


CORPUS = [
    *((call_of(row), row["says"]) for row in map(json.loads, ROWS)),
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
