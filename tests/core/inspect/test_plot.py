"""Plots show the numbers they were given, whatever they came from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="plots need matplotlib (extra: toy)")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

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
    result = search()
    (line,) = pso.plot.convergence(result).lines
    assert line.get_xdata().tolist() == [r.evaluations for r in result.history]
    assert line.get_ydata().tolist() == [r.best for r in result.history]


def test_convergence_of_many_is_their_median_above_the_optimum() -> None:
    results = [search(seed=s) for s in range(7)]
    ax = pso.plot.convergence({"a": results, "b": search(seed=9)}, optimum=-1.0)
    table = np.array([[r.best + 1 for r in result.history] for result in results])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(table, axis=0))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert ax.get_yscale() == "log" and len(ax.collections) == 1


def test_all_sources_tell_the_same_story(tmp_path: Path) -> None:
    recipe = pso.recipes.constriction(population=6)
    steps = pso.record(ackley, recipe, 9, bounds=BOX, seed=3)
    result = pso.minimize(ackley, BOX, recipe, max_evals=60, seed=3, history="particles")
    rows = [
        {"phase": "confirm", "iteration": 0, "particle": 0, "coefficients": [0, 0], "value": 99.0}
    ]
    for s in steps:
        for i, (x, v) in enumerate(zip(s.x.tolist(), s.values, strict=True)):
            row = {"iteration": s.number, "particle": i, "coefficients": x, "value": -float(v)}
            rows.append({"phase": "search", **row})
    written = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "history.jsonl").write_text(written + '{"half')
    folder, searched = pso.plot.trace(tmp_path), pso.plot.trace(SimpleNamespace(run=tmp_path))
    of_steps, of_result = pso.plot.trace(steps), pso.plot.trace(result)
    assert (np.diff(of_result.rounds) >= 0).all()
    assert folder.maximize and not of_result.maximize
    for other, sign in ((of_steps, 1), (folder, -1), (searched, -1)):
        np.testing.assert_array_equal(sign * other.best, of_result.best)
        np.testing.assert_array_equal(other.evaluations, of_result.evaluations)
        np.testing.assert_array_equal(other.positions(), of_result.positions())
    centre = steps[4].x.mean(axis=0)
    expected = np.mean([math.dist(x, centre) for x in steps[4].x])
    assert pso.plot.diversity(result).lines[0].get_ydata()[4] == pytest.approx(expected)


def test_forces_lead_from_where_a_particle_was_to_where_it_went() -> None:
    free = pso.compose(
        [pso.inertia(0.7), pso.cognitive(1.5), pso.social(1.5)], boundary=pso.boundary.none
    )
    step = pso.record(pso.functions.sphere, free, 3, bounds=BOX, population=4, seed=1)[-1]
    ax = pso.plot.forces(step, particles=[2])
    tail = step.origin[2]
    for arrow, force in zip(ax.collections, step.forces.values(), strict=True):
        np.testing.assert_allclose(arrow.get_offsets(), [tail])
        tail = tail + force[2]
        np.testing.assert_allclose([arrow.U[0], arrow.V[0]], force[2])
    np.testing.assert_allclose(tail, step.x[2])
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [step.origin[2], step.x[2]])


def test_trajectories_of_many_dimensions_are_drawn_in_a_plane() -> None:
    result = search("particles", dim=5)
    ax = pso.plot.trajectory(result, particles=2)
    assert "principal component 1" in ax.get_xlabel()
    x = pso.plot.trace(result).positions()
    ways = [trail for trail in ax.collections if len(trail.get_segments()) == 9]
    for trail in ways:
        shades = trail.get_colors()[:, 3]
        assert (np.diff(shades) > 0).all() and shades[-1] == 1.0  # the oldest part is the faintest
    spread = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    assert f"{spread[0] / spread.sum():.0%}" in ax.get_xlabel() and len(ways) == 2


def test_a_trajectory_leads_through_the_positions_of_its_particle() -> None:
    result = search("particles")
    ax = pso.plot.trajectory(result, particles=3)
    trails = [trail for trail in ax.collections if len(trail.get_segments()) > 1]
    assert len(trails) == 3
    for i, trail in enumerate(trails):
        path = np.array([record.x for record in result.history if record.particle == i])
        np.testing.assert_array_equal(trail.get_segments(), np.stack([path[:-1], path[1:]], axis=1))


def run_of(folder: Path, names: list[str]) -> Path:
    """The folder of a run with as many coefficients as names."""
    mixtures = np.random.default_rng(1).normal(size=(6, len(names)))
    rows = [
        {"iteration": i // 2, "particle": i % 2, "coefficients": x.tolist(), "value": 0.1 * i}
        for i, x in enumerate(mixtures)
    ]
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    about = {"config": {"experts": [f"experts/{name}" for name in names]}}
    (folder / "run.json").write_text(json.dumps(about))
    return folder


def test_an_animation_has_a_frame_per_round_in_any_number_of_dimensions(tmp_path: Path) -> None:
    path = pso.plot.animate(search("particles", dim=5), tmp_path / "swarm.gif")
    assert pytest.importorskip("PIL.Image").open(path).n_frames == 10


def test_an_animation_of_a_run_names_the_base_and_every_expert(tmp_path: Path) -> None:
    names = [f"expert-{i}" for i in range(4)]
    run = run_of(tmp_path, names)
    named = pso.plot.trace(run).named
    assert list(named) == ["base", *names] and named["expert-2"].tolist() == [0, 0, 1, 0]
    assert pso.plot.animate(run, tmp_path / "run.gif").stat().st_size > 1000


def test_an_animation_writes_neither_over_a_file_nor_through_a_link(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gif"
    mine.write_bytes(b"mine")
    (tmp_path / "link.gif").symlink_to(mine)
    (tmp_path / "broken.gif").symlink_to(tmp_path / "absent.gif")
    for name in "mine.gif", "link.gif", "broken.gif":
        with pytest.raises(ValueError, match="exists"):
            pso.plot.animate(search("particles"), tmp_path / name)
    assert mine.read_bytes() == b"mine" and not (tmp_path / "absent.gif").exists()


SPACE = {"rate": pso.log(0.1, 1.0), "kind": ["a", "b"], "size": (1.0, 2.0)}


def test_parameters_are_drawn_by_name() -> None:
    result = pso.minimize(lambda rate, kind, size: rate * size, space=SPACE, max_evals=30, seed=0)
    ax = pso.plot.trajectory(result, parameters=("log(rate)", "kind"))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("log(rate)", "kind")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    with pytest.raises(ValueError, match="there is no speed"):
        pso.plot.trajectory(result, parameters=("speed", "kind"))


def test_a_front_is_drawn_over_the_evaluated_points() -> None:
    def fun(x):
        return [x[0] ** 2, (x[0] - 2) ** 2]

    result = pso.minimize_multi(fun, [(-9, 9)], max_evals=60, seed=1)
    evaluated, front = pso.plot.front(result, objectives=(1, 0)).lines
    np.testing.assert_array_equal(front.get_xydata(), result.fun[:, ::-1])
    assert len(evaluated.get_xdata()) == len(result.evaluated()[1])


def test_landscape_marks_the_optimum_and_takes_any_function() -> None:
    ax = pso.plot.landscape(pso.functions.beale, points=30)
    assert ax.lines[0].get_xydata().tolist() == [[3.0, 0.5]]
    assert not pso.plot.landscape(lambda x: x.sum(-1), BOX, points=10).lines


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda: pso.plot.diversity(search()), "history='particles'"),
        (lambda: pso.plot.convergence(3), "int cannot be plotted"),
        (lambda: pso.plot.convergence([]), "nothing to plot"),
        (lambda: pso.plot.convergence("nowhere"), "no history.jsonl"),
        (lambda: pso.plot.landscape(len), "needs bounds"),
        (lambda: pso.plot.landscape(len, [(0, 1)] * 3), "have 3"),
        (lambda: pso.plot.landscape(lambda x: x[0] ** 2, BOX, points=9), r"\(2,\) for .*many at"),
        (lambda: pso.plot.animate(search("particles", dim=3), "a.gif", ackley), "search has 3"),
        (
            lambda: pso.plot.forces(pso.record(ackley, pso.recipes.fips(), 0, bounds=BOX)[0]),
            "no forces",
        ),
        (
            lambda: pso.plot.forces(pso.record(ackley, pso.recipes.bare_bones(), 1, bounds=BOX)[1]),
            "no forces",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        draw()
    assert not plt.get_fignums()  # no empty picture in a notebook


DRAWINGS = {
    "convergence": lambda ax: pso.plot.convergence(search(), ax),
    "diversity": lambda ax: pso.plot.diversity(search("particles"), ax),
    "forces": lambda ax: pso.plot.forces(
        pso.record(ackley, pso.recipes.constriction(), 1, bounds=BOX, seed=1)[1], ax
    ),
    "landscape": lambda ax: pso.plot.landscape(ackley, BOX, ax, points=10),
    "trajectory": lambda ax: pso.plot.trajectory(search("particles"), ax),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_plot_makes_a_figure_of_pyplots_or_draws_on_the_axes_it_is_given(name: str) -> None:
    own = Figure().subplots()
    assert DRAWINGS[name](own) is own and not plt.get_fignums()
    ax = DRAWINGS[name](None)
    assert plt.get_fignums() == [ax.figure.number]  # what plt.show() and notebooks show


@pytest.mark.parametrize("n", [6, 9, 15, 30])
def test_median_interval_covers_at_least_95_percent_and_is_the_shortest(n: int) -> None:
    low, high = (float(side[0]) for side in median_interval(np.arange(1.0, n + 1)[:, None]))

    def coverage(k: int) -> float:  # of the k-th smallest and largest, by the binomial distribution
        return sum(math.comb(n, j) for j in range(k, n - k + 1)) / 2**n

    k = int(low)
    assert high == n + 1 - k
    assert coverage(k) >= 0.95 > coverage(k + 1)
