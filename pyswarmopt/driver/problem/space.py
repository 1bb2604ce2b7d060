"""Named parameters: the definition of a search space, and the map from coordinates to the
objective's arguments.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.inputs import require_callable
from pyswarmopt.base.words import without_addresses


@dataclass(frozen=True)
class Real:
    """A real parameter from low to high; on a logarithmic scale its coordinate is its natural
    logarithm.

    Attributes:
        low: the least value.
        high: the largest value.
        log: whether the scale is logarithmic.

    Example:
        >>> Real(0.0, 1.0).allows(0.5)
        True
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        numbers = _is_number(self.low) and _is_number(self.high)
        least = 0.0 if self.log else -math.inf
        if not (numbers and least < self.low < self.high < math.inf):
            raise ValueError(
                f"({self.low}, {self.high}): bounds must be finite numbers, low below high, and above "
                "0 on a logarithmic scale"
            )

    @property
    def kind(self) -> str:
        """Of coordinates: "real"; "integer", rounded by the search; "rounded", where several have
        the same value; or "label", the index of a choice.
        """
        return "real"

    @property
    def sides(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each coordinate."""
        return [(self.encode(self.low)[0], self.encode(self.high)[0])]

    def decode(self, x: Sequence[float]) -> float:
        """The value at its coordinates."""
        value = x[0]
        if self.log:
            value = math.exp(value)
        return min(max(value, float(self.low)), float(self.high))

    def encode(self, value: float) -> list[float]:
        """The coordinates of a value."""
        if self.log:
            return [math.log(value)]
        return [float(value)]

    def allows(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        return _is_number(value) and self.low <= value <= self.high


@dataclass(frozen=True)
class Integer(Real):
    """A whole number from low to high; rounded here on a logarithmic scale, else by the search.
    With steps, or beyond 2**53, the coordinate is their number.

    Attributes:
        low: the least value.
        high: the largest value.
        step: distance between values.

    Example:
        >>> Integer(1, 8).decode([2.6]), Integer(10, 40, step=10).decode([2.6])
        (3, 40)
    """

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = all(_is_number(n) and n == int(n) for n in (self.low, self.high, self.step))
        if not whole or self.step < 1 or (self.log and self.step != 1):
            raise ValueError(
                f"({self.low}, {self.high}), step {self.step}: use whole numbers, a step of at "
                "least 1, and none on a logarithmic scale"
            )

    @property
    def _counts(self) -> bool:
        """Whether a coordinate counts steps: float64 has no odd numbers beyond 2**53."""
        large = max(abs(self.low), abs(self.high)) > 2**53
        return self.step != 1 or (large and not self.log)

    @property
    def kind(self) -> str:
        """Of its coordinates; see `Real`."""
        return "rounded" if self.log else "integer"

    @property
    def sides(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each coordinate."""
        if self.log:
            return [(math.log(self.low - 0.5), math.log(self.high + 0.5))]
        if self._counts:
            return [(0.0, (self.high - self.low) // self.step)]
        return super().sides

    def decode(self, x: Sequence[float]) -> int:
        """The value at its coordinates."""
        if self._counts:
            return min(self.low + round(x[0]) * self.step, self.high)
        return round(super().decode(x))

    def encode(self, value: float) -> list[float]:
        """The coordinates of a value."""
        if self._counts:
            return [(value - self.low) / self.step]
        return super().encode(value)

    def allows(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        return super().allows(value) and (value - self.low) % self.step == 0


@dataclass(frozen=True)
class Choice:
    """One of several values without an order; the coordinate is its index."""

    options: tuple[Any, ...]
    kind = "label"

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("[]: a list of choices must not be empty")

    @property
    def sides(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each coordinate."""
        return [(0.0, float(len(self.options) - 1))]

    def decode(self, x: Sequence[float]) -> Any:
        """The value at its coordinates."""
        return self.options[round(x[0])]

    def encode(self, value: Any) -> list[float]:
        """The coordinates of a value."""
        return [float(_place(value, self.options))]

    def allows(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        return _among(value, self.options)


@dataclass(frozen=True)
class Ordered(Choice):
    """One of several ordered values, with similar neighbours; the coordinate is its index.

    Example:
        >>> Ordered((1.0, 1.2, 2.0)).decode([1.2])
        1.2
    """

    kind = "integer"


@dataclass(frozen=True)
class Keyed:
    """Items with a key each (the random keys of Bean 1994, ORSA J. Computing 6(2)).

    Attributes:
        items: each once.
    """

    items: Sequence[Any]
    kind = "rounded"

    def __post_init__(self) -> None:
        items = tuple(self.items)
        if not items or any(_among(item, items[:i]) for i, item in enumerate(items)):
            raise ValueError(f"{list(items)}: list at least one item, and each only once")
        object.__setattr__(self, "items", items)

    @property
    def sides(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each coordinate."""
        return [(0.0, 1.0)] * len(self.items)

    def allows(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        count = getattr(self, "k", len(self.items))
        there = 0
        if _is_list(value):
            there = sum(_among(item, value) for item in self.items)
        return there == count == len(value)


@dataclass(frozen=True)
class Subset(Keyed):
    """A subset of items, for `space=`, in the order in which they are given.

    The search moves a key for each item, and the items with the largest keys are chosen.

    Attributes:
        items: the items to choose from, each listed once.
        k: how many to choose.

    Example:
        >>> Subset(["a", "b", "c"], 2).decode([0.9, 0.1, 0.5])
        ['a', 'c']
    """

    k: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.k, int) and 0 < self.k <= len(self.items)):
            raise ValueError(f"k={self.k!r}: use a whole number from 1 to {len(self.items)}")

    def decode(self, x: Sequence[float]) -> list[Any]:
        """The value at its coordinates."""
        largest = np.argsort(-np.asarray(x), kind="stable")[: self.k]
        return [self.items[i] for i in sorted(largest.tolist())]

    def encode(self, value: Any) -> list[float]:
        """The coordinates of a value."""
        return [float(_among(item, value)) for item in self.items]


@dataclass(frozen=True)
class Permutation(Keyed):
    """An ordering of items, for `space=`; searched by keys, like `Subset`.

    Attributes:
        items: the items to order, each listed once.

    Example:
        >>> Permutation(["a", "b", "c"]).decode([0.9, 0.1, 0.5])
        ['b', 'c', 'a']
    """

    kind = "order"

    def decode(self, x: Sequence[float]) -> list[Any]:
        """The value at its coordinates."""
        return [self.items[i] for i in np.argsort(np.asarray(x), kind="stable")]

    def encode(self, value: Any) -> list[float]:
        """The coordinates of a value."""
        return [_place(item, value) / max(len(self.items) - 1, 1) for item in self.items]


@dataclass(frozen=True)
class Shares:
    """Non-negative numbers that sum to 1, such as mixing weights, for `space=`.

    The search uses stick breaking: each coordinate is the fraction of the remainder that comes
    next, on a scale on which all mixtures are equally likely.

    Attributes:
        n: how many numbers, at least 2.

    Example:
        >>> [round(share, 3) for share in Shares(3).decode([0.75, 0.5])]
        [0.5, 0.25, 0.25]
    """

    n: int
    kind = "real"

    def __post_init__(self) -> None:
        if not (isinstance(self.n, int) and self.n >= 2):
            raise ValueError(f"n={self.n!r}: use a whole number of at least 2")

    @property
    def sides(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each coordinate."""
        return [(0.0, 1.0)] * (self.n - 1)

    def decode(self, x: Sequence[float]) -> list[float]:
        """The value at its coordinates."""
        shares = []
        rest = 1.0
        for i, u in enumerate(x):
            kept = rest * (1.0 - u) ** (1.0 / (self.n - 1 - i))
            shares.append(rest - kept)
            rest = kept
        return [*shares, rest]

    def encode(self, value: Any) -> list[float]:
        """The coordinates of a value."""
        x = []
        rest = 1.0
        for i, share in enumerate(value[:-1]):
            kept = max(rest - share, 0.0)
            u = 0.5
            if rest > 0:
                u = 1.0 - (kept / rest) ** (self.n - 1 - i)
            x.append(u)
            rest = kept
        return x

    def allows(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        shares = _is_list(value) and len(value) == self.n and all(map(_is_number, value))
        return shares and min(value) >= 0 and abs(sum(value) - 1.0) < 1e-6


@dataclass(frozen=True)
class Fixed:
    """A value that is not searched.

    Attributes:
        value: anything.

    Example:
        >>> Fixed(3).allows(4)
        False
    """

    value: Any
    kind = "fixed"
    sides: ClassVar[list[tuple[float, float]]] = []

    def decode(self, x: Sequence[float]) -> Any:
        """The value at its coordinates."""
        return self.value

    def encode(self, value: Any) -> list[float]:
        """The coordinates of a value."""
        return []

    def allows(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        return _same(self.value, value)


@dataclass(frozen=True)
class When:
    """A parameter that is active only if another one has one of some values.

    Attributes:
        name: name of the other parameter.
        values: values of the other parameter.
        parameter: the parameter, when active.

    Example:
        >>> When("kind", ("b",), Real(0.0, 1.0)).name
        'kind'
    """

    name: str
    values: tuple[Any, ...]
    parameter: Parameter

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether the other parameter has one of the values."""
        known = self.name in params
        return known and any(_same(params[self.name], value) for value in self.values)


Coordinates = Real | Integer | Choice | Subset | Permutation | Shares | Fixed
Parameter = Coordinates | When


def log(low: float, high: float) -> Real:
    """A real parameter for `space=`, searched on a logarithmic scale: 0 < low < high.

    Args:
        low: the least value, above 0.
        high: the largest value.

    Returns:
        The parameter.

    Raises:
        ValueError: invalid bounds.

    Example:
        >>> log(1e-5, 1.0).allows(0.01)
        True
    """
    return Real(low, high, log=True)


def integer(low: int, high: int, log: bool = False, step: int = 1) -> Integer:
    """A whole number for `space=`, both bounds included; with `log`, on a logarithmic scale, which
    needs `low` >= 1.

    Args:
        low: the least value.
        high: the largest value.
        log: whether the scale is logarithmic.
        step: distance between values, from `low` on.

    Returns:
        The parameter.

    Raises:
        ValueError: invalid bounds.

    Example:
        >>> integer(1, 8).allows(8), integer(1, 8).allows(2.5), integer(60, 80, step=5).allows(62)
        (True, False, False)
    """
    return Integer(low, high, log, step)


def ordered(options: Iterable[Any]) -> Ordered:
    """A choice for `space=` with ordered values, such as the sizes in a catalogue.

    Args:
        options: values in order, each next to its most similar ones.

    Returns:
        The parameter.

    Raises:
        ValueError: no values.

    Example:
        >>> ordered(["M4", "M5", "M6"]).allows("M5")
        True
    """
    return Ordered(tuple(options))


def fixed(value: Any) -> Fixed:
    """A value for `space=` that is passed to the objective and not searched; plain numbers and
    strings are also fixed.

    Args:
        value: anything.

    Returns:
        The parameter.

    Example:
        >>> fixed(3).value
        3
    """
    return Fixed(value)


def when(name: str, value: Any, parameter: Any) -> When:
    """A conditional parameter for `space=`.

    Args:
        name: name of an earlier parameter of the space: choices, an integer or a fixed value.
        value: value at which this parameter is active, or a list of values. Otherwise the parameter
            is not passed to the objective, and is not in `Result.params`.
        parameter: any parameter of a space.

    Returns:
        The parameter.

    Example:
        >>> space = Space({"opt": ["adam", "sgd"], "momentum": when("opt", "sgd", (0.0, 1.0))})
        >>> space.decode([0, 0.5]), space.decode([1, 0.5])
        ({'opt': 'adam'}, {'opt': 'sgd', 'momentum': 0.5})
    """
    values = value if isinstance(value, list) else [value]
    return When(name, tuple(values), _read(name, parameter))


class Space:
    """Parameters by name, and their coordinates in the search.

    Args:
        given: name -> specification: ``(low, high)`` a real number, ``[a, b, ...]`` a choice,
            `ordered`, `log`, `integer`, `fixed`, `when`, `Subset`, `Permutation`, `Shares`, or a
            plain number, string, boolean or None, which is fixed.

    Attributes:
        names: names of the coordinates: the parameter's name, or ``order[0]``, ``order[1]``, ...
        searched: names of the searched parameters.
        owners: for each coordinate, the parameter that it belongs to.
        bounds: (low, high) of each coordinate.
        integrality: mask of integers.
        rounded: mask of logarithms of integers, and of keys.
        orders: the coordinates of each permutation.
        categorical: mask of indices of choices.

    Raises:
        TypeError: a parameter has none of these forms.
        ValueError: an empty range, or a condition that does not name an earlier parameter and its
            values.

    Example:
        >>> space = Space({"lr": log(1e-4, 1.0), "layers": integer(1, 8), "opt": ["adam", "sgd"], "batch": 32})
        >>> space.decode([math.log(0.25), 3.0, 1.0])
        {'lr': 0.25, 'layers': 3, 'opt': 'sgd', 'batch': 32}
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        if not isinstance(given, Mapping):
            raise TypeError(f"space={given!r}: use a dict of names, such as {{'lr': (0, 1)}}")
        self._given = {name: _read(name, parameter) for name, parameter in given.items()}
        # each parameter, when active, and its condition
        self._parameters: dict[str, Coordinates] = {}
        self._conditions: dict[str, list[When]] = {}
        for name, parameter in self._given.items():
            conditions = []
            while isinstance(parameter, When):
                self._check_condition(name, parameter)
                conditions.append(parameter)
                parameter = parameter.parameter
            self._parameters[name] = parameter
            self._conditions[name] = conditions
        self._searched = {name: p for name, p in self._parameters.items() if p.sides}
        if not self._searched:
            raise ValueError(
                "space= has no parameter that can vary, such as (low, high) or a list of choices"
            )
        self.searched = list(self._searched)
        self.names: list[str] = []
        self.owners: list[str] = []
        self.bounds: list[tuple[float, float]] = []
        self.orders: list[slice] = []
        for name, parameter in self._searched.items():
            self._append(name, parameter)
        kinds = [self._searched[name].kind for name in self.owners]
        self.integrality = [kind == "integer" for kind in kinds]
        self.rounded = [kind in ("rounded", "order") for kind in kinds]
        self.categorical = [kind == "label" for kind in kinds]

    def _append(self, name: str, parameter: Coordinates) -> None:
        """Append the coordinates of a parameter."""
        first = len(self.names)
        count = len(parameter.sides)
        if parameter.kind == "order":
            self.orders.append(slice(first, first + count))
        self.bounds += parameter.sides
        self.owners += [name] * count
        if isinstance(parameter, Keyed | Shares):
            self.names += [f"{name}[{i}]" for i in range(count)]
        else:
            self.names.append(name)

    def parameter(self, name: str) -> Coordinates:
        """Kind of an active parameter."""
        return self._parameters[name]

    def describe(self) -> dict[str, str]:
        """A description of the parameters for a checkpoint: numbers with all digits (the same for
        Python's and NumPy's), whole arrays, and no memory addresses, which differ between
        processes.

        Example:
            >>> Space({"x": (np.float64(0.1), 1.0), "f": [len]}).describe()
            {'x': 'Real(low=0.1, high=1.0, log=False)', 'f': 'Choice(options=(<built-in function len>,))'}
        """
        with np.printoptions(legacy="1.25", threshold=sys.maxsize, precision=17):
            words = {name: repr(parameter) for name, parameter in self._given.items()}
        return {name: without_addresses(text) for name, text in words.items()}

    def decode(self, x: Any) -> Any:
        """The active parameters at a point, (D,), as plain Python values; a list for points, (n, D)."""
        if isinstance(x, np.ndarray) and x.ndim == 2:
            return [self.decode(point) for point in x]
        params: dict[str, Any] = {}
        coordinates: dict[str, list[float]] = {name: [] for name in self._parameters}
        for name, value in zip(self.owners, x, strict=True):
            coordinates[name].append(float(value))
        for name, parameter in self._parameters.items():
            conditions = self._conditions[name]
            if not conditions or all(condition.holds(params) for condition in conditions):
                params[name] = parameter.decode(coordinates[name])
        return params

    def canonical(self, x: Floats) -> Floats:
        """The representative of all points with the same parameters as x, (D,)."""
        return self._filled(np.full(len(self.names), np.nan), self.decode(x))

    @property
    def repeats(self) -> bool:
        """Whether several points can have the same parameters."""
        return any(self.rounded) or any(self._conditions.values())

    def allows(self, params: Mapping[str, Any], argument: str = "x0") -> bool:
        """Whether every parameter has an allowed value.

        Raises:
            ValueError: an unknown name; the message says which argument has it.
        """
        for name in params:
            if name not in self._parameters:
                raise ValueError(
                    f"{argument}: {name!r} is not in the space, which has "
                    f"{', '.join(self._parameters)}"
                )
        return all(self._parameters[name].allows(value) for name, value in params.items())

    def encode(self, params: Mapping[str, Any], argument: str = "x0") -> Floats:
        """The point, (D,), with these parameters; missing ones are in the middle of their range.

        Raises:
            ValueError: an unknown name, a forbidden value, or a missing active parameter.
        """
        if not self.allows(params, argument):
            wrong = [n for n, value in params.items() if not self._parameters[n].allows(value)]
            raise ValueError(
                f"{argument}: {wrong[0]}={params[wrong[0]]!r} is not in the space, which declares "
                f"{self._given[wrong[0]]}"
            )
        x = np.array([sum(bounds) / 2 for bounds in self.bounds])
        x[self.categorical] = 0.0
        x[self.integrality] = np.floor(x[self.integrality])
        x = self._filled(x, params)
        missing = sorted(self.decode(x).keys() & self._searched.keys() - params.keys())
        if missing:
            raise ValueError(f"{argument} lacks {', '.join(missing)}")
        return x

    def _filled(self, x: Floats, params: Mapping[str, Any]) -> Floats:
        """The point x, (D,), with the coordinates of some parameters."""
        x = x.copy()
        for name in self._searched.keys() & params.keys():
            parameter = self._searched[name]
            mine = [i for i, owner in enumerate(self.owners) if owner == name]
            x[mine] = parameter.encode(params[name])
        return x

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
            return functools.partial(_call, fun, self, None)
        if some and not anything:
            names = [name for name in names if name in takes]
        always = [name for name in names if not self._conditions[name]]
        try:
            signature.bind(**dict.fromkeys(names))
            signature.bind(**dict.fromkeys(always))
        except TypeError as error:
            raise ValueError(
                f"{what} takes {signature}, but the space has {', '.join(self._parameters)} ({error}); "
                "use these names (with defaults for conditional ones), or a single parameter, "
                "which receives a dict"
            ) from None
        return functools.partial(_call, fun, self, names)

    def _check_condition(self, name: str, condition: When) -> None:
        parent = self._parameters.get(condition.name)  # values of earlier parameters
        if (
            parent is None
            or type(parent) in (Real, Shares)
            or not all(map(parent.allows, condition.values))
        ):
            raise ValueError(
                f"space[{name!r}]: when({condition.name!r}, ...) must name an earlier choice or "
                "integer, and values that it can have (several as a list)"
            )


def _call(fun: Callable[..., Any], space: Space, names: list[str] | None, x: Any) -> Any:
    """Call `fun` with the named parameters as keyword arguments, or with a dict of all."""
    params = space.decode(np.asarray(x))
    if names is None:
        return fun(params)
    return fun(**{name: params[name] for name in names if name in params})


def _read(name: str, spec: Any) -> Parameter:
    try:
        if isinstance(spec, tuple) and len(spec) == 2:
            return Real(*spec)
        if isinstance(spec, np.ndarray | np.generic):
            spec = spec.tolist()
        if isinstance(spec, list):
            pairs = len(spec) > 1 and all(isinstance(each, tuple) for each in spec)
            if pairs and all(map(_is_number, itertools.chain(*spec))):
                raise ValueError(
                    f"{spec}: a list is a choice, here between pairs. To search numbers, name each, or "
                    "use pso.Shares if they sum to 1; to choose between pairs, write them as lists"
                )
            return Choice(tuple(spec))
    except ValueError as error:
        raise ValueError(f"space[{name!r}] = {error}") from None
    if isinstance(spec, Parameter):
        return spec
    if spec is None or isinstance(spec, str | bool | int | float):
        return Fixed(spec)
    raise TypeError(
        f"space[{name!r}] = {spec!r}: a tuple is a range of numbers (low, high), a list is a choice; "
        "see also pso.log, integer, ordered, fixed and when"
    )


def _place(item: Any, values: Iterable[Any]) -> int:
    return [_same(value, item) for value in values].index(True)


def _among(item: Any, values: Iterable[Any]) -> bool:
    return any(_same(item, value) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _same(a: Any, b: Any) -> bool:
    """Equality, with True unequal to 1."""
    return a is b or (isinstance(a, bool) == isinstance(b, bool) and bool(np.all(a == b)))
