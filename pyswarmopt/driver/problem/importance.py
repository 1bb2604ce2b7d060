"""Importance of each parameter, from a search's evaluated points."""

from __future__ import annotations

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats

BINS = 10  # bins of a real parameter, and of an integer with more values
PRIOR = 1.0  # pseudo-evaluations without effect in each bin: the penalty of the ridge regression


def main_effects(x: Floats, values: Floats, low: Floats, high: Floats, whole: Bools) -> Floats:
    """Shares of variance explained by single parameters, (D,), summing to 1.

    The first-order terms of a functional analysis of variance (Hooker 2007, J. Comput. Graph. Stat.
    16(3); Hutter, Hoos & Leyton-Brown 2014, ICML), from an additive model instead of a forest:
    ranks of the values are regressed on bins of all parameters at once, and a parameter's share is
    the variance of its bins' effects over its whole range. Ranks make it independent of the values'
    scale. Points in the same bins count once, by their mean, so that the many near the optimum do
    not hide the others. Interactions between parameters are ignored.

    Args:
        x: (n, D) points; NaN where a parameter was inactive.
        values: (n,) finite.
        low: (D,) smallest values of the parameters.
        high: (D,) largest values.
        whole: (D,) mask of integers and choices.
    """
    counts = np.where(whole & (high - low < BINS), high - low + 1, BINS).astype(np.int64)
    width = np.where(high > low, (high + whole - low) / counts, 1.0)
    bins = np.where(np.isnan(x), -1, np.clip((x - low) // width, 0, counts - 1)).astype(np.int64)
    cells, which = np.unique(bins, axis=0, return_inverse=True)
    means = np.bincount(which.ravel(), weights=values) / np.bincount(which.ravel())
    ranks = np.unique(means, return_inverse=True)[1].astype(np.float64)
    indicators = [cells[:, [i]] == np.arange(count) for i, count in enumerate(counts.tolist())]
    design = np.concatenate(indicators, axis=1).astype(np.float64)
    design -= design.mean(axis=0)
    effects = np.linalg.solve(
        design.T @ design + PRIOR * np.eye(design.shape[1]), design.T @ (ranks - ranks.mean())
    )
    variances = np.array([part.var() for part in np.split(effects, np.cumsum(counts)[:-1])])
    return variances / (variances.sum() or 1.0)
