"""Velocity rules: from a `Snapshot` of the swarm to the velocities of the next move.

Most are a `SumOfTerms`: the sum over terms of ``r * weight * direction``. A direction is a pure
function of a `Snapshot` that uses only array operators, so it works on arrays and on tensors.
Elementwise ones, like all in this file, also work on a part of the swarm. A new term takes a few
lines:

    >>> def centre(weight):
    ...     return Term("centre", weight, lambda s: s.p.mean(0) - s.x)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from pyswarmopt.base.arrays import Array, Ints, like
from pyswarmopt.base.inputs import require_callable, require_shape
from pyswarmopt.base.random import FULL_SCALE, sixteen_bits
from pyswarmopt.parts.schedule import Schedule, as_schedule, planned

Randomness = Literal["none", "scalar", "element"]
Scope = Literal["element", "column", "all"]


class Snapshot(NamedTuple):
    """The swarm at the end of the previous iteration, in the usual notation of PSO.

    Attributes:
        x: positions, (N, D).
        v: velocities, (N, D).
        p: personal bests, (N, D).
        g: best position of each particle's neighbourhood, (N, D) or (1, D).
        w: worst point so far, (1, D).
        fx: values at x, (N,) float64; lower is better (negated if the swarm maximises); NaN if
            missing.
        fp: values at p, (N,) float64, likewise; infinite before any finite one.
        move: the iteration, from 0.
        links: neighbours of each particle in a lattice (see `pyswarmopt.topology.Lattice`), (N, k)
            int64; None in another topology.

    Swarms set all of them. The last four may be omitted in a snapshot made by hand.

    Example:
        >>> x = np.zeros((2, 1))
        >>> s = Snapshot(x=x, v=x, p=x, g=np.ones((1, 1)), w=np.zeros((1, 1)))
        >>> to_known_best(s).tolist()
        [[1.0], [1.0]]
    """

    x: Any
    v: Any
    p: Any
    g: Any
    w: Any
    fx: Any = None
    fp: Any = None
    move: int = 0
    links: Ints | None = None


# (snapshot, iteration from 0, generator) -> the next velocities, (N, D)
VelocityRule = Callable[[Snapshot, int, np.random.Generator], Array]


@dataclass(frozen=True)
class Term:
    """One term of the velocity.

    Attributes:
        name: name in reports.
        weight: its coefficient, a number or a schedule.
        direction: from a `Snapshot` to an (N, D) array.
        random: the factor r ~ U(0, 1): one per particle ("scalar"), one per particle and coordinate
            ("element"), or always 1 ("none").
        looks_at: what a particle's direction in a coordinate depends on: the same particle and
            coordinate ("element"), also other particles ("column"), or anything ("all"). A sum of
            terms without "all" is evaluated block by block, on NumPy arrays, so that a large swarm
            moves without temporaries of its size.

    Raises:
        ValueError: an unknown `random` or `looks_at`, or a weight that is not finite.
        TypeError: a direction that is not a function, or a weight that is neither a number nor a
            schedule.

    Example:
        >>> Term("centre", 0.1, lambda s: s.p.mean(0) - s.x).random
        'scalar'
    """

    name: str
    weight: float | Schedule
    direction: Callable[[Snapshot], Any]
    random: Randomness = "scalar"
    looks_at: Scope = "all"

    def __post_init__(self) -> None:
        require_callable(f"the direction of term {self.name!r}", self.direction)
        as_schedule(self.weight)
        for field, allowed in (("random", get_args(Randomness)), ("looks_at", get_args(Scope))):
            value = getattr(self, field)
            if value not in allowed:
                raise ValueError(
                    f"term {self.name!r}: {field} must be one of {', '.join(allowed)}, got {value!r}"
                )


def along(s: Snapshot) -> Any:
    """v."""
    return s.v


def to_own_best(s: Snapshot) -> Any:
    """p - x."""
    return s.p - s.x


def to_known_best(s: Snapshot) -> Any:
    """g - x."""
    return s.g - s.x


def from_worst(s: Snapshot) -> Any:
    """x - w."""
    return s.x - s.w


def inertia(weight: float | Schedule, random: Randomness = "none") -> Term:
    """Keep the current velocity: v.

    Args:
        weight: the coefficient, a number or a schedule.
        random: the factor r ~ U(0, 1); see `Term`.

    Returns:
        The term.

    Example:
        >>> inertia(0.5).name
        'inertia'
    """
    return Term("inertia", weight, along, random, looks_at="element")


def cognitive(weight: float | Schedule, random: Randomness = "element") -> Term:
    """Pull towards the personal best: p - x.

    Args:
        weight: the coefficient, a number or a schedule.
        random: the factor r ~ U(0, 1): by default one per particle and coordinate, as in Kennedy &
            Eberhart 1995; Model Swarms has one per particle ("scalar"). See `Term`.

    Returns:
        The term.

    Example:
        >>> cognitive(0.5).random
        'element'
    """
    return Term("cognitive", weight, to_own_best, random, looks_at="element")


def social(weight: float | Schedule, random: Randomness = "element") -> Term:
    """Pull towards the best of the neighbourhood: g - x.

    Args:
        weight: the coefficient, a number or a schedule.
        random: the factor r ~ U(0, 1): by default one per particle and coordinate, as in Kennedy &
            Eberhart 1995; Model Swarms has one per particle ("scalar"). See `Term`.

    Returns:
        The term.

    Example:
        >>> social(0.5).random
        'element'
    """
    return Term("social", weight, to_known_best, random, looks_at="element")


def repel(weight: float | Schedule, random: Randomness = "scalar") -> Term:
    """Push away from the worst point seen: x - w (Feng et al. 2024, Algorithm 1).

    Args:
        weight: the coefficient, a number or a schedule.
        random: the factor r ~ U(0, 1); see `Term`.

    Returns:
        The term.

    Example:
        >>> repel(0.5).name
        'repel'
    """
    return Term("repel", weight, from_worst, random, looks_at="element")


@dataclass(frozen=True)
class SumOfTerms:
    """The velocity as a sum over terms of ``r * weight * direction``, optionally divided by C, the
    sum of r * weight.

    The factors r ~ U(0, 1) per particle are float64 numbers from the swarm's generator, (N, scalar
    terms) for each move, in the order of the terms, whatever D and dtype: a swarm on n coefficients
    and one on a million weights use the same random numbers. Factors per coordinate, drawn after
    them, have 16 bits.

    Attributes:
        terms: the terms, in the order of their random draws.
        normalise: whether to divide by C, the sum of r * weight drawn for the particle (Feng et al.
            2024, Algorithm 1).
        limit: V_max > 0, at which each coordinate of the velocity is clamped (Eberhart & Shi 2000),
            in the units of x; None: no clamp.

    Raises:
        ValueError: there are no terms, or the limit is not positive.
        TypeError: a term is something else, such as a plain function.

    Example:
        >>> rule = SumOfTerms((inertia(0.7), cognitive(1.5, "scalar"), social(1.5)))
        >>> rule.per_particle, rule.per_coordinate, rule.looks_at
        ([1], [2], 'element')
    """

    terms: tuple[Term, ...]
    normalise: bool = False
    limit: float | None = None

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("pass at least one velocity term")
        for number, term in enumerate(self.terms):
            if not isinstance(term, Term):
                raise TypeError(
                    f"terms[{number}] must be a Term, got {type(term).__name__}; wrap a function "
                    'as pso.Term("mine", 0.5, function)'
                )
        if self.limit is not None and not self.limit > 0:
            raise ValueError(f"max_velocity must be positive, got {self.limit}")

    def __str__(self) -> str:
        """The terms' weights, names and random factors, and the treatment of their sum.

        Example:
            >>> print(SumOfTerms((inertia(0.7), social(1.5)), limit=2.0))
            0.7 inertia (none) + 1.5 social (element), at most 2.0
        """
        weights = [getattr(term.weight, "__name__", term.weight) for term in self.terms]
        named = zip(weights, self.terms, strict=True)
        text = " + ".join(f"{weight} {term.name} ({term.random})" for weight, term in named)
        if self.normalise:
            text += ", normalised"
        if self.limit is None:
            return text
        return f"{text}, at most {self.limit}"

    def planned(self, moves: int) -> SumOfTerms:
        """The sum for a run of `moves` iterations."""
        terms = (replace(term, weight=planned(term.weight, moves)) for term in self.terms)
        return replace(self, terms=tuple(terms))

    @functools.cached_property
    def looks_at(self) -> Scope:
        """The widest `looks_at` of the terms."""
        return max((term.looks_at for term in self.terms), key=get_args(Scope).index)

    @functools.cached_property
    def per_particle(self) -> list[int]:
        """Indices of the terms with a random factor per particle."""
        return [k for k, term in enumerate(self.terms) if term.random == "scalar"]

    @functools.cached_property
    def per_coordinate(self) -> list[int]:
        """Indices of the terms with a random factor per coordinate."""
        return [k for k, term in enumerate(self.terms) if term.random == "element"]

    def __call__(self, snapshot: Snapshot, move: int, generator: np.random.Generator) -> Any:
        weights = self.weights(len(snapshot.x), move, generator)
        return self.on(snapshot, self.coefficients(snapshot.x, weights, generator))

    def weights(self, n: int, move: int, generator: np.random.Generator) -> list[Any]:
        """Each term's weight in an iteration, times its factors per particle: a number, or (N, 1)."""
        weights: list[Any] = [
            float(term.weight(move)) if callable(term.weight) else term.weight
            for term in self.terms
        ]
        if self.per_particle:
            factors = generator.random((n, len(self.per_particle)))
            for column, k in enumerate(self.per_particle):
                weights[k] = weights[k] * factors[:, column, None]
        return weights

    def coefficients(
        self, x: Array, weights: list[Any], generator: np.random.Generator
    ) -> list[Any]:
        """The coefficient of each term for particles at x, (N, D): `weights` times factors per
        coordinate, divided by C to normalise; a number, or an array of x's kind, (N, 1) or (N, D).
        """
        c = list(weights)
        if self.per_coordinate:
            bits = sixteen_bits(generator, (len(self.per_coordinate), *x.shape))
            factors = bits.astype(np.float32 if x.dtype == np.float32 else np.float64)
            for k, factor in zip(self.per_coordinate, factors, strict=True):
                factor *= factor.dtype.type(c[k] / FULL_SCALE)
                c[k] = factor
        if self.normalise:
            total = sum(c)  # where all are 0, so is the velocity
            if isinstance(total, np.ndarray):
                np.putmask(total, total == 0, 1.0)
            elif total == 0:
                total = 1.0
            c = [each / total for each in c]
        for k, each in enumerate(c):
            if isinstance(each, np.ndarray) and each.dtype != x.dtype:
                c[k] = like(each, x)
        return c

    def on(self, block: Snapshot, coefficients: list[Any]) -> Any:
        """The sum of coefficient * direction over the terms, for a swarm or for a block of it."""
        velocity: Any = None
        shape = block.x.shape
        for term, c in zip(self.terms, coefficients, strict=True):
            direction = term.direction(block)
            if getattr(direction, "shape", ()) != shape:
                require_shape(f"the direction of term {term.name!r}", direction, shape)
            pull = c * direction
            if velocity is None:
                velocity = pull
            else:
                velocity += pull
        if self.limit is None:
            return velocity
        return velocity.clip(-self.limit, self.limit)


__all__ = [
    "Snapshot",
    "SumOfTerms",
    "Term",
    "VelocityRule",
    "cognitive",
    "inertia",
    "repel",
    "social",
]
