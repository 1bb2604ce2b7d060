"""Arguments that cannot be: one line that says which and why, before the objective is called."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import LinearConstraint, NonlinearConstraint
from swarm_runs import bowl

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 3
HUGE = 10**400

# one for each reader of an argument
MINIMIZE = [
    ({"bounds": ([0, 0], [1, 1])}, "ambiguous"),
    ({"on_error": ("retry", 2)}, "on_error"),
    ({"workers": 1.5}, "use a number of threads"),
    ({"x0": [HUGE, 0.0]}, "use a point"),
    ({"patience": 1.5}, "patience"),
    ({"bounds": bowl, "fun": BOX}, "fun and bounds are swapped"),
    ({"known": 3}, r"must be \(points, values\)"),
    ({"constraints": LinearConstraint([[1, 2]], 0, 1)}, "3 columns.* got 2"),
    ({"constraints": {"type": "le", "fun": bowl}}, "'ineq' or 'eq'"),
    ({"constraints": {"type": "eq", "fun": 3}}, "a callable"),
    ({"constraints": {"type": "eq", "fun": bowl, "arg": (3,)}}, "'ineq' or 'eq'"),
    ({"constraints": NonlinearConstraint(bowl, [0] * 3, [1] * 2)}, "same size, got 3 and 2"),
    ({"bounds": None, "space": [1]}, "use a dict of names"),
    ({"integrality": [2, 0, 0]}, "integrality"),
    ({"categorical": ["a", "b", "c"]}, "categorical"),
    ({"recipe": "PSO"}, "did you mean"),
    ({"recipe": pso.recipes.fips}, r"use a name, or a Recipe"),
    # a hint is for the name that was typed, not for one that is spelt alike
    ({"iterations": 3}, "max_iter="),
    ({"omega": 0.5}, r"pso\.inertia\(w\)"),
    ({"bounds": None, "space": {"a": (1, 0)}}, "bounds must be finite numbers, low below high"),
    ({"bounds": None, "space": {"a": (1, 2, 3)}}, "a list for a choice"),
    (
        {"bounds": None, "space": {"a": (0, 1), "b": pso.when("c", 1, (0, 1))}},
        "must name an earlier choice",
    ),
]
SWARMS = [
    ({"bounds": (0, 1)}, "do not determine the dimension"),
    ({"bounds": BOX, "positions": [[HUGE] * 3]}, "positions must be in the range"),
    ({"bounds": BOX, "dtype": "foo"}, "dtype='foo': use"),
    ({"positions": [[0.0]], "dtype": torch.int64}, "a floating-point torch dtype"),
    ({"positions": torch.nn.Linear(2, 1)}, r"got Linear; .*pso\.FlatView\(module\)\.flatten"),
    ({"bounds": (-1, 1), "dim": 10**6, "population": 10**7}, "not enough memory"),
    ({"n_particles": 3, "bounds": BOX}, "population="),
]
# what a recipe is composed of
PARTS = [
    ({"terms": ()}, "at least one velocity term"),
    ({"terms": [pso.inertia(1.0), bowl]}, r"terms\[1\] must be a Term, got function"),
    ({"topology": pso.topology.Ring}, "must be a function or an instance"),
    ({"boundary": "reflect"}, "'reflect' must be a function"),
    ({"terms": [pso.Term("mine", 1.0, lambda s: s.fx)]}, r"'mine' must have shape .* got \(4,\)"),
    ({"velocity": lambda s, move, generator: s.fx}, "velocity rule must have shape"),
    ({"topology": lambda state, generator: state.best_costs}, "topology must have shape"),
]


@pytest.mark.parametrize(("given", "message"), MINIMIZE)
def test_a_search_that_cannot_be_is_refused_before_a_call(given, message):
    called = []
    with pytest.raises((TypeError, ValueError), match=message) as refused:
        pso.minimize(**{"fun": called.append, "bounds": BOX} | given)
    assert "\n" not in str(refused.value) and not called


@pytest.mark.parametrize(("given", "message"), SWARMS)
def test_a_swarm_that_cannot_be_is_refused(given, message):
    with pytest.raises((TypeError, ValueError), match=message) as refused:
        pso.Swarm(**given)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("parts", "message"), PARTS)
def test_a_part_that_cannot_be_is_refused_when_it_moves_at_the_latest(parts, message):
    usual = {} if "velocity" in parts else {"terms": [pso.inertia(0.5), pso.social(1.5)]}
    with pytest.raises((TypeError, ValueError), match=message):
        recipe = pso.compose(**usual | parts, population=4)
        pso.minimize(bowl, BOX, recipe, max_evals=20, seed=0)


@pytest.mark.parametrize("value", [None, "1", [1.0, 2.0], HUGE, 1j])
def test_what_is_no_number_is_refused_by_tell(value):
    swarm = pso.Swarm(bounds=[(0, 1)], population=1)
    with pytest.raises(ValueError):
        swarm.tell(swarm.ask(), [value])


@pytest.mark.parametrize("given", [{"inertia": -0.1}, {"randomness": "some"}, {"compat": "code"}])
def test_a_coefficient_or_mode_that_model_swarms_does_not_have_is_refused(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        pso.recipes.model_swarms(**given)
