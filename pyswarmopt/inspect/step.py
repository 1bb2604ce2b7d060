"""A round of a swarm, recorded by `pyswarmopt.record` and drawn by the plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyswarmopt.base.arrays import Bools, Floats


@dataclass(frozen=True, eq=False)
class Step:
    """A round of N particles in D dimensions: a move, an evaluation, and the best points after it.

    Attributes:
        number: 0 for the starting positions, then 1, 2, ...
        x: evaluated positions, (N, D).
        v: velocities that led there, after boundary handling, (N, D).
        values: their values, (N,).
        p: personal bests after the evaluation, (N, D); before it if a new population follows.
        p_values: values at p, (N,).
        best: the best value so far.
        restarted: mask of the particles that a restart moved after the evaluation, (N,).
        origin: positions before the move, (N, D); None, like the following attributes, for the
            starting positions.
        length: step length lambda of the iteration.
        g: bests of the neighbourhoods, (N, D).
        w: worst known point, (D,).
        forces: term name -> its contribution to the velocity, (N, D); empty if the velocity is not
            a sum of terms.
        factors: their random numbers r, (N, 1) or (N, D); divided by C if the sum is normalised.

    Example:
        >>> import pyswarmopt as pso
        >>> steps = pso.record(pso.functions.sphere, pso.recipes.fips(), 2, bounds=[(-1, 1)] * 2, seed=0)
        >>> steps[1].number, steps[1].x.shape
        (1, (40, 2))
    """

    number: int
    x: Floats
    v: Floats
    values: Floats
    p: Floats
    p_values: Floats
    best: float
    restarted: Bools
    origin: Floats | None = None
    length: float = 1.0
    g: Floats | None = None
    w: Floats | None = None
    forces: Mapping[str, Floats] = field(default_factory=dict)
    factors: Mapping[str, Floats] = field(default_factory=dict)
