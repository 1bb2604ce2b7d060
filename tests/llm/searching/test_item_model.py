"""The model of the items: against scikit-learn, a literal transcription, integrals, and its own
promises.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.gaussian_process.kernels import Matern

from pyswarmopt_llm.searching.surrogate.gaussian_process import ItemModel, Kernel, Posterior

WIGGLY, SMOOTH = Kernel(0.4, 1e-4), Kernel(2.0, 1e-2)


def positions(n: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(dim), n)


def covariance(kernel: Kernel, x: np.ndarray) -> np.ndarray:
    return Matern(kernel.length, nu=2.5)(x) + kernel.noise * np.eye(len(x))


def literal(kernel: Kernel, x: np.ndarray, y: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """P(margin > 0) and its mean at `new` by ordinary kriging as one bordered system, and Student's
    t.
    """
    n = len(x)
    bordered = np.block(
        [[covariance(kernel, x), np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]]
    )
    k = np.append(Matern(kernel.length, nu=2.5)(x, new[None])[:, 0], 1.0)
    weights = np.linalg.solve(bordered, k)
    mean = weights[:n] @ y
    share = 1 + kernel.noise - weights @ k
    inverse = np.linalg.inv(covariance(kernel, x))
    level = inverse.sum(0) @ y / inverse.sum()
    variance = (y - level) @ inverse @ (y - level) / (n - 1)
    return float(stats.t.sf(0, n - 1, loc=mean, scale=math.sqrt(share * variance))), float(mean)


@pytest.mark.parametrize("kernel", [WIGGLY, SMOOTH])
def test_correlations_are_those_of_scikit_learn(kernel: Kernel) -> None:
    x, new = positions(7, 3, 0), positions(4, 3, 1)
    np.testing.assert_allclose(kernel(x, new), Matern(kernel.length, nu=2.5)(x, new), rtol=1e-12)


@given(
    st.integers(2, 9), st.integers(1, 4), st.integers(0, 10**6), st.sampled_from([WIGGLY, SMOOTH])
)
def test_probabilities_are_those_of_the_literal_formulas_item_by_item(
    n: int, dim: int, seed: int, kernel: Kernel
) -> None:
    """Whatever items were not asked of whom, and however many rivals they have."""
    rng = np.random.default_rng(seed)
    x, new = positions(n, dim + 1, seed), positions(3, dim + 1, seed + 1)
    margins = rng.normal(size=(n, 4, 3)) + rng.normal(size=(4, 3))
    margins[rng.random((n, 4)) < 0.4] = math.nan  # not asked
    margins[:, 1, 2] = margins[:, 2, 1:] = math.nan  # fewer options
    model = ItemModel(x, margins, kernel)
    found, means = model.right(new), model.margins(new)
    for m, i in itertools.product(range(3), range(4)):
        asked = ~np.isnan(margins[:, i, 0])
        rivals = [r for r in range(3) if not np.isnan(margins[asked][:, i, r]).any()]
        if asked.sum() < 2:
            assert found[m, i] == 0.5 and math.isnan(means[m, i])
            continue
        each = [literal(kernel, x[asked], margins[asked, i, r], new[m]) for r in rivals]
        assert math.isclose(found[m, i], min(p for p, _ in each), rel_tol=1e-5, abs_tol=1e-7)
        assert math.isclose(means[m, i], min(mean for _, mean in each), rel_tol=1e-5, abs_tol=1e-7)


def test_the_evidence_is_the_likelihood_integrated_over_means_and_scales() -> None:
    x, y = positions(4, 2, 3), np.array([0.3, -0.2, 0.6, 0.1])
    # means in units of the scale
    steps, scales = np.linspace(-30, 30, 1201), np.exp(np.linspace(-5, 6, 441))

    def integrated(kernel: Kernel) -> float:
        k = covariance(kernel, x)
        off = y - scales[:, None, None] * steps[:, None]
        density = np.exp(
            -0.5 * np.einsum("smi,ij,smj->sm", off, np.linalg.inv(k), off) / scales[:, None] ** 2
        )
        density *= scales[:, None] ** -4 * np.linalg.det(k) ** -0.5  # of four margins
        over_means = integrate.simpson(density, x=steps) * scales
        return float(np.log(integrate.simpson(over_means, x=np.log(scales))))

    def ours(kernel: Kernel) -> float:
        return Posterior.of(covariance(kernel, x), np.array([0]), np.arange(4), y[:, None]).evidence

    one, other = Kernel(0.5, 1e-2), Kernel(1.5, 1e-1)
    assert math.isclose(ours(one) - ours(other), integrated(one) - integrated(other), abs_tol=1e-3)


def drawn(kernel: Kernel, x: np.ndarray, items: int, seed: int) -> np.ndarray:
    """(N, I, 1) margins drawn from the model itself, each with a mean and a scale of its own."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(covariance(kernel, x))
    return (
        rng.normal(size=items) + rng.gamma(2, 1, items) * (root @ rng.normal(size=(len(x), items)))
    )[..., None]


def test_the_length_is_found_and_probabilities_mean_what_they_say() -> None:
    true = Kernel(0.8, 1e-4)
    x = positions(45, 4, 5)
    margins = drawn(true, x, 600, 6)
    model = ItemModel(x[:25], margins[:25])
    assert true.length / 2 < model.kernel.length < 2 * true.length and model.kernel.noise < 1e-2
    p, right = model.right(x[25:]).ravel(), (margins[25:] > 0).ravel()
    for low, high in itertools.pairwise([0, 0.02, 0.1, 0.3, 0.7, 0.9, 0.98, 1]):
        inside = (p >= low) & (p < high)
        assert inside.sum() > 200 and abs(right[inside].mean() - p[inside].mean()) < 0.05
    assert np.mean((p < 0.05) | (p > 0.95)) > 0.5  # and they say something


def test_what_was_asked_is_known_and_what_never_changed_does_not_divide_by_zero() -> None:
    x = positions(8, 3, 7)
    margins = np.concatenate(
        [drawn(SMOOTH, x, 5, 8), np.full((8, 1, 1), 0.25), np.full((8, 1, 1), math.nan)], axis=1
    )
    found = ItemModel(x, margins, Kernel(2.0, 1e-6)).right(x)
    np.testing.assert_array_equal(found[:, :5] > 0.5, margins[:, :5, 0] > 0)
    assert (found[:, 5] > 0.999).all() and (found[:, 6] == 0.5).all()


@pytest.mark.parametrize(
    ("x", "y"),
    [((3,), (3, 2, 1)), ((3, 2), (3, 2)), ((3, 2), (4, 2, 1))],
    ids=["positions", "margins", "lengths"],
)
def test_shapes_that_do_not_fit_are_refused(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"give \(N, D\) and \(N, I, R\)"):
        ItemModel(np.zeros(x), np.zeros(y))
    with pytest.raises(ValueError, match="finite"):
        ItemModel(np.zeros((2, 1)), np.full((2, 1, 1), math.inf))
