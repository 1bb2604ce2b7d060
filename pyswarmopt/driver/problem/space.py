"""Named parameters: the definition of a search space, and the map from coordinates to the
objective's arguments.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import require_callable
from pyswarmopt.base.words import without_addresses
from pyswarmopt.driver.problem.parameters import (
    Coordinates,
    Keyed,
    Real,
    Shares,
    When,
    read_parameter,
)


class Space:
    """Parameters by name, and their coordinates in the search.

    Args:
        given: name -> specification: ``(low, high)`` for a real number, ``[a, b, ...]`` for a
            choice, `ordered`, `log`, `integer`, `fixed`, `when`, `Subset`, `Permutation`, `Shares`,
            or a plain number, string, boolean or None, which is fixed.

    Attributes:
        names: names of the coordinates: the parameter's name, or ``order[0]``, ``order[1]``, ...
        searched: names of the searched parameters.
        owners: for each coordinate, the parameter that it belongs to.
        bounds: (low, high) of each coordinate.
        integrality: mask of integers.
        rounded: mask of logarithms of integers and of keys.
        orders: the coordinates of each permutation.
        categorical: mask of the indices of choices.

    Raises:
        TypeError: a parameter has none of these forms.
        ValueError: a range is empty, or a condition does not name an earlier parameter and values
            of it.

    Example:
        >>> import pyswarmopt as pso
        >>> space = Space({"lr": pso.log(1e-4, 1.0), "layers": pso.integer(1, 8), "opt": ["adam", "sgd"], "batch": 32})
        >>> space.decode([np.log(0.25), 3.0, 1.0])
        {'lr': 0.25, 'layers': 3, 'opt': 'sgd', 'batch': 32}
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        if not isinstance(given, Mapping):
            raise TypeError(f"space={given!r}: use a dict of names, such as {{'lr': (0, 1)}}")
        self._given = {name: read_parameter(name, spec) for name, spec in given.items()}
        # each parameter when active, its conditions, and its coordinates
        self._parameters: dict[str, Coordinates] = {}
        self._conditions: dict[str, list[When]] = {}
        self._spans: dict[str, slice] = {}
        self.names: list[str] = []
        self.owners: list[str] = []
        self.bounds: list[tuple[float, float]] = []
        self.orders: list[slice] = []
        for name, parameter in self._given.items():
            conditions = []
            while isinstance(parameter, When):
                self._check_condition(name, parameter)
                conditions.append(parameter)
                parameter = parameter.parameter
            self._conditions[name] = conditions
            self._append(name, parameter)
        self.searched = list(dict.fromkeys(self.owners))
        if not self.searched:
            raise ValueError(
                "space= must contain a parameter to search, such as (low, high) or a list of choices"
            )
        kinds = [self._parameters[name].kind for name in self.owners]
        self.integrality = [kind == "integer" for kind in kinds]
        self.rounded = [kind in ("rounded", "order") for kind in kinds]
        self.categorical = [kind == "label" for kind in kinds]

    def _append(self, name: str, parameter: Coordinates) -> None:
        """Append a parameter with its coordinates, of which a fixed one has none."""
        count = len(parameter.sides)
        span = slice(len(self.names), len(self.names) + count)
        self._parameters[name] = parameter
        self._spans[name] = span
        self.bounds += parameter.sides
        self.owners += [name] * count
        if isinstance(parameter, Keyed | Shares):
            self.names += [f"{name}[{i}]" for i in range(count)]
        else:
            self.names += [name] * count
        if parameter.kind == "order":
            self.orders.append(span)

    def parameter(self, name: str) -> Coordinates:
        """The parameter with this name, without its conditions."""
        return self._parameters[name]

    def describe(self) -> dict[str, str]:
        """A description of the parameters for a checkpoint, without memory addresses, which differ
        between processes.

        Example:
            >>> Space({"x": (0.1, 1.0), "f": [len]}).describe()
            {'x': 'Real(low=0.1, high=1.0, log=False)', 'f': 'Choice(options=(<built-in function len>,))'}
        """
        return {name: without_addresses(repr(p)) for name, p in self._given.items()}

    def decode(self, x: Any) -> Any:
        """The active parameters at a point, (D,), as plain Python values; a list for points, (n,
        D).
        """
        if isinstance(x, np.ndarray) and x.ndim == 2:
            return [self.decode(point) for point in x]
        values = [float(value) for value in x]
        params: dict[str, Any] = {}
        for name, parameter in self._parameters.items():
            if all(condition.holds(params) for condition in self._conditions[name]):
                params[name] = parameter.decode(values[self._spans[name]])
        return params

    def canonical(self, x: Floats) -> Floats:
        """The representative of all points with the same parameters as x, (D,)."""
        if not (any(self.rounded) or any(self._conditions.values())):
            return x
        return self._filled(np.full(len(self.names), np.nan), self.decode(x))

    def allows(self, params: Mapping[str, Any], argument: str = "x0") -> bool:
        """Whether every parameter has an allowed value.

        Raises:
            ValueError: a name is unknown; the message says in which argument.
        """
        return not self._wrong(params, argument)

    def _wrong(self, params: Mapping[str, Any], argument: str) -> list[str]:
        """The names of the parameters that may not have their values."""
        for name in params:
            if name not in self._parameters:
                raise ValueError(
                    f"{argument}: {name!r} is not among the parameters of the space: "
                    f"{', '.join(self._parameters)}"
                )
        return [n for n, value in params.items() if not self._parameters[n].allows(value)]

    def encode(self, params: Mapping[str, Any], argument: str = "x0") -> Floats:
        """The point, (D,), with these parameters; missing ones are in the middle of their range.

        Raises:
            ValueError: a name is unknown, a value is not allowed, or an active parameter is
                missing.
        """
        wrong = self._wrong(params, argument)
        if wrong:
            raise ValueError(
                f"{argument}: {wrong[0]}={params[wrong[0]]!r} is outside the space, which declares "
                f"{self._given[wrong[0]]}"
            )
        x = np.mean(self.bounds, axis=1)
        x[self.categorical] = 0.0
        x[self.integrality] = np.floor(x[self.integrality])
        self._filled(x, params)
        missing = sorted(set(self.searched) & self.decode(x).keys() - params.keys())
        if missing:
            raise ValueError(f"{argument} lacks {', '.join(missing)}")
        return x

    def _filled(self, x: Floats, params: Mapping[str, Any]) -> Floats:
        """The point x, (D,), changed to have the coordinates of some parameters."""
        for name, value in params.items():
            x[self._spans[name]] = self._parameters[name].encode(value)
        return x

    def on_dicts(self, fun: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Turn a function of a dict of parameters, or a list of dicts, into a function of points,
        (D,) or (n, D).
        """
        return functools.partial(_call, fun, self, None)

    def named(
        self, fun: Callable[..., Any], what: str = "fun", some: bool = False
    ) -> Callable[[Any], Any]:
        """Turn a function of named parameters into a function of points, (D,).

        Args:
            fun: accepts the names as keyword arguments, or has one parameter with another name,
                which receives a dict.
            what: name of the function in messages.
            some: whether it may accept only some of the names.

        Raises:
            TypeError: `fun` cannot be called.
            ValueError: `fun` accepts other names.
        """
        require_callable(what, fun)
        names = list(self._parameters)
        try:
            signature = inspect.signature(fun)
        except (TypeError, ValueError):  # some built-in functions have no signature
            return functools.partial(_call, fun, self, names)
        takes = signature.parameters
        anything = any(p.kind is p.VAR_KEYWORD for p in takes.values())
        if len(takes) == 1 and not anything and not takes.keys() & self._parameters.keys():
            return self.on_dicts(fun)
        if some and not anything:
            names = [name for name in names if name in takes]
        always = [name for name in names if not self._conditions[name]]
        try:
            signature.bind(**dict.fromkeys(names))
            signature.bind(**dict.fromkeys(always))
        except TypeError as error:
            raise ValueError(
                f"{what} takes {signature}, but the space has {', '.join(self._parameters)} ({error}); "
                "use the space's names (with defaults for conditional ones), or a single parameter, "
                "which receives a dict"
            ) from None
        return functools.partial(_call, fun, self, names)

    def _check_condition(self, name: str, condition: When) -> None:
        parent = self._parameters.get(condition.name)  # of the earlier ones
        if (
            parent is None
            or type(parent) in (Real, Shares)
            or not all(map(parent.allows, condition.values))
        ):
            raise ValueError(
                f"space[{name!r}]: when({condition.name!r}, ...) must name an earlier choice or "
                "integer and a value that it can take (or a list of values)"
            )


def _call(fun: Callable[..., Any], space: Space, names: list[str] | None, x: Any) -> Any:
    """Call `fun` with the named parameters as keyword arguments, or with a dict of all."""
    params = space.decode(np.asarray(x))
    if names is None:
        return fun(params)
    return fun(**{name: params[name] for name in names if name in params})
