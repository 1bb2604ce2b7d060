"""The default search with constraints where parameters are whole numbers, catalogues and labels."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt.hybrid.constrained_proposals import ConstrainedProposals
from pyswarmopt.hybrid.kinds import Kinds

BARS = [2.0, 2.4, 2.8, 3.1, 3.5, 4.0, 4.4, 5.0, 5.5, 6.0, 6.6, 7.1, 8.0]
BEAM = {
    "steel": pso.ordered(BARS),
    "depth": pso.integer(28, 40),
    "width": (5.0, 10.0),
    "mix": ["a", "b"],
}


def price(steel, depth, width, mix):
    """Amir & Hasegawa 1989, with a dearer and stronger mix beside."""
    return 29.4 * steel + (0.6 if mix == "a" else 0.7) * depth * width


def moment(steel, depth, width, mix):
    return 1 - (steel * depth - 7.375 * steel**2 / width * (1.0 if mix == "a" else 0.8)) / 180


def slender(depth, width):
    return depth / width - 4


def best_price():
    """By trying every bar, depth and mix; the least width of each follows from the constraints."""
    found = math.inf
    for steel in BARS:
        for depth in range(28, 41):
            for mix, share in (("a", 1.0), ("b", 0.8)):
                room = steel * depth - 180
                if room <= 0:
                    continue
                width = max(depth / 4, 7.375 * steel**2 * share / room, 5.0)
                if width <= 10:
                    found = min(found, price(steel, depth, width, mix))
    return found


def test_choices_catalogue_and_numbers_reach_the_optimum_that_trying_all_finds():
    r = pso.minimize(price, space=BEAM, constraints=[moment, slender], max_evals=60, seed=0)
    assert r.feasible
    assert r.fun == pytest.approx(best_price(), rel=0.01)


def test_costs_propose_nothing_before_a_point_is_allowed():
    """Schonlau, Welch & Jones 1998: until then only the probability of being allowed counts."""
    points = np.linspace(0, 1, 6)[:, None]
    broken = 1 + (points[:, 0] - 0.3) ** 2
    proposed = []
    for costs in (points[:, 0], -(points[:, 0] ** 2)):
        model = ConstrainedProposals(Kinds.real(1), last=99)
        model.take_in_rows(points, np.column_stack([costs, broken]))
        proposed.append(model.propose(np.random.default_rng(0)).tolist())
    assert proposed[0] == proposed[1]


def test_the_last_tenth_of_the_calls_is_for_feasibility():
    """Far from the optimum of the cost a small corner is allowed, which has no slope to it."""

    def cost(x):
        return -1e3 * float(x.sum())

    def outside(x):
        return float(np.abs(x - 0.2).max()) - 0.02

    box = [(0.0, 1.0)] * 8
    seen = []
    r = pso.minimize(
        lambda x: (seen.append(outside(x)), cost(x))[1],
        box,
        constraints=outside,
        max_evals=200,
        seed=0,
    )
    early = min(seen[:180])
    assert r.feasible or min(seen[180:]) < early


def test_a_saved_search_goes_on_as_if_nothing_had_happened(tmp_path):
    options = {"space": BEAM, "constraints": [moment, slender], "seed": 1, "max_evals": 30}
    whole = pso.minimize(price, **options)
    path = tmp_path / "c.npz"
    pso.minimize(price, **options, checkpoint=path, callback=lambda r: r.nfev >= 17)
    resumed = pso.minimize(price, **options, checkpoint=path)
    assert (resumed.fun, resumed.x.tolist(), resumed.nfev) == (
        whole.fun,
        whole.x.tolist(),
        whole.nfev,
    )


def test_calls_that_fail_are_avoided():
    """One mix cannot be meshed: nothing is known of its constraints."""

    def fun(steel, depth, width, mix):
        if mix == "b":
            raise RuntimeError("no mesh")
        p = {"steel": steel, "depth": depth, "width": width}
        return price(**p, mix="a"), [moment(**p, mix="a"), slender(depth, width)]

    r = pso.minimize(
        fun, space=BEAM, constraints="returned", max_evals=40, seed=0, on_error="worst"
    )
    assert r.params["mix"] == "a"
    assert r.feasible
    assert sum(r.failures.values()) < 20


def test_labels_alone_with_a_constraint():
    """Six positions of four labels: the least price that is strong enough, by trying all."""
    parts = {"wood": (1.0, 1.0), "steel": (4.0, 5.0), "glass": (3.0, 2.0), "carbon": (9.0, 8.0)}
    names = [f"p{i}" for i in range(4)]

    def cost(**chosen):
        return sum(parts[label][0] * (i + 1) for i, label in enumerate(chosen.values()))

    def weak(**chosen):
        return 17.0 - sum(parts[label][1] for label in chosen.values())

    every = [dict(zip(names, labels, strict=True)) for labels in product(parts, repeat=4)]
    best = min(cost(**p) for p in every if weak(**p) <= 0)
    space = {name: list(parts) for name in names}
    r = pso.minimize(cost, space=space, constraints=weak, max_evals=60, seed=0)
    assert (r.algorithm, r.feasible) == ("default", True)
    assert r.fun <= best + 2


def test_several_points_at_a_time_are_different():
    batches = []

    def note(r):
        batches.append(r.nfev)

    r = pso.minimize(
        price,
        space=BEAM,
        constraints=[moment, slender],
        max_evals=40,
        seed=0,
        population=4,
        callback=note,
    )
    points = {tuple(params.values()) for params in r.evaluated()[0]}
    assert max(np.diff(batches)) >= 3
    assert r.feasible
    assert len(points) > 20
