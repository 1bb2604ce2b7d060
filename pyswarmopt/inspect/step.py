"""One round of a swarm as `pyswarmopt.record` keeps it and the plots draw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyswarmopt.base.arrays import Bools, Floats


@dataclass(frozen=True, eq=False)
class Step:
    """One round of a swarm of N particles in D dimensions: a move, an evaluation, and the bests
    after it.

    Attributes:
        number: 0 for the starting positions, then 1, 2, ...
        x: where the particles were evaluated, (N, D).
        v: velocities that brought them there, after walls, (N, D).
        values: what they found, (N,), in the user's sense.
        p: personal bests after the evaluation, (N, D); before it where a new population follows.
        p_values: values there, (N,).
        best: the best value so far.
        restarted: which particles were sent elsewhere after the evaluation, (N,).
        origin: where the move began, (N, D); None for the starting positions, like all that
            follows.
        length: step length lambda of the move.
        g: the bests of the neighbourhoods, (N, D).
        w: the worst point known, (D,).
        forces: what each term added to the velocity, by its name, (N, D); empty for a rule that is
            no sum of terms.
        factors: the random numbers r in them, (N, 1) or (N, D); where the sum is normalised,
            divided by C.

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
