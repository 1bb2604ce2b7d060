"""Honest numbers: paired comparison on the same items, how far dev flatters, and how many items would tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import bootstrap_interval

RESAMPLES = 10_000
_EXACT = 16  # differences up to which all sign patterns are tried
LEVEL, POWER = 0.05, 0.8


@dataclass(frozen=True)
class Comparison:
    """Two models on the same items.

    Attributes:
        difference: mean of the first minus mean of the second.
        interval: 95% interval of the difference (BCa bootstrap over items).
        p_value: two-sided paired permutation test.
        n: items.
        gained: items on which the first is better.
        lost: items on which the second is better.
        items_needed: items at which a difference of this size would be found with probability `POWER` at level
            `LEVEL`; None where there is no difference.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    n: int
    gained: int
    lost: int
    items_needed: int | None


def compare_paired(ours: Sequence[float], theirs: Sequence[float]) -> Comparison:
    """Compare two models item by item.

    Raises:
        ValueError: no items, or unequal numbers.

    Example:
        >>> found = compare_paired([1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0, 0, 0])
        >>> found.difference, found.p_value, found.gained, found.lost
        (0.75, 0.03125, 6, 0)
    """
    if not ours or len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} items: give the same items of both, at least one")
    d = np.subtract(ours, theirs, dtype=np.float64)
    gained, lost = int(np.sum(d > 0)), int(np.sum(d < 0))
    return Comparison(
        float(d.mean()), bootstrap_interval(d), permutation_test(d), d.size, gained, lost, items_needed(d)
    )


def permutation_test(differences: Sequence[float] | np.ndarray) -> float:
    """Two-sided p value of the mean difference under random signs (Fisher 1935; Good 2005).

    If two models are equal, each item's difference may as well have the other sign. All sign patterns where at most
    16 differences are not 0, else 10,000 random ones with a fixed seed, the observed one counted among them.

    Example:
        >>> permutation_test([1.0, 1.0, 1.0, 1.0])   # 2 of 16 patterns are as extreme
        0.125
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[d != 0]
    if d.size == 0:
        return 1.0
    if d.size <= _EXACT:
        patterns = (np.arange(2**d.size)[:, None] >> np.arange(d.size)) & 1
        sums = np.abs((1 - 2 * patterns) @ d)
        return float(np.mean(sums >= abs(d.sum()) * (1 - 1e-12)))
    rng = np.random.default_rng(0)
    sums = np.array([abs(rng.choice((-1.0, 1.0), d.size) @ d) for _ in range(RESAMPLES)])
    return float((1 + np.sum(sums >= abs(d.sum()) * (1 - 1e-12))) / (1 + RESAMPLES))


def items_needed(differences: Sequence[float] | np.ndarray) -> int | None:
    """Items at which the mean of such differences would be told from 0.

    ``n = ((z_{1 - level/2} + z_power) s / d)^2`` with the mean d and standard deviation s of what was seen (the
    normal approximation of the paired test); None if d is 0 or there are fewer than two items.

    Example:
        >>> items_needed([1.0] * 10 + [0.0] * 90)     # d = .1, s = .3
        72
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.size < 2 or d.mean() == 0:
        return None
    z = stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER)
    return max(2, math.ceil((z * d.std(ddof=1) / d.mean()) ** 2))


def findings(scores: Mapping[tuple[str, str], Mapping[str, Score]]) -> dict[str, Any]:
    """What ``result.json`` says beside the scores.

    Args:
        scores: (contestant, split) -> task -> score, with the contestants ``best`` and ``best_single``.

    Returns:
        ``paired``: task -> split -> the fields of `Comparison` for best against best single expert; tasks whose
        scores have no items in common are left out. ``notes``: what a reader must know, in words.
    """
    paired: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    for split in ("dev", "test"):
        ours, theirs = scores.get(("best", split), {}), scores.get(("best_single", split), {})
        for name in ours:
            a, b = ours[name].per_item, theirs[name].per_item
            if len(a) == len(b) > 1:
                found = compare_paired(a, b)
                paired.setdefault(name, {})[split] = {**asdict(found), "interval": list(found.interval)}
    for name, splits in paired.items():
        notes += _notes(name if len(paired) > 1 else "", splits)
    return {"paired": paired, "notes": notes}


def _notes(name: str, found: Mapping[str, Any]) -> list[str]:
    """Warnings about one task."""
    lead, notes = f"{name}: " if name else "", []
    for split in ("dev", "test"):
        seen = found.get(split)
        if seen and seen["items_needed"] is not None and seen["items_needed"] > seen["n"]:
            notes.append(
                f"{lead}{split} is small for the difference seen ({seen['difference']:+.3f} on {seen['n']} items): "
                f"about {seen['items_needed']} items would show it with 80% power at the 5% level."
            )
    return notes


__all__ = ["Comparison", "compare_paired", "findings", "items_needed", "permutation_test"]
