"""Importance of each parameter, from a search's evaluated points."""

from __future__ import annotations

import numpy as np

from pyswarmopt.base.arrays import Floats

BINS = 10  # of each parameter
PRIOR = 1.0  # pseudo-evaluations without effect in each bin: the penalty of the ridge regression


def main_effects(x: Floats, values: Floats) -> Floats:
    """Shares of variance explained by single parameters, (D,), summing to 1.

    The first-order terms of a functional analysis of variance (Hooker 2007, J. Comput. Graph. Stat.
    16(3); Hutter, Hoos & Leyton-Brown 2014, ICML), from an additive model instead of a forest:
    ranks of the values are regressed on bins of all parameters at once, and a parameter's share is
    the variance of its bins' effects. Points in the same bins count once, by their mean, so that
    the many near the optimum do not hide the others. Interactions are ignored.

    Args:
        x: (n, D) points, each coordinate from 0 to 1; NaN where a parameter was inactive.
        values: (n,) finite.
    """
    bins = np.where(np.isnan(x), -1.0, np.minimum(x * BINS, BINS - 1)).astype(np.int64)
    cells, which = np.unique(bins, axis=0, return_inverse=True)
    means = np.bincount(which.ravel(), weights=values) / np.bincount(which.ravel())
    ranks = np.unique(means, return_inverse=True)[1].astype(np.float64)
    indicators = [column[:, None] == np.unique(np.maximum(column, 0)) for column in cells.T]
    design = np.concatenate(indicators, axis=1).astype(np.float64)
    design -= design.mean(axis=0)
    effects = np.linalg.solve(
        design.T @ design + PRIOR * np.eye(design.shape[1]), design.T @ (ranks - ranks.mean())
    )
    ends = np.cumsum([each.shape[1] for each in indicators])
    variances = np.array([part.var() for part in np.split(effects, ends[:-1])])
    return variances / (variances.sum() or 1.0)
