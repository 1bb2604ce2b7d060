"""Ordinary kriging as one bordered system (Santner et al. 2003), for models of candidates."""

from __future__ import annotations

import math

import numpy as np
from sklearn.gaussian_process.kernels import Matern

from pyswarmopt_llm.common.gaussian import Kernel


def covariance(kernel: Kernel, x: np.ndarray) -> np.ndarray:
    return Matern(kernel.length, nu=2.5)(x) + kernel.noise * np.eye(len(x))


def kriged(
    kernel: Kernel, x: np.ndarray, y: np.ndarray, new: np.ndarray, noise: float = 0.0
) -> tuple[float, float]:
    """Mean at `new`, and the standard error of a value with that noise there."""
    n = len(x)
    ones = np.ones((n, 1))
    bordered = np.block([[covariance(kernel, x), ones], [ones.T, np.zeros((1, 1))]])
    k = np.append(Matern(kernel.length, nu=2.5)(x, new[None])[:, 0], 1.0)
    weights = np.linalg.solve(bordered, k)
    inverse = np.linalg.inv(covariance(kernel, x))
    level = inverse.sum(0) @ y / inverse.sum()
    variance = (y - level) @ inverse @ (y - level) / (n - 1)
    error = math.sqrt(max((1 + noise - weights @ k) * variance, 0.0))
    return float(weights[:n] @ y), error
