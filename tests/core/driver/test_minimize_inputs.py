"""What goes into a search: integers, categories, starts from other runs; and the wrapped test
functions.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.driver.options import Options
from pyswarmopt.driver.problem.encoding import make_coding
from pyswarmopt.teaching.functions.wrappers import rotated, shifted

# --- the signatures ---


@pytest.mark.parametrize("search", [pso.minimize, pso.maximize])
def test_the_signature_shows_every_argument_and_its_default(search):
    shown = {p.name: p.default for p in inspect.signature(search).parameters.values()}
    assert shown.pop("fun") is inspect.Parameter.empty
    own = {"fun", "objectives"}  # how many numbers fun returns is set by minimize_multi alone
    assert shown == {f.name: f.default for f in fields(Options) if f.name not in own}


# --- integers and categories ---


@given(data=st.data(), dim=st.integers(1, 6), n=st.integers(1, 4), seed=st.integers(0, 999))
def test_points_survive_the_coding(data, dim, n, seed):
    kinds = data.draw(
        st.lists(st.sampled_from(["real", "integer", "category"]), min_size=dim, max_size=dim)
    )
    random = np.random.default_rng(seed)
    low = random.uniform(-4, 4, dim)
    high = low + random.uniform(1, 5, dim)
    coding = make_coding(
        (low, high), [k == "integer" for k in kinds], [k == "category" for k in kinds]
    )
    x = random.uniform(low, high, (n, dim))
    for i, kind in enumerate(kinds):
        if kind != "real":
            x[:, i] = random.integers(math.ceil(low[i]), math.floor(high[i]), n, endpoint=True)
    assert np.array_equal(coding.decode(coding.encode(x)), x)
    inner_low, inner_high = coding.bounds()
    anywhere = coding.decode(random.uniform(inner_low, inner_high, (50, coding.size)))
    assert ((anywhere >= low) & (anywhere <= high)).all()
    whole = anywhere[:, [k != "real" for k in kinds]]
    assert np.array_equal(whole, np.rint(whole))


# --- starts ---


def test_a_start_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\), but x0.* 2"):
        pso.minimize(sum, [(-5, 5)] * 3, x0=[1, 2])


# --- wrapped functions ---


@given(seed=st.integers(0, 99), dim=st.integers(2, 8))
def test_a_rotation_keeps_distances_to_the_optimum(seed, dim):
    random = np.random.default_rng(seed)
    points = random.uniform(-3, 3, (4, dim))
    turned = rotated(pso.functions.sphere, seed)
    assert np.allclose(turned(points), (points**2).sum(1))
    ellipse, plain = rotated(pso.functions.ellipsoid, seed), pso.functions.ellipsoid
    assert not np.allclose(ellipse(points), plain(points))
    for f in (
        rotated(pso.functions.rosenbrock, seed),
        rotated(shifted(plain, np.arange(dim)), seed),
    ):
        assert f(f.optimum(dim)) == pytest.approx(f.optimal_value(dim), abs=1e-9)
        assert (f(points) >= f.optimal_value(dim)).all()
    assert np.allclose(ellipse(torch.tensor(points)).numpy(), ellipse(points))


# --- hostile arguments ---
