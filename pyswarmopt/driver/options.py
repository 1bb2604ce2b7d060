"""The arguments of a search, listed once, and how parameters by name become coordinates."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.inputs import as_seed
from pyswarmopt.driver.evaluation import Objective, OnError
from pyswarmopt.driver.history import Granularity
from pyswarmopt.driver.problem.constraints import listed
from pyswarmopt.driver.problem.space import Space
from pyswarmopt.driver.result import Result
from pyswarmopt.driver.start import Start
from pyswarmopt.driver.workers.pool import MapLike

if TYPE_CHECKING:
    from pyswarmopt.algorithms.recipe import Recipe

Callback = Callable[[Result], bool | None]


@dataclass(frozen=True, eq=False)
class Options:
    """The arguments of `pyswarmopt.minimize`, where they are described.

    Raises:
        ValueError: a limit below its minimum.
    """

    fun: Objective
    bounds: Any = None
    recipe: str | Recipe | None = None
    population: int | None = None
    max_evals: int | None = None
    max_iter: int | None = None
    target: float | None = None
    seed: int | np.random.Generator | None = None
    workers: int | str | MapLike | Executor = 1
    vectorized: bool | Literal["auto"] = "auto"
    callback: Callback | None = None
    x0: Start | None = None
    progress: bool = False
    on_error: OnError = "raise"
    checkpoint: str | os.PathLike[str] | None = None
    integrality: npt.ArrayLike | None = None
    constraints: Any = None
    categorical: npt.ArrayLike | None = None
    noisy: bool = False
    history: Granularity | None = None
    asynchronous: bool = False
    space: Mapping[str, Any] | None = None
    args: tuple[Any, ...] = ()
    timeout: float | None = None
    evaluation_timeout: float | None = None

    def __post_init__(self) -> None:
        if self.max_evals is not None and self.max_evals < 1:
            raise ValueError(f"max_evals={self.max_evals}: it must be at least 1")
        if self.max_iter is not None and self.max_iter < 0:
            raise ValueError(f"max_iter={self.max_iter}: it must not be negative")
        for name in ("timeout", "evaluation_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name}={seconds}: it must be a number of seconds above 0")
        object.__setattr__(self, "seed", as_seed(self.seed))  # the dataclass is frozen


def in_coordinates(options: Options) -> tuple[Options, Space | None]:
    """The same search with an objective of a point alone: parameters by name become coordinates,
    ``args`` are bound.

    Raises:
        TypeError: see `Space`.
        ValueError: see `Space`; or options that say what the space says.
    """
    if options.space is None:
        if options.bounds is None:
            raise ValueError(
                "give bounds, a pair (low, high) for each coordinate, or space={name: ...}"
            )
        fun = (
            functools.partial(_with_more, options.fun, tuple(options.args))
            if len(options.args)
            else options.fun
        )
        return replace(
            options, fun=fun, history="iteration" if options.history is None else options.history
        ), None
    for name in ("bounds", "integrality", "categorical"):
        if getattr(options, name) is not None:
            raise ValueError(f"space= and {name}=: the space says it all; give one of them")
    if len(options.args):
        raise ValueError(
            "space= and args=: fun gets its parameters by name; use functools.partial for others"
        )
    space, many = Space(options.space), options.vectorized is True
    return replace(
        options,
        fun=functools.partial(_call_on_dicts, options.fun, space)
        if many
        else space.named(options.fun),
        bounds=space.bounds,
        integrality=space.integrality,
        categorical=space.categorical,
        constraints=[_named(constraint, space) for constraint in listed(options.constraints)],
        x0=_encoded(options.x0, space),
        vectorized=many,
        history="particles" if options.history is None else options.history,
    ), space


def _with_more(fun: Objective, args: tuple[Any, ...], x: Any) -> Any:
    return fun(x, *args)


def _call_on_dicts(fun: Objective, space: Space, points: Any) -> Any:
    return fun([space.decode(x) for x in points])


def _named(constraint: Any, space: Space) -> Any:
    if isinstance(constraint, dict) and "fun" in constraint:
        return {**constraint, "fun": space.named(constraint["fun"], "a constraint", some=True)}
    return space.named(constraint, "a constraint", some=True)


def _encoded(x0: Any, space: Space) -> Any:
    if isinstance(x0, Mapping) and not isinstance(x0, Result):
        return space.encode(x0)
    if isinstance(x0, list) and x0 and all(isinstance(params, Mapping) for params in x0):
        return np.array([space.encode(params) for params in x0])
    return x0
