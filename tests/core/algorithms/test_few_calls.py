"""A Gaussian process proposes the first points of the default search."""

from __future__ import annotations

import numpy as np
import pytest

import pyswarmopt as pso

BOX = (-5.0, 5.0)


def bowl(x) -> float:
    return float(((np.asarray(x) - 1) ** 2).sum())


def rugged(x) -> float:
    z = np.asarray(x) - 1.3
    return float((z * z + 2 - 2 * np.cos(4 * z)).sum())


def rounds(fun, dim: int, n: int, **options) -> list[np.ndarray]:
    """What is proposed, round for round, in the unit box, until there are n points."""
    search, seen = pso.MemeticSwarm([BOX] * dim, seed=0, **options), []
    while sum(map(len, seen)) < n:
        x = search.ask().numpy()
        seen.append((x + 5) / 10)
        search.tell(x, [fun(row) for row in x])
    return seen


@pytest.mark.parametrize("dim", [1, 2, 5, 20])
def test_five_points_for_each_dimension_are_the_models_and_the_descent_starts_from_the_best(dim):
    seen = rounds(bowl, dim, 5 * dim + 1, max_evals=200 * dim)
    points = np.concatenate(seen[: 5 * dim])
    assert [len(batch) for batch in seen[: 5 * dim]] == [1] * (5 * dim)
    assert 0 < np.abs(points[0] - 0.5).max() <= 0.1
    best = points[np.argmin([bowl(10 * u - 5) for u in points])]
    # differences for its gradient
    assert np.abs(np.concatenate(seen[5 * dim :]) - best).max() <= 1e-3


def test_with_more_parameters_the_first_point_is_near_the_middle_and_has_differences():
    first, second = np.concatenate(rounds(bowl, 21, 2))[:2]
    assert 0 < np.abs(first - 0.5).max() <= 0.01
    assert np.abs(second - first).max() <= 1e-3


def test_few_calls_find_more_than_random_ones():
    better = []
    for seed in range(8):
        found = pso.minimize(rugged, [BOX] * 4, max_evals=20, seed=seed).fun
        random = min(rugged(x) for x in np.random.default_rng(seed).uniform(*BOX, (20, 4)))
        better.append(found < random)
    assert sum(better) >= 7


def test_given_points_come_first_and_the_model_knows_them():
    x0 = np.array([[1.0, 1.0, 1.0], [4.0, -4.0, 2.0]])
    search = pso.MemeticSwarm([BOX] * 3, positions=x0, seed=0, max_evals=60)
    x = search.ask().numpy()
    assert np.array_equal(x, x0)
    search.tell(x, [bowl(row) for row in x])
    model = search._search.model.run
    assert np.allclose(model.points, (x0 + 5) / 10) and np.allclose(
        model.costs, [bowl(row) for row in x0]
    )
    assert search.best.value == 0.0
    assert len(search.ask()) == 1


def test_more_given_points_than_the_model_would_propose_take_its_place():
    x0 = np.random.default_rng(0).uniform(*BOX, (12, 2))
    search = pso.MemeticSwarm([BOX] * 2, positions=x0, seed=0)
    search.tell(search.ask(), [bowl(x) for x in x0])
    search.ask()
    assert search._search.progress.turn == "descent"


def test_a_population_is_proposed_at_once():
    # 3 to begin with
    assert [len(batch) for batch in rounds(bowl, 3, 15, max_evals=100, population=4)] == [
        3,
        4,
        4,
        4,
    ]


def test_a_search_goes_on_from_every_state_it_was_saved_in():
    def play(search, n):
        seen = []
        for _ in range(n):
            x = search.ask().numpy()
            seen.append(x.tolist())
            search.tell(x, [rugged(row) for row in x])
        return seen

    whole = play(pso.MemeticSwarm([BOX] * 2, seed=2, max_evals=60), 20)
    for cut in (0, 1, 3, 9, 10, 11, 14):
        first, second = (pso.MemeticSwarm([BOX] * 2, seed=s, max_evals=60) for s in (2, 7))
        before = play(first, cut)
        second.load_state_dict(first.state_dict())
        assert before + play(second, 20 - cut) == whole


def test_noise_is_noticed_after_the_model_too():
    errors = np.random.default_rng(3)
    search = pso.MemeticSwarm([BOX] * 3, seed=1, max_evals=120)
    for _ in range(30):
        x = search.ask()
        search.tell(x, [bowl(row) + errors.normal() for row in x.numpy()])
    assert search._search.noisy


def test_a_fixed_coordinate_is_no_parameter():
    found = pso.minimize(bowl, [BOX, (2.0, 2.0), BOX], max_evals=30, seed=0)
    assert found.x[1] == 2.0 and found.fun < 1.5


@pytest.mark.filterwarnings("error")
def test_workers_that_would_idle_are_warned_of():
    said = (
        r"3 workers, but the first 10 points are proposed one at a time, so 2 wait; "
        r"population=3 proposes 3"
    )
    for limit in ({"max_evals": 20}, {"max_evals": 100}, {"max_iter": 3}):
        with pytest.warns(UserWarning, match=said):
            pso.minimize(bowl, [BOX] * 2, seed=0, workers="threads:3", **limit)
    pso.minimize(bowl, [BOX] * 2, max_evals=101, seed=0, workers="threads:3")  # warnings are errors
    pso.minimize(bowl, [BOX] * 2, max_evals=20, seed=0, workers="threads:3", population=3)
    pso.minimize(bowl, [BOX] * 2, max_evals=20, seed=0, workers="threads:3", asynchronous=True)


def jagged(x) -> float:
    """A slope towards the wall with teeth: differences over 1e-3 of the range point the wrong way
    everywhere.
    """
    z = np.asarray(x) / 10
    return float((-z + 0.004 * np.mod(z / 0.0008, 1.0)).sum())


def turns(fun, dim: int, n: int) -> list[str]:
    search, seen = pso.MemeticSwarm([BOX] * dim, seed=0), []
    while len(seen) < n:
        x = search.ask().numpy()
        seen.append(search._search.progress.turn)
        search.tell(x, [fun(row) for row in x])
    return seen


def test_where_differences_are_no_slopes_the_model_proposes_as_many_points_again():
    seen = turns(jagged, 2, 40)
    check = seen.index("check")
    assert seen[check + 1 : check + 11] == ["model"] * 10 and seen[check + 11] == "descent"
    points = rounds(jagged, 2, 40)
    known = np.concatenate(points[: check + 11])
    best = known[np.argmin([jagged(10 * u - 5) for u in known])]
    # differences at the best point, no step of the former one
    assert np.abs(points[check + 11] - best).max() <= 1e-3
    assert pso.minimize(jagged, [BOX] * 2, max_evals=40, seed=0).fun < -0.98
    assert "check" not in turns(bowl, 2, 40)
