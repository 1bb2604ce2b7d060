"""Velocity rules: from a `Snapshot` of the swarm to the velocities of the next move.

Most are a `SumOfTerms`: over terms, ``r * weight * direction``. A direction is a pure function of a `Snapshot`
that uses nothing but array operators, so it works on torch and on NumPy alike. One that treats each element by
itself, as those of this file do, also works on a part of the swarm. A new term takes a few lines:

    >>> def centre(weight):
    ...     return Term("centre", weight, lambda s: s.p.mean(0) - s.x)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt.engine.numba.loader import COMPILER
from pyswarmopt.engine.random_factors import FULL_SCALE, Factors, RandomBits
from pyswarmopt.parts.schedule import Schedule

Randomness = Literal["none", "scalar", "element"]
FEW_COORDINATES = 16
Scope = Literal["element", "column", "all"]


class Snapshot(NamedTuple):
    """The swarm at the end of the previous iteration, in the field's letters.

    Attributes:
        x: positions, (N, D).
        v: velocities, (N, D).
        p: personal bests, (N, D).
        g: what the topology lets each particle know of, (N, D) or (1, D): the best of its neighbourhood.
        w: the worst point seen so far, (1, D).
    """

    x: Any
    v: Any
    p: Any
    g: Any
    w: Any


# (snapshot, number of the move from 0, CPU generator) -> velocities of the next move, (N, D)
VelocityRule = Callable[[Snapshot, int, torch.Generator], Tensor]


@dataclass(frozen=True)
class Term:
    """One term of the velocity.

    Attributes:
        name: what reports call it.
        weight: its coefficient, a number or a schedule over moves.
        direction: from a `Snapshot` to an (N, D) array.
        random: the factor r ~ U(0, 1): one per particle ("scalar"), one per particle and coordinate
            ("element"), or always 1 ("none").
        looks_at: what of the snapshot the direction of a particle in a coordinate follows from: the same particle
            and coordinate ("element"), also other particles ("column"), or anything ("all"). A sum of terms of
            which none looks at all is asked for a part of the swarm at a time, as NumPy arrays, and so moves a
            large swarm without temporaries of its size.
    """

    name: str
    weight: float | Schedule
    direction: Callable[[Snapshot], Any]
    random: Randomness = "scalar"
    looks_at: Scope = "all"

    def __post_init__(self) -> None:
        if self.random not in ("none", "scalar", "element"):
            raise ValueError(f"random={self.random!r} of term {self.name!r}: use 'none', 'scalar' or 'element'")
        if self.looks_at not in ("element", "column", "all"):
            raise ValueError(f"looks_at={self.looks_at!r} of term {self.name!r}: use 'element', 'column' or 'all'")


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


DIRECTIONS = [along, to_own_best, to_known_best, from_worst]


def inertia(weight: float | Schedule, random: Randomness = "none") -> Term:
    """Keep going: v."""
    return Term("inertia", weight, along, random, looks_at="element")


def cognitive(weight: float | Schedule, random: Randomness = "scalar") -> Term:
    """Back to the personal best: p - x."""
    return Term("cognitive", weight, to_own_best, random, looks_at="element")


def social(weight: float | Schedule, random: Randomness = "scalar") -> Term:
    """Towards the best that the neighbours know: g - x."""
    return Term("social", weight, to_known_best, random, looks_at="element")


def repel(weight: float | Schedule, random: Randomness = "scalar") -> Term:
    """Away from the worst point seen: x - w (Feng et al. 2024, Algorithm 1)."""
    return Term("repel", weight, from_worst, random, looks_at="element")


class BlockRule(Protocol):
    """A velocity rule that can be asked for a part of the swarm at a time, unless it `looks_at` "all" of it."""

    @property
    def looks_at(self) -> Scope:
        """The most that one of the terms looks at."""

    @property
    def sum(self) -> SumOfTerms:
        """The terms for which coefficients are to be drawn."""

    def on(self, block: Snapshot, coefficients: Any) -> Any:
        """Velocities of a block, (rows, columns), in an array that is nobody else's."""


@dataclass(frozen=True)
class SumOfTerms:
    """The velocity as a sum over terms of ``r * weight * direction``; the factors r as in `factors.Factors`.

    Attributes:
        terms: the terms, in the order of their random draws.
        normalise: divide by the sum of the coefficients, the 1/C of Feng et al. 2024, Algorithm 1.

    Raises:
        ValueError: no terms.
    """

    terms: tuple[Term, ...]
    normalise: bool = False

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("a sum of no velocity terms: give at least one")

    @functools.cached_property
    def looks_at(self) -> Scope:
        """The most that one of the terms looks at."""
        return max((term.looks_at for term in self.terms), key=get_args(Scope).index)

    @property
    def sum(self) -> SumOfTerms:
        """This very sum."""
        return self

    @functools.cached_property
    def per_particle(self) -> list[int]:
        """Numbers of the terms with a random factor per particle."""
        return [k for k, term in enumerate(self.terms) if term.random == "scalar"]

    @functools.cached_property
    def per_coordinate(self) -> list[int]:
        """Numbers of the terms with a random factor per coordinate."""
        return [k for k, term in enumerate(self.terms) if term.random == "element"]

    @functools.cached_property
    def places(self) -> npt.NDArray[np.int64] | None:
        """Which term has each of `DIRECTIONS`, (4,), -1 for none; None with other terms, or these in another order."""
        kinds = [DIRECTIONS.index(term.direction) if term.direction in DIRECTIONS else -1 for term in self.terms]
        if -1 in kinds or kinds != sorted(set(kinds)):
            return None
        places = np.full(len(DIRECTIONS), -1)
        places[kinds] = np.arange(len(kinds))
        return places

    def __call__(self, snapshot: Snapshot, move: int, generator: torch.Generator) -> Any:
        coefficients = Factors(1).next(self, tuple(snapshot.x.shape), np.float64, move, generator, whole=True)
        return self.on(snapshot, coefficients)

    def coefficients(
        self, first: int, scalars: npt.NDArray[np.float64], bits: npt.NDArray[np.uint16] | None, dim: int, dtype: Any
    ) -> npt.NDArray[Any]:
        """``r * weight`` of each term for some moves from number `first` on.

        Args:
            first: number of the first move.
            scalars: (moves, N, scalar terms) factors per particle.
            bits: (moves, element terms, N, D) factors per coordinate; None if there are none, or if they are
                multiplied, and the coefficients normalised, later: see `with_bits`.
            dim: D; 1 if the answer may be the same for all coordinates.
            dtype: NumPy dtype of the answer.

        Returns:
            (moves, terms, N, D), or (moves, terms, N, 1).
        """
        moves, n, _ = scalars.shape
        weights = np.empty((moves, len(self.terms), 1, 1))
        for k, term in enumerate(self.terms):
            weight = term.weight
            weights[:, k, 0, 0] = [weight(first + j) for j in range(moves)] if callable(weight) else weight
        if not self.per_coordinate:
            table = np.ones((moves, len(self.terms), n))
            table[:, self.per_particle] = scalars.transpose(0, 2, 1)
            table *= weights[..., 0]
            table = (_normalised(table, axis=1) if self.normalise else table).astype(dtype)[..., None]
            # Two operands of one shape are multiplied in a third of the time, up to about so many coordinates.
            return np.repeat(table, dim, axis=3) if 1 < dim <= FEW_COORDINATES else table
        table = np.empty((moves, len(self.terms), n, dim), dtype)
        kept = [k for k in range(len(self.terms)) if bits is None or k not in self.per_coordinate]
        table[:, kept] = weights[:, kept]
        for j, k in enumerate(self.per_particle):
            table[:, k] *= scalars[:, :, j, None]
        if bits is None:
            return table
        rows = self.per_coordinate
        scaled = weights[:, rows] / FULL_SCALE
        if COMPILER.loops is not None:
            COMPILER.loops.weigh(np.ascontiguousarray(bits), scaled[..., 0, 0], np.array(rows), table)
        else:
            for j, k in enumerate(rows):
                np.multiply(bits[:, j], scaled[:, j], out=table[:, k], casting="same_kind")
        return _normalised(table, axis=1) if self.normalise else table

    def with_bits(self, coefficients: npt.NDArray[Any], bits: RandomBits, dim: int) -> list[Any]:
        """Coefficients of a block of D coordinates, (terms, N, 1), times factors per coordinate."""
        found = list(coefficients)
        rows = self.per_coordinate
        drawn = bits.take((len(rows), coefficients.shape[1], dim)).astype(coefficients.dtype)
        for k, factor in zip(rows, drawn, strict=True):
            factor *= found[k] * (1 / FULL_SCALE)
            found[k] = factor
        return list(_normalised(np.stack(np.broadcast_arrays(*found)), axis=0)) if self.normalise else found

    def on(self, block: Snapshot, coefficients: Any) -> Any:
        """Velocities of a block, NumPy or torch as the block.

        Args:
            block: (rows, columns) of the swarm.
            coefficients: a sequence, of each term what broadcasts to that shape.
        """
        if isinstance(block.x, Tensor):
            coefficients = torch.from_numpy(coefficients).to(block.x)
        velocity: Any = None
        for term, c in zip(self.terms, coefficients, strict=True):
            pull = c * term.direction(block)
            if velocity is None:
                velocity = pull
            else:
                velocity += pull
        return velocity


def _normalised(coefficients: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
    """Divided by their sum over terms, an axis; no velocity rather than 0 / 0 where all draws were exactly 0."""
    total = coefficients.sum(axis=axis, keepdims=True)
    np.putmask(total, total == 0, 1.0)
    return coefficients / total


@dataclass(frozen=True)
class Clamped:
    """Another rule's velocity, each coordinate cut to [-limit, limit] (Eberhart & Shi 2000, "Vmax").

    The limit is in the units of x and has nothing to do with the box unless you make it so.

    Attributes:
        rule: the other rule.
        limit: V_max > 0.
    """

    rule: VelocityRule
    limit: float

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"max_velocity={self.limit}: it must be positive")

    @functools.cached_property
    def looks_at(self) -> Scope:
        """What the other rule looks at."""
        return getattr(self.rule, "looks_at", "all")

    def __call__(self, snapshot: Snapshot, move: int, generator: torch.Generator) -> Any:
        return self.rule(snapshot, move, generator).clip(-self.limit, self.limit)

    @property
    def sum(self) -> SumOfTerms:
        """The terms of the other rule, which must be one for blocks."""
        return cast(BlockRule, self.rule).sum

    def on(self, block: Snapshot, coefficients: Any) -> Any:
        """The other rule's velocities of a block, cut."""
        return cast(BlockRule, self.rule).on(block, coefficients).clip(-self.limit, self.limit)


__all__ = [
    "BlockRule",
    "Clamped",
    "Snapshot",
    "SumOfTerms",
    "Term",
    "VelocityRule",
    "cognitive",
    "inertia",
    "repel",
    "social",
]
