"""The default search with constraints where parameters are whole numbers, catalogues and labels."""

from __future__ import annotations

import math

import pytest

import pyswarmopt as pso

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
