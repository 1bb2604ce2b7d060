"""A recipe: one swarm algorithm as a composition of its parts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ParamSpec

from pyswarmopt.base.inputs import as_count
from pyswarmopt.parts import boundary as boundaries
from pyswarmopt.parts import initialise
from pyswarmopt.parts.boundary import Boundary
from pyswarmopt.parts.initialise import Launch, Populate
from pyswarmopt.parts.restart import Restart
from pyswarmopt.parts.schedule import Schedule, as_schedule, planned
from pyswarmopt.parts.stopping import StopRule
from pyswarmopt.parts.topology import Global, Topology
from pyswarmopt.parts.velocity import SumOfTerms, Term, VelocityRule

P = ParamSpec("P")


@dataclass(frozen=True)
class Recipe:
    """A swarm algorithm for `Swarm`. Make one with `compose`, or take one from
    `pyswarmopt.recipes`.

    Attributes:
        name: name in reports and checkpoints.
        velocity: rule for the next velocities; for most algorithms a `SumOfTerms`.
        topology: decides whose best attracts a particle.
        boundary: what happens at the bounds; used only if the swarm has bounds.
        schedule: step length lambda: x <- x + lambda v.
        restart: policies for stagnating particles or swarms, applied in this order.
        stop: the algorithm's own stop rules.
        populate: draws the starting positions that are not given.
        launch: sets the starting velocities.
        population: default number of particles.
        repeat_dropped: whether a particle whose evaluation is dropped counts its old value again.
        last_worst_wins: whether the last of several equally bad new points becomes the worst point;
            among the starting points it is always the first.
        options: arguments with which `recipes` can rebuild this recipe, or None for a custom
            composition; only `Swarm.load` needs them.

    Raises:
        ValueError: a population below 1.
        TypeError: a part is not a function.

    Example:
        >>> import pyswarmopt as pso
        >>> pso.recipes.constriction().population
        40
    """

    name: str
    velocity: VelocityRule
    topology: Topology
    boundary: Boundary
    schedule: Schedule
    restart: tuple[Restart, ...]
    stop: tuple[StopRule, ...]
    populate: Populate
    launch: Launch
    population: int
    repeat_dropped: bool = False
    last_worst_wins: bool = False
    options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        as_count(f"recipe {self.name!r}: population", self.population, 1)
        parts = (self.velocity, self.topology, self.boundary, self.schedule, self.populate)
        for part in (*parts, self.launch, *self.restart, *self.stop):
            if isinstance(part, type) or not callable(part):
                raise TypeError(
                    f"recipe {self.name!r}: {part!r} must be a function or an instance of a class"
                )

    def __str__(self) -> str:
        """A named recipe with its parameters, or another one's parts.

        Example:
            >>> import pyswarmopt as pso
            >>> print(pso.recipes.fips(population=20))
            fips(chi=0.7298, phi=4.1, topology='von_neumann', population=20)
        """
        if self.options is not None:
            values = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
            return f"{self.name}({values})"
        parts = (
            self.velocity,
            self.topology,
            self.boundary,
            self.schedule,
            *self.restart,
            *self.stop,
        )
        words = ", ".join(str(getattr(part, "__name__", part)) for part in parts)
        return f"{self.name}: {words}, population {self.population}"

    def planned(self, moves: int) -> Recipe:
        """The recipe for a run of `moves` iterations, which become the length of any
        `schedule.Linear` that has none.

        Example:
            >>> import pyswarmopt as pso
            >>> pso.recipes.clpso().planned(120).velocity.terms[0].weight
            Linear(start=0.9, end=0.4, moves=120)
        """
        rule = self.velocity
        velocity = rule.planned(moves) if isinstance(rule, SumOfTerms) else rule
        return replace(self, velocity=velocity, schedule=as_schedule(planned(self.schedule, moves)))


def compose(
    terms: Sequence[Term] | None = None,
    topology: Topology | None = None,
    boundary: Boundary = boundaries.reflect,
    schedule: float | Schedule = 1.0,
    restart: Restart | Sequence[Restart] = (),
    stop: StopRule | Sequence[StopRule] = (),
    normalise: bool = False,
    populate: Populate = initialise.uniform,
    launch: Launch | None = None,
    population: int = 40,
    name: str = "composed",
    velocity: VelocityRule | None = None,
    max_velocity: float | None = None,
) -> Recipe:
    """Compose an algorithm from its parts, all of which have simple defaults.

    Args:
        terms: velocity terms, which are added.
        topology: default: `topology.Global`.
        boundary: default: `boundary.reflect`.
        schedule: step length, a number or a schedule.
        restart: a policy or several; default: none.
        stop: the algorithm's own stop rule, or several.
        normalise: divide the sum of the terms by C, the sum of the drawn r * weight.
        populate: default: uniform in the bounds.
        launch: starting velocities; default: half-way to another particle.
        population: default number of particles.
        name: name for reports.
        velocity: a rule other than a sum of terms, instead of `terms`.
        max_velocity: V_max, at which each coordinate of the velocity is clamped, in the units of x;
            default: no clamp.

    Returns:
        The recipe.

    Raises:
        ValueError: there are no terms, there are both terms and a velocity rule, or a number is out
            of range.
        TypeError: a part is not a function.

    Example:
        An inertia-weight swarm with a custom term:

        >>> import pyswarmopt as pso
        >>> centre = pso.Term("centre", 0.1, lambda s: s.p.mean(0) - s.x)
        >>> mine = pso.compose(terms=(pso.inertia(0.6), pso.cognitive(1.5), pso.social(1.5), centre))
        >>> pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, recipe=mine, max_evals=2000, seed=1).fun < 1e-4
        True
    """
    if velocity is not None and (terms is not None or normalise or max_velocity is not None):
        raise ValueError(
            "velocity= cannot be combined with terms=, normalise= or max_velocity=; omit velocity= or the others"
        )
    if velocity is None:
        velocity = SumOfTerms(tuple(terms or ()), normalise, max_velocity)
    return Recipe(
        name=name,
        velocity=velocity,
        topology=topology or Global(),
        boundary=boundary,
        schedule=as_schedule(schedule),
        restart=(restart,) if callable(restart) else tuple(restart),
        stop=(stop,) if callable(stop) else tuple(stop),
        populate=populate,
        launch=launch or initialise.TowardsPartner(0.5),
        population=population,
    )


def keeps_options(make: Callable[P, Recipe]) -> Callable[P, Recipe]:
    """Make a named algorithm's recipes keep their arguments, from which `Swarm.load` rebuilds them."""
    signature = inspect.signature(make)

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Recipe:
        recipe = make(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return replace(recipe, options=dict(bound.arguments))

    return made
