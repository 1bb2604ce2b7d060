"""The default search with integers and categories, part by part and as a whole."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize
from watched import Watched

import pyswarmopt as pso
from pyswarmopt.default.box import Kinds
from pyswarmopt.default.gaussian import GaussianProcess, improvement
from pyswarmopt.default.mixed import BinarySearch, LongModel, MixedSearch
from pyswarmopt.driver.problem.encoding import make_coding

# A real number, an integer from -1 to 3, a category of three labels.
CODING = make_coding((np.array([-2.0, -1.0, 0.0]), np.array([2.0, 3.0, 2.0])), [0, 1, 0], [0, 0, 1])
KINDS = CODING.kinds


def some_points(n, seed=0):
    return KINDS.snap(np.random.default_rng(seed).random((n, 5)))


def decoded(unit):
    low, high = CODING.bounds()
    return CODING.decode(low + unit * (high - low))


def test_snapping_changes_nothing_that_the_objective_sees():
    unit = np.random.default_rng(1).random((500, 5))
    snapped = KINDS.snap(unit)
    np.testing.assert_array_equal(decoded(snapped), decoded(unit))
    np.testing.assert_array_equal(KINDS.snap(snapped), snapped)
    # One place for each value of what is no real number.
    assert (
        len(np.unique(snapped[:, 1:], axis=0)) == len(np.unique(decoded(unit)[:, 1:], axis=0)) == 15
    )


@pytest.mark.parametrize("width", [1e-3, 0.1, 2.0])
def test_a_neighbour_differs_in_some_parameter_and_stays_in_the_box(width):
    points = some_points(2000)
    near = KINDS.neighbours(points, np.full(len(points), width), np.random.default_rng(3))
    assert ((near >= 0) & (near <= 1)).all()
    changed = decoded(near) != decoded(points)
    assert changed.any(axis=1).all()
    assert 1.2 < changed.sum(axis=1).mean() < 1.8
    if width == 1e-3:  # integers go to the next one, reals hardly move
        steps = np.abs(decoded(near) - decoded(points))
        assert set(steps[:, 1]) == {0.0, 1.0}
        assert steps[:, 0].max() < 0.05


def matern(a, b, lengths):
    """Correlations of points, (m, 5) and (n, 5), two labels of the category one apart."""
    distances = a[:, None] - b
    other = a[:, None, 2:].argmax(-1) != b[:, 2:].argmax(-1)
    parts = np.stack([distances[..., 0], distances[..., 1], other], axis=-1) / lengths
    r = np.sqrt(5 * (parts**2).sum(-1))
    return (1 + r + r * r / 3) * np.exp(-r)


def test_the_process_is_the_textbooks():
    """Rasmussen & Williams, equations 2.25 and 2.26, entry by entry, with Matern's kernel, 4.17."""
    points, new = some_points(12, 4), some_points(5, 5)
    y = np.random.default_rng(6).standard_normal(12)
    theta = np.log(np.array([0.4, 0.7, 1.3, 0.05]))
    process = GaussianProcess(KINDS)
    process.theta = theta
    process.fit(points, y)
    mean, deviation = process.predict(new)
    covariance = matern(points, points, [0.4, 0.7, 1.3]) + 0.05 * np.eye(12)
    for i, x in enumerate(new):
        (k,) = matern(x[None], points, [0.4, 0.7, 1.3])
        expected = y.mean() + k @ np.linalg.solve(covariance, y - y.mean())
        variance = (y - y.mean()) @ np.linalg.solve(covariance, y - y.mean()) / 12
        assert mean[i] == pytest.approx(expected, abs=1e-6)
        assert deviation[i] ** 2 == pytest.approx(
            variance * (1 - k @ np.linalg.solve(covariance, k)), abs=1e-6
        )


PRIOR = np.log([0.3 * math.sqrt(3)] * 3 + [1e-3])  # of the three lengths and the noise


@pytest.mark.parametrize("seed", range(3))
def test_the_lengths_learnt_are_where_scipy_finds_no_greater_density(seed):
    """Rasmussen & Williams, equation 5.8, the variance at its best."""
    points = some_points(40, seed)
    scores = points[:, 0] + 0.1 * np.random.default_rng(seed).standard_normal(40)
    y = scores - scores.mean()

    def loss(theta):
        covariance = matern(points, points, np.exp(theta[:3])) + math.exp(theta[3]) * np.eye(40)
        variance = y @ np.linalg.solve(covariance, y) / 40
        away = (theta - PRIOR) / [1, 1, 1, 2]
        return 0.5 * (40 * math.log(variance) + np.linalg.slogdet(covariance)[1] + away @ away)

    process = GaussianProcess(KINDS)
    process.learn_lengths(points, scores)
    found = minimize(loss, process.theta, method="Nelder-Mead")
    assert loss(process.theta) == pytest.approx(found.fun, abs=0.02)


def test_the_improvement_is_the_integral():
    points, y = some_points(10, 10), np.random.default_rng(11).standard_normal(10)
    process = GaussianProcess(KINDS)
    process.fit(points, y)
    new = some_points(20, 12)
    for mean, deviation, found in zip(
        *process.predict(new), improvement(*process.predict(new), -0.5), strict=True
    ):
        better = stats.norm(mean, deviation).expect(lambda v: -0.5 - v, ub=-0.5)
        assert found == pytest.approx(better, abs=1e-6)


def mixed_bowl(x):
    """Least, 0, at (0.7, 2, label 1)."""
    return (x[0] - 0.7) ** 2 + (x[1] - 2) ** 2 + (2.0, 0.0, 1.0)[int(x[2])]


def test_the_best_of_all_combinations_is_found():
    """Five parameters of three labels each: 243 combinations, of which brute force knows the
    best.
    """
    random, calls = np.random.default_rng(13), []
    alone, pairs = random.random((5, 3)), random.random((5, 5, 3, 3))

    def cost(x):
        labels = [int(value) for value in x]
        calls.append(tuple(labels))
        both = sum(
            pairs[i, j, labels[i], labels[j]] for i, j in itertools.combinations(range(5), 2)
        )
        return 3 * sum(alone[i, label] for i, label in enumerate(labels)) + both

    least = min(cost(x) for x in itertools.product(range(3), repeat=5))
    calls.clear()
    found = pso.minimize(cost, bounds=[(0, 2)] * 5, categorical=True, max_evals=100, seed=0)
    # none twice, though the model is sure of the best before; the last call looks for noise
    assert len(calls) == 100 and len(set(calls)) == 99 and calls[-1] == tuple(found.x)
    assert found.fun == pytest.approx(least)


def test_a_saved_search_goes_on_as_if_nothing_had_happened():
    """Saved in the first design, while a model proposes, and at two places after that."""

    def made():
        return MixedSearch(CODING.bounds(), seed=5, kinds=CODING.kinds)

    search, resumed = made(), {}
    for number in range(242):
        if number in (0, 1, 3, 30, 205, 230):
            resumed[number + 12] = made()
            resumed[number + 12].load_state_dict(search.state_dict())
        resumed.pop(number, None)
        x = search.ask()
        costs = [mixed_bowl(point) for point in CODING.decode(x)]
        for other in resumed.values():
            np.testing.assert_array_equal(other.ask(), x)
            other.tell(x, costs)
        search.tell(x, costs)


@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_with_whole_numbers_calls_that_fail_at_random_hide_no_minimum(share, seed):
    """The excess was 0.01 to 5."""
    random = np.random.default_rng(seed)

    def fun(x):
        return math.nan if random.random() < share else float(((x - 0.3) ** 2).sum())

    whole = [True, False, False]
    found = pso.minimize(fun, [(-5, 5)] * 3, integrality=whole, max_evals=80, seed=seed)
    assert found.fun == pytest.approx(0.09, abs=1e-3)


@pytest.mark.parametrize(("leader", "ratio"), [("swarm", 1 / 8), ("mutations", 1.0)])
def test_mutations_have_as_many_evaluations_as_the_swarm_but_an_eighth_while_the_best_point_is_its(
    leader, ratio
):
    search = MixedSearch(CODING.bounds(), seed=0, population=6, kinds=CODING.kinds)
    sizes, best = {8: "mutations", 6: "swarm"}, 0.0  # of a round
    spent, random = {"mutations": 0, "swarm": 0}, np.random.default_rng(0)
    while search.evaluations < LongModel.most + 900:
        x = search.ask()
        costs = 1 + random.random(len(x))
        if search.evaluations >= LongModel.most:  # before, the model proposes
            turn = sizes[len(x)]
            spent[turn] += len(x)
            if turn == leader:
                best -= 1.0
                costs[0] = best
        search.tell(x, costs)
    assert spent["mutations"] / spent["swarm"] == pytest.approx(ratio, rel=0.15)


def test_a_population_is_proposed_at_once():
    search = MixedSearch(CODING.bounds(), seed=0, population=6, kinds=CODING.kinds)
    sizes = []
    while search.evaluations < 40:
        x = search.ask()
        assert len(np.unique(x, axis=0)) == len(x)
        search.tell(x, [mixed_bowl(point) for point in CODING.decode(x)])
        sizes.append(len(x))
    assert set(sizes[2:]) == {6}
    assert search.best.value < 0.1


@pytest.mark.parametrize("space", [{"a": pso.integer(0, 11)},
                                   {"a": pso.integer(1, 4), "b": ["x", "y", "z"]}])  # fmt: skip
def test_no_point_of_a_small_grid_is_left_out_while_others_are_called_again(space):
    """With values that are all alike, twice as many calls as there are points."""
    for seed in range(3):
        fun = Watched(lambda params: 0.0)
        pso.minimize(fun, space=space, max_evals=24, seed=seed)
        called = [tuple(params.item().values()) for params in fun.points]
        assert len(set(called)) == len(set(called[:16])) == 12


def test_of_many_binaries_at_most_a_few_are_chosen_well() -> None:
    """Beyond 100 coordinates, too, and with the zero vector as the only start that is allowed."""
    worth = np.random.default_rng(1).uniform(0.0, 1.0, 120)

    def chosen(**x: int) -> float:
        return float(worth @ list(x.values()))

    r = pso.maximize(
        chosen,
        space={f"x{i}": pso.integer(0, 1) for i in range(120)},
        constraints=lambda **x: sum(x.values()) - 10,
        max_evals=1000,
        seed=0,
    )
    assert sum(r.params.values()) <= 10
    assert r.fun > 0.8 * np.sort(worth)[-10:].sum()


def test_binaries_are_mutated_one_at_a_time_or_a_population_together() -> None:
    kinds = Kinds(np.full(30, 2), np.arange(30), np.zeros(30, dtype=bool))
    for population, together in ((None, 1), (6, 6)):
        search = BinarySearch([(0, 1)] * 30, seed=0, population=population, kinds=kinds)
        assert search.ask().shape == (together, 30)
