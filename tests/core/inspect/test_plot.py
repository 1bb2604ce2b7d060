"""Plots show the numbers they were given, whatever they came from."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="plots need matplotlib (extra: toy)")

import matplotlib.pyplot as plt

import pyswarmopt as pso
from pyswarmopt.inspect.plot.curves import median_interval

BOX = [(-5.0, 5.0)] * 2
ackley = pso.functions.ackley


@pytest.fixture(autouse=True)
def figures():
    """No figure is open before a test or after it, and none needs a screen."""
    plt.switch_backend("agg")
    plt.close("all")
    yield
    plt.close("all")


def search(history: str = "iteration", seed: int = 0, dim: int = 2) -> pso.Result:
    box, recipe = [(-5, 5)] * dim, pso.recipes.constriction(population=6)
    return pso.minimize(ackley, box, recipe, max_evals=60, seed=seed, history=history)


def test_convergence_draws_the_history() -> None:
    runs = [pso.minimize(ackley, BOX, "fips", n, max_evals=36, seed=0) for n in (4, 9)]
    one, several = pso.plot.convergence({"one": runs[0], "several": runs}).lines
    assert one.get_xydata().tolist() == [[r.evaluations, r.best] for r in runs[0].history]
    after_16_and_18 = runs[0].history[3].best, runs[1].history[1].best
    assert [18, sum(after_16_and_18) / 2] in several.get_xydata().tolist()


def test_all_sources_tell_the_same_story() -> None:
    recipe = pso.recipes.constriction(population=6)
    steps = pso.record(ackley, recipe, 9, bounds=BOX, seed=3)
    result = pso.minimize(ackley, BOX, recipe, max_evals=60, seed=3, history="particles")
    of_steps, of_result = pso.plot.trace(steps), pso.plot.trace(result)
    assert (np.diff(of_result.rounds) >= 0).all()
    np.testing.assert_array_equal(of_steps.best, of_result.best)
    np.testing.assert_array_equal(of_steps.evaluations, of_result.evaluations)
    np.testing.assert_array_equal(of_steps.positions(), of_result.positions())
    centre = steps[4].x.mean(axis=0)
    expected = np.mean([math.dist(x, centre) for x in steps[4].x])
    assert pso.plot.diversity(result).lines[0].get_ydata()[4] == pytest.approx(expected)


def test_an_animation_has_a_frame_per_round_in_any_number_of_dimensions(tmp_path: Path) -> None:
    path = pso.plot.animate(search("particles", dim=5), tmp_path / "swarm.gif")
    assert pytest.importorskip("PIL.Image").open(path).n_frames == 10


def test_an_animation_writes_neither_over_a_file_nor_through_a_link(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gif"
    mine.write_bytes(b"mine")
    (tmp_path / "link.gif").symlink_to(mine)
    (tmp_path / "broken.gif").symlink_to(tmp_path / "absent.gif")
    for name in "mine.gif", "link.gif", "broken.gif":
        with pytest.raises(ValueError, match="exists"):
            pso.plot.animate(search("particles"), tmp_path / name)
    assert mine.read_bytes() == b"mine" and not (tmp_path / "absent.gif").exists()


def test_a_front_is_drawn_over_the_evaluated_points() -> None:
    def fun(x):
        return [x[0] ** 2, (x[0] - 2) ** 2]

    result = pso.minimize_multi(fun, [(-9, 9)], max_evals=60, seed=1)
    evaluated, front = pso.plot.front(result).lines
    np.testing.assert_array_equal(front.get_xydata(), result.fun)
    assert len(evaluated.get_xdata()) == len(result.evaluated()[1])


def test_a_logarithmic_coordinate_is_named_so() -> None:
    space = {"rate": pso.log(0.1, 1.0), "size": (1.0, 2.0)}
    options = {"max_evals": 30, "seed": 0, "history": "particles"}
    result = pso.minimize(lambda rate, size: rate * size, space=space, **options)
    ax = pso.plot.trajectory(result)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("log(rate)", "size")


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be plotted"):
        pso.plot.convergence([])
    result = pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, max_evals=20, seed=0)
    for draw, why in ((pso.plot.front, "minimize_multi"), (pso.plot.forces, "pso.record")):
        with pytest.raises(ValueError, match=why):
            draw(result)


def test_landscape_marks_the_optimum_and_takes_any_function() -> None:
    ax = pso.plot.landscape(pso.functions.himmelblau, points=30)
    assert ax.lines[0].get_xydata().tolist() == [[3.0, 2.0]]
    assert not pso.plot.landscape(lambda x: x.sum(-1), BOX, points=10).lines


@pytest.mark.parametrize("n", [6, 9, 15, 30])
def test_median_interval_covers_at_least_95_percent_and_is_the_shortest(n: int) -> None:
    low, high = (float(side[0]) for side in median_interval(np.arange(1.0, n + 1)[:, None]))

    def coverage(k: int) -> float:  # of the k-th smallest and largest, by the binomial distribution
        return sum(math.comb(n, j) for j in range(k, n - k + 1)) / 2**n

    k = int(low)
    assert high == n + 1 - k
    assert coverage(k) >= 0.95 > coverage(k + 1)
