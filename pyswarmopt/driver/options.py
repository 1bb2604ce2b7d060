"""The arguments of a search, listed once, and the problem that they describe."""

from __future__ import annotations

import functools
import math
import numbers
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, untensored
from pyswarmopt.base.inputs import as_limit, as_seed, require_callable
from pyswarmopt.driver.call import Objective, OnError
from pyswarmopt.driver.history import Granularity, ParticleRecord
from pyswarmopt.driver.problem.constraints import Constraints, row_of
from pyswarmopt.driver.problem.encoding import Coding, check_inside, make_coding
from pyswarmopt.driver.result import Result
from pyswarmopt.parts.bounds import listed, read_bounds

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pyswarmopt.algorithms.recipe import Recipe
    from pyswarmopt.driver.problem.space import Space

Start = npt.ArrayLike | Result | Mapping[str, Any] | Sequence[Mapping[str, Any]]
Frame = Any  # a data frame in the manner of pandas, see `is_frame`
# points with their values, and with constraints that fun returns; a data frame, or a result
Known = tuple[Any, npt.ArrayLike] | tuple[Any, npt.ArrayLike, npt.ArrayLike] | Result | Frame
FORMS = (
    "(points, values), (points, values, constraints), a data frame with a column 'value', or the "
    "Result of another run"
)
VALUE = "value"  # column of a history's values
RECORDED = {VALUE, *ParticleRecord._fields}  # columns that are no parameters
Callback = Callable[[Any], bool | None]  # called with the result so far


@dataclass(repr=False, eq=False)
class Options:
    """The arguments with their defaults, checked.

    Raises:
        TypeError: a limit is not a number, or a callback cannot be called.
        ValueError: a limit is too small or not whole, or a switch is neither on nor off.
    """

    fun: Objective
    bounds: Any = None
    recipe: str | Recipe | None = None
    population: int | None = None
    max_evals: int | None = None
    max_iter: int | None = None
    target: float | None = None
    seed: int | np.random.Generator | None = None
    workers: int | Executor = 1
    vectorized: bool = False
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
    timeout: float | None = None
    known: Known | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        self.bounds = listed(self.bounds)
        if isinstance(self.bounds, Mapping) and self.space is None:  # it can mean nothing else
            self.space = self.bounds
            self.bounds = None
        limits = ("max_evals", 1), ("max_iter", 0), ("population", 1), ("patience", 1)
        for name, least in limits:
            setattr(self, name, as_limit(name, getattr(self, name), least))
        seconds = self.timeout
        if seconds is not None and not (isinstance(seconds, numbers.Real) and seconds > 0):
            raise ValueError(f"timeout must be a number of seconds above 0, got {seconds!r}")
        for name in ("noisy", "asynchronous", "progress"):
            if getattr(self, name) not in (True, False):
                raise ValueError(f"{name}={getattr(self, name)!r}: use True or False")
        if self.callback is not None:
            require_callable("callback", self.callback)
        self.seed = as_seed(self.seed)


class KnownPoints(NamedTuple):
    """Previously evaluated points.

    Attributes:
        points: (k, D).
        values: (k,), NaN for a failed call; or with constraints returned by `fun`, (k, 1 + K).
    """

    points: Floats
    values: Floats


class Problem(NamedTuple):
    """A problem in the form that a search uses.

    Attributes:
        coding: maps the user's D coordinates to the search's M, and back.
        constraints: all of them.
        space: parameters by name, if any.
        start: starting points of the search, (n, M).
        known: points that are not evaluated again, (k, D), and their values.
        identity: must also match in a checkpoint.
    """

    coding: Coding
    constraints: Constraints
    space: Space | None
    start: Floats
    known: KnownPoints
    identity: dict[str, Any]

    @property
    def dim(self) -> int:
        """D."""
        return len(self.coding.low)

    def decode(self, positions: Any) -> Floats:
        """The objective's points, (n, D), for positions of the search, (n, M), as an array of their
        own; integers are moved to where they meet declared linear constraints.
        """
        coding = self.coding
        points = coding.decode(np.array(positions))
        if self.constraints.linear is not None and coding.integers.any():
            for x in points:
                x[:] = self.constraints.repair(x, coding.integers, coding.low, coding.high)
        return points

    def best_known(self, most: int, maximize: bool) -> Floats:
        """The best known points with values, (k, D): by constraints, then by value."""
        points, values = self.known
        costs, *amounts = np.atleast_2d(values.T)
        if maximize:
            costs = -costs
        violations = np.array([self.constraints.violation(x) for x in points])
        if amounts:  # as `fun` returned them
            violations = np.maximum(amounts, 0.0).sum(axis=0)
        order = np.lexsort((costs, violations))
        return points[order[np.isfinite(costs[order])]][:most]

    def params(self, x: Floats) -> Any:
        """The parameters by name at x, (D,), or at each of (n, D); None without names."""
        if self.space is None:
            return None
        return self.space.decode(x)


def read_problem(arguments: Options, outputs: int = 1) -> tuple[Options, Problem]:
    """The problem, and the options with an objective of points only.

    Args:
        arguments: the arguments.
        outputs: numbers that `fun` returns for a point, besides constraints.

    Raises:
        TypeError: see `Space`.
        ValueError: see `Space`; or options are inconsistent.
    """
    if callable(arguments.bounds) and not callable(arguments.fun):
        raise ValueError("fun and bounds are swapped: use minimize(fun, bounds)")
    options, space = _in_coordinates(arguments)
    start, bounds = _start_and_bounds(options, space)
    constraints = Constraints(options.constraints, len(bounds[0]), space)
    if constraints.returned:
        options = _with_returned(options, outputs)
    known = known_points(options.known, space, bounds, constraints.returned)
    if len(known.points) and options.noisy:
        raise ValueError("known= is not supported with noisy=True; pass the points as x0=")
    if space is None:
        coding = make_coding(bounds, options.integrality, options.categorical)
    else:
        coding = make_coding(
            bounds, space.integrality, space.categorical, space.rounded, space.orders
        )
    # whole numbers, as `fun` receives them
    known = known._replace(points=coding.decode(coding.encode(known.points)))
    identity = {
        "bounds": [side.tolist() for side in bounds],
        "seed": options.seed,
        "x0": start.tolist() or None,
        "integrality": coding.integers.tolist(),
        "categorical": coding.categories.tolist(),
        "constraints": bool(constraints),
        "known": known.points.tolist() or None,
    }
    if space is not None:
        identity["space"] = space.describe()
    return options, Problem(coding, constraints, space, coding.encode(start), known, identity)


def _start_and_bounds(
    options: Options, space: Space | None
) -> tuple[Floats, tuple[Floats, Floats]]:
    """The starting points, (n, D), and the bounds, (D,) each."""
    if options.x0 is None:
        bounds = read_bounds(options.bounds)
        return np.empty((0, len(bounds[0]))), bounds
    start = starting_points(options.x0, space)
    bounds = read_bounds(options.bounds, start.shape[1])
    check_inside(start, *bounds)
    return start, bounds


def _with_returned(options: Options, outputs: int) -> Options:
    """The options with an objective that returns its values and constraints in one array."""
    if options.noisy:
        raise ValueError(
            "constraints='returned' is not supported with noisy=True; "
            "pass noiseless constraints as functions"
        )
    if options.vectorized:
        raise ValueError(
            "constraints='returned' requires fun to take one point; remove vectorized=True"
        )
    return replace(options, fun=functools.partial(_row_returned, options.fun, outputs))


def _row_returned(fun: Objective, outputs: int, x: Any) -> Any:
    """The numbers that `fun` returns for a point; a function of the module, which processes find."""
    return row_of(fun(x), outputs)


def _in_coordinates(options: Options) -> tuple[Options, Space | None]:
    """The options with named parameters turned into coordinates of a point."""
    if options.space is None:
        if options.bounds is None:
            raise ValueError(
                "pass bounds, one pair (low, high) per coordinate, or space={name: ...}"
            )
        return options, None
    for name in ("bounds", "integrality", "categorical"):
        if getattr(options, name) is not None:
            raise ValueError(f"pass either space= or {name}=, not both")
    # imported on use, for a faster start of searches
    from pyswarmopt.driver.problem.space import Space

    space = Space(options.space)
    if options.vectorized:
        fun = space.on_dicts(options.fun)
    else:
        fun = space.named(options.fun)
    options = replace(options, fun=fun, bounds=space.bounds, history=options.history or "particles")
    return options, space


# ---- points to begin with, and evaluations known before ----


def starting_points(
    x0: Any, space: Space | None = None, name: str = "x0", lenient: bool = False
) -> Floats:
    """Points, (n, D), from one or several: numbers, parameters by name, a data frame or a result.

    Args:
        x0: the points.
        space: parameters by name, if any.
        name: of the argument, for messages.
        lenient: whether a point with a value that its parameter may not have becomes NaN.

    Raises:
        ValueError: `x0` has another form, or parameters are unknown.
    """
    if isinstance(x0, Result):
        return np.atleast_2d(x0.x)
    if is_frame(x0):
        x0 = _without_record(x0, space)
    named = _rows_by_name(x0, space)
    if named is not None and space is not None:
        points = np.full((len(named), len(space.names)), math.nan)
        for row, params in zip(points, named, strict=True):
            if not lenient or space.allows(params, name):
                row[:] = space.encode(params, name)
        return points
    try:
        start = np.atleast_2d(np.asarray(untensored(x0), dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"{name}={x0!r}: use a point, several points or the Result of another run"
        ) from None
    if start.ndim != 2 or start.size == 0:
        raise ValueError(f"{name} must have shape (D,) or (n, D), got {start.shape}")
    return start


def _rows_by_name(points: Any, space: Space | None) -> list[Mapping[str, Any]] | None:
    """Points as dicts of parameters; None if they are numbers only."""
    if space is None:
        return None
    if is_frame(points):
        return list(map(_active, points.to_dict("records")))
    if hasattr(points, "to_dict"):  # a row of a frame
        return [_active(points.to_dict())]
    if isinstance(points, list) and points:
        several = points
    else:
        several = [points]
    if all(isinstance(params, Mapping) for params in several):
        return several
    return None


def is_frame(thing: Any) -> bool:
    """Whether an object is a data frame in the manner of pandas."""
    return hasattr(thing, "to_dict") and hasattr(thing, "columns")


def _active(row: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a row; empty cells are inactive."""
    return {name: value for name, value in row.items() if value is not None and value == value}


def _without_record(frame: Frame, space: Space | None) -> Frame:
    """A frame without the columns that `History.to_pandas` adds to the points."""
    names = []
    if space is not None:
        names = space.searched
    kept = [name for name in frame.columns if name in names or name not in RECORDED]
    return frame[kept]


def known_points(
    known: Known | None, space: Space | None, bounds: tuple[Floats, Floats], returned: bool
) -> KnownPoints:
    """Read previously evaluated points; those outside the bounds are left out, with a warning.

    Args:
        known: the argument.
        space: parameters by name, if any.
        bounds: low and high, (D,) each.
        returned: whether `fun` returns constraints, which belong to the values then.

    Raises:
        ValueError: points and values differ in number, or constraints are missing or unexpected.
    """
    low, high = bounds
    none = KnownPoints(np.empty((0, len(low))), np.empty(0))
    if known is None:
        return none
    points, columns = _points_and_columns(known, space)
    values = _numbers(columns)
    if len(points) == 0 and len(values) == 0:
        return none
    _check_columns(columns, returned)
    rows = starting_points(points, space, "known", lenient=True)
    if rows.shape[1] != len(low):
        raise ValueError(f"the points in known must have shape (n, {len(low)}), got {rows.shape}")
    allowed = np.all((rows >= low) & (rows <= high), axis=1)
    if len(rows) != len(values):
        raise ValueError(
            f"points and values in known must have the same length, got {len(rows)} and {len(values)}"
        )
    if not allowed.all():
        warnings.warn(
            f"ignoring {(~allowed).sum()} of {len(allowed)} known points (outside the bounds)",
            stacklevel=2,
        )
    return KnownPoints(rows[allowed], values[allowed])


def _points_and_columns(known: Known, space: Space | None) -> tuple[Any, list[Any]]:
    """The points, and the columns of their values and, if given, constraints."""
    if isinstance(known, Result) and np.ndim(known.fun) == 0:
        known = known.known()
    if is_frame(known):
        known = _of_frame(known, space)
    if not isinstance(known, tuple) or len(known) not in (2, 3):
        raise ValueError(f"known must be {FORMS}, got {type(known).__name__}")
    points, *columns = known
    return points, columns


def _check_columns(columns: Sequence[Any], returned: bool) -> None:
    """Refuse values with constraints unless `fun` returns them, and values alone if it does."""
    with_constraints = len(columns) == 2
    if returned and not with_constraints:
        raise ValueError(
            "with constraints='returned', known= must be (points, values, constraints); "
            "a Result lacks the constraints, so continue from its checkpoint= instead"
        )
    if with_constraints and not returned:
        raise ValueError(
            "known=(points, values, constraints) requires constraints='returned'; "
            "if the constraints are functions, pass known=(points, values)"
        )


def _of_frame(frame: Frame, space: Space | None) -> tuple[Any, Any]:
    """Points and values of a data frame, such as `History.to_pandas` makes."""
    if VALUE not in frame.columns or (space is not None and VALUE in space.searched):
        raise ValueError(f"known: a data frame needs a column {VALUE!r}, which is no parameter")
    return _without_record(frame, space), frame[VALUE]


def _numbers(columns: Sequence[Any]) -> Floats:
    """Values, (k,), or values and constraints, (k, 1 + K)."""
    try:
        read = [np.asarray(untensored(column), dtype=np.float64) for column in columns]
        if len(read) == 1:
            return read[0]
        return np.column_stack(read)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            "values and constraints in known must be numbers, one row per point"
        ) from None
