#!/usr/bin/env python3
"""Is the bias of one model lessened by a group? Classifiers of digits, each of which has seen too much
of some classes.

Ten members, logistic regressions, are each fitted on 300 of scikit-learn's digits (with noise), of
which 70% are of a member's own favourite class (`different`), or of the one favourite of all (`the
same`, the control: a bias that all share is not lessened). A group decides by `majority` and by the
mean of probabilities. Bias: how far the shares of the classes among its answers are from those of
the right answers (total variation), and the excess of the class that is most overstated. Groups of
1, 3, 5 and 10 members, each member in turn the first; 500 test digits, three draws.

    python research/benchmarks/groups/biased.py --outcomes research/evidence/biased.jsonl
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from by_seed import write_rows
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
CLASSES, MEMBERS, SEEN, FAVOURED, TEST = 10, 10, 300, 0.7, 500
SIZES = (1, 3, 5, 10)


def skewed(labels: Labels, favourite: int, rng: np.random.Generator) -> Labels:
    """Places of `SEEN` examples, `FAVOURED` of them of a favourite class, the others of the rest."""
    count = round(FAVOURED * SEEN)
    own = rng.choice(np.flatnonzero(labels == favourite), count, replace=True)
    rest = rng.choice(np.flatnonzero(labels != favourite), SEEN - count, replace=False)
    return np.concatenate([own, rest])


def shares(said: Labels) -> Array:
    """The share of each class."""
    return np.bincount(said, minlength=CLASSES) / len(said)


def total_variation(one: Array, other: Array) -> float:
    """Half the sum of absolute differences.

    Example:
        >>> total_variation(np.array([0.5, 0.5]), np.array([0.75, 0.25]))
        0.25
    """
    return float(np.abs(one - other).sum() / 2)


def decided(probabilities: Array, rule: str) -> Labels:
    """What members, (n, items, classes), decide by `majority`, ties to the first class, or by the
    `mean` of their probabilities.
    """
    if rule == "mean":
        return np.asarray(probabilities.mean(axis=0).argmax(axis=-1))
    ballots = np.eye(CLASSES)[probabilities.argmax(axis=-1)]
    return np.asarray(ballots.sum(axis=0).argmax(axis=-1))


def members(images: Array, labels: Labels, kind: str, rng: np.random.Generator) -> list[Any]:
    """Ten fitted members."""
    from sklearn.linear_model import LogisticRegression

    fitted, favourite = [], int(rng.integers(CLASSES))
    for k in range(MEMBERS):
        places = skewed(labels, k if kind == "different" else favourite, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted.append(LogisticRegression(max_iter=200).fit(images[places], labels[places]))
    return fitted


def rows(seed: int) -> Iterator[dict[str, Any]]:
    """A line for each kind of bias, size of a group and rule."""
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(labels))
    images, labels = images[order] / 16 + rng.normal(0, 0.25, images.shape), labels[order]
    train, test = slice(TEST, None), slice(0, TEST)
    true = shares(labels[test])
    for kind in ("different", "the same"):
        fitted = members(images[train], labels[train], kind, rng)
        on_test = np.array([member.predict_proba(images[test]) for member in fitted])
        for size, rule in itertools.product(SIZES, ("majority", "mean")):
            # all members count alike: of one member, each in turn
            starts = range(MEMBERS) if size < MEMBERS else (0,)
            groups = [[(start + i) % MEMBERS for i in range(size)] for start in starts]
            told: list[Mapping[str, Any]] = []
            for group in groups:
                said = decided(on_test[group], rule)
                named = shares(said)
                told.append(
                    {
                        "right": said == labels[test],
                        "bias": total_variation(named, true),
                        "excess": float((named - true).max()),
                    }
                )
            means = {key: float(np.mean([row[key] for row in told])) for key in told[0]}
            first = "".join(map(str, told[0]["right"].astype(int)))
            row = {"method": rule, "task": kind, "members": size, "seed": seed}
            yield row | means | {"test": first}


if __name__ == "__main__":
    write_rows(__doc__, rows, lambda row: {key: row[key] for key in row if key != "test"})
