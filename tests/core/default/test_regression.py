"""The quadratic model of a descent by regression, against scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import PolynomialFeatures

from pyswarmopt.default.regression import Quadratic, fit, unknowns

SEEDS = st.integers(0, 10**6)


def model_values(model: Quadratic, x: np.ndarray) -> np.ndarray:
    z = np.linalg.solve(model.axes, (x - model.centre).T).T
    return z @ model.gradient + 0.5 * np.einsum("ni,ij,nj->n", z, model.hessian, z)


@given(seed=SEEDS, dim=st.integers(1, 4))
def test_the_minimum_of_a_quadratic_is_found_whatever_its_axes_and_scales(seed, dim):
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.standard_normal((dim, dim)))[0]
    matrix = turn @ np.diag(10 ** random.uniform(-1.5, 1.5, dim)) @ turn.T
    optimum = random.uniform(-1, 1, dim)
    x = random.uniform(-2, 2, (3 * unknowns(dim), dim)) * 10 ** random.uniform(-3, 3)
    values = np.einsum("ni,ij,nj->n", x - optimum, matrix, x - optimum)
    model = fit(x, 7 + values)
    assert model is not None
    left = model.minimum(1e9) - optimum
    # the ridge is felt, though hardly
    assert left @ matrix @ left <= 1e-5 * (values.max() - values.min())


@given(seed=SEEDS)
def test_the_fit_is_the_weighted_regression_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.standard_normal((2, 2)))[0]
    x = random.standard_normal((20, 2)) * 10 ** random.uniform(-1, 1, 2) @ turn
    y = random.standard_normal(20)
    model = fit(x, y)
    order = np.argsort(y)
    assert np.array_equal(model.centre, x[order[0]])
    weights = np.linspace(1, 0.1, 20) ** 2  # ours multiply the residuals, theirs the squares
    terms = PolynomialFeatures(2)
    other = LinearRegression().fit(terms.fit_transform(x[order]), y[order], weights)
    probe = random.standard_normal((10, 2))
    expected = other.predict(terms.transform(probe))
    found = model_values(model, probe) * (y.max() - y.min())  # up to the constant
    np.testing.assert_allclose(
        found - found[0], expected - expected[0], rtol=1e-4, atol=1e-4 * np.abs(expected).max()
    )


@given(seed=SEEDS, dim=st.integers(1, 4), radius=st.floats(0.01, 10), flat=st.booleans())
def test_nothing_within_the_radius_is_lower_than_the_minimum(seed, dim, radius, flat):
    random = np.random.default_rng(seed)
    hessian = random.standard_normal((dim, dim)) * (not flat)
    model = Quadratic(
        centre=random.standard_normal(dim),
        axes=random.standard_normal((dim, dim)) + 3 * np.eye(dim),
        gradient=random.standard_normal(dim),
        hessian=hessian + hessian.T,
    )
    found = model.minimum(radius)
    z = np.linalg.solve(model.axes, found - model.centre)
    assert np.linalg.norm(z) <= radius * (1 + 1e-6)
    ball = random.standard_normal((20000, dim))
    ball *= (
        radius
        * random.uniform(0, 1, (20000, 1)) ** (1 / dim)
        / np.linalg.norm(ball, axis=1, keepdims=True)
    )
    ball[:10000] *= radius / np.linalg.norm(ball[:10000], axis=1, keepdims=True)
    best = model_values(model, model.centre + ball @ model.axes.T).min()
    assert model_values(model, found[None])[0] <= best + 1e-6 * (1 + abs(best))
