"""Everything of ours passes the tests that others inherit (`pyswarmopt.testing`), and what breaks a
promise does not.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt import testing
from pyswarmopt.testing import ObjectiveTests, OptimizerTests, RecipeTests, SpaceTests

RECIPES = [None, *pso.recipes.RECIPES]


@pytest.fixture(params=RECIPES, ids=str)
def recipe(request):
    request.instance.recipe = request.param


@pytest.mark.usefixtures("recipe")
class TestRecipes(RecipeTests):
    max_evals = 90


@pytest.fixture(params=["memetic", *pso.recipes.RECIPES])
def made(request):
    def make(seed, maximize):
        bounds = OptimizerTests.bounds
        if request.param == "memetic":
            return pso.MemeticSwarm(bounds, seed=seed, maximize=maximize)
        return pso.Swarm(
            bounds=bounds, population=5, recipe=request.param, seed=seed, maximize=maximize
        )

    request.instance.make = make


@pytest.mark.usefixtures("made")
class TestOptimizers(OptimizerTests):
    def optimizer(self, seed=0, maximize=False):
        return self.make(seed, maximize)


class TestSpace(SpaceTests):
    def space(self):
        return {
            "rate": pso.log(1e-5, 1.0), "layers": pso.integer(1, 8), "width": pso.integer(4, 64, log=True),
            "kind": ["a", "b", None], "seed": pso.fixed(3), "momentum": pso.when("kind", "b", (0.0, 1.0)),
        }  # fmt: skip


class TestAckley(ObjectiveTests):
    def objective(self):
        return pso.functions.ackley


@pytest.fixture(params=["shifted", "rotated"])
def wrapped(request):
    by = {"shifted": [0.5, -1.0, 2.0], "rotated": 3}[request.param]
    request.instance.wrap = lambda: getattr(pso.wrappers, request.param)(pso.functions.sphere, by)


@pytest.mark.usefixtures("wrapped")
class TestWrappers(ObjectiveTests):
    def objective(self):
        return self.wrap()


class Noisy:
    """Another draw at every call."""

    def __init__(self):
        self.random = np.random.default_rng(0)

    def __call__(self, x):
        return float(pso.functions.sphere(x)) + self.random.standard_normal()


class TestNoisy(ObjectiveTests):
    deterministic = False

    def objective(self):
        return Noisy()


# ---- the page ----


def on_the_page():
    """The tests that the classes of the page inherit, by name."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "write-your-own.md"
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        exec(block, names)
    kinds = [v for name, v in names.items() if name.startswith("Test")]
    return [(kind, name) for kind in kinds for name in dir(kind) if name.startswith("test_")]


@pytest.mark.parametrize(("kind", "name"), on_the_page())
def test_what_the_page_shows_passes(kind, name):
    getattr(kind(), name)()


class Narrow(RecipeTests):
    """A box that is not about 0, and as many moves as the contract asks for."""

    recipe = "bare_bones"
    bounds = ((0.9, 1.1), (0.8, 1.05))
    max_evals = 400


@pytest.mark.parametrize(
    "promise", [Narrow.test_a_start_is_evaluated, Narrow.test_resumed_is_uninterrupted]
)
def test_a_promise_holds_in_a_box_that_is_not_about_0(promise):
    promise(Narrow())


# ---- what breaks a promise ----


class Forgetful(pso.MemeticSwarm):
    """Its best point is the latest, and it resumes from nothing."""

    @property
    def best(self):
        return pso.Point(self.ask()[0], 0.0)

    def load_state_dict(self, saved):
        pass


class Careless(ObjectiveTests):
    def objective(self):
        seen = []
        return lambda x: float(len(seen.append(0) or seen))


class Shallow(SpaceTests):
    def space(self):
        class Double(type(pso.log(1.0, 2.0))):
            def decode(self, x):
                return 2 * super().decode(x)

        return {"rate": Double(1.0, 2.0)}


class Unsteady(RecipeTests):
    def search(self, fun=testing.valley, **options):
        def global_noise(s, move, generator):
            return np.random.normal(size=s.x.shape)

        self.recipe = pso.compose(velocity=global_noise, population=10)
        return super().search(fun, **options)


class Mistaken(RecipeTests):
    """Its term reads another coordinate and says that it does not."""

    recipe = pso.compose(
        [pso.Term("next", 1.0, lambda s: s.x.mean(1)[:, None] - s.x, looks_at="column")]
    )


class Startless(RecipeTests):
    """It ignores the start that it is given."""

    def search(self, fun=testing.valley, **options):
        return super().search(fun, **options | {"x0": None})


class Ungrateful(RecipeTests):
    """It evaluates its start, and hands over something worse."""

    def search(self, fun=testing.valley, **options):
        super().search(fun, **options)
        return SimpleNamespace(fun=float("inf"))


class Frugal(RecipeTests):
    """It evaluates its start and no more, which keeps the promise."""

    def search(self, fun=testing.valley, **options):
        return super().search(fun, **options | {"max_evals": 1})


class Astray(RecipeTests):
    """It hands over a parameter outside its range."""

    def search(self, fun=testing.valley, **options):
        return SimpleNamespace(params={"rate": 3.0, "kind": "a", "size": 7})


class Wrong(OptimizerTests):
    def optimizer(self, seed=0, maximize=False):
        return Forgetful(self.bounds, seed=seed, maximize=maximize)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Wrong, "test_the_best_is_the_best_told"),
        (Wrong, "test_a_saved_state_goes_on_bit_for_bit"),
        (Wrong, "test_a_refused_call_loses_nothing"),
        (Careless, "test_a_point_has_one_value"),
        (Careless, "test_the_order_of_calls_does_not_matter"),
        (Shallow, "test_every_point_has_allowed_parameters"),
        (Shallow, "test_parameters_lead_back_to_themselves"),
        (Unsteady, "test_the_same_seed_gives_the_same_search"),
        (Unsteady, "test_global_generators_are_left_alone"),
        (Unsteady, "test_resumed_is_uninterrupted"),
        (Mistaken, "test_a_term_looks_at_no_more_than_it_says"),
        (Startless, "test_a_start_is_evaluated"),
        (Ungrateful, "test_a_start_is_evaluated"),
        (Astray, "test_parameters_by_name_come_back_in_their_ranges"),
    ],
)
def test_a_broken_promise_is_seen(kind, name):
    with pytest.raises(AssertionError):
        getattr(kind(), name)()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("test_the_same_seed_gives_the_same_search", "at move 1: draw from the generator"),
        ("test_global_generators_are_left_alone", "global random generator"),
        ("test_resumed_is_uninterrupted", "state.memory"),
    ],
)
def test_a_failure_is_a_sentence(name, told):
    with pytest.raises(AssertionError) as caught:
        getattr(Unsteady(), name)()
    assert told in str(caught.value).splitlines()[0]


def test_a_start_that_stays_the_best_keeps_the_promise():
    Frugal().test_a_start_is_evaluated()
