"""The types of named parameters, and the coordinates that represent them in a search."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Real:
    """A real parameter from low to high; on a logarithmic scale its coordinate is its natural
    logarithm.

    Attributes:
        low: the smallest value.
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
        least = -math.inf
        if self.log:
            least = 0.0
        if not (numbers and least < self.low < self.high < math.inf):
            raise ValueError(
                f"({self.low}, {self.high}): bounds must be finite numbers, low below high, and above "
                "0 on a logarithmic scale"
            )

    @property
    def kind(self) -> str:
        """Type of the coordinates: "real"; "integer", rounded by the search; "rounded", where
        several have the same value; or "label", the index of a choice.
        """
        return "real"

    @property
    def sides(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each coordinate."""
        return [(self.encode(self.low)[0], self.encode(self.high)[0])]

    def decode(self, x: Sequence[float]) -> float:
        """The value at the given coordinates."""
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
    """A whole number from low to high. The search rounds it; on a log scale, this class does.

    Attributes:
        low: the smallest value.
        high: the largest value.

    Example:
        >>> Integer(1, 8).decode([2.6])
        3
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = self.low == int(self.low) and self.high == int(self.high)
        if not whole or max(abs(self.low), abs(self.high)) > 2**53:  # without odd floats beyond
            raise ValueError(f"({self.low}, {self.high}): use whole numbers up to 2**53")

    @property
    def kind(self) -> str:
        """Type of its coordinates; see `Real`."""
        if self.log:
            return "rounded"
        return "integer"

    @property
    def sides(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each coordinate."""
        if self.log:
            return [(math.log(self.low - 0.5), math.log(self.high + 0.5))]
        return super().sides

    def decode(self, x: Sequence[float]) -> int:
        """The value at the given coordinates."""
        return round(super().decode(x))

    def allows(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        return super().allows(value) and value == int(value)


@dataclass(frozen=True)
class Choice:
    """One of several values without an order; the coordinate is its index."""

    options: Sequence[Any]
    kind = "label"

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("[]: a list of choices must not be empty")

    @property
    def sides(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each coordinate."""
        return [(0.0, len(self.options) - 1)]

    def decode(self, x: Sequence[float]) -> Any:
        """The value at the given coordinates."""
        return self.options[round(x[0])]

    def encode(self, value: Any) -> list[float]:
        """The coordinates of a value."""
        return [_place(value, self.options)]

    def allows(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        return _among(value, self.options)


@dataclass(frozen=True)
class Ordered(Choice):
    """One of several ordered values, of which neighbours are similar; the coordinate is the index.

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
            raise ValueError(f"{list(items)}: list at least one item, and each item only once")
        object.__setattr__(self, "items", items)

    @property
    def sides(self) -> list[tuple[float, float]]:
        """Lower and upper bound of each coordinate."""
        return [(0.0, 1.0)] * len(self.items)

    @property
    def count(self) -> int:
        """The number of items in a value."""
        return len(self.items)

    def allows(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        if not _is_list(value):
            return False
        there = sum(_among(item, value) for item in self.items)
        return there == len(value) == self.count


@dataclass(frozen=True)
class Subset(Keyed):
    """A subset of items, for `space=`, in the order in which they are given.

    The search gives each item a key and chooses the items with the largest keys.

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

    @property
    def count(self) -> int:
        """The number of items in a value."""
        return self.k

    def decode(self, x: Sequence[float]) -> list[Any]:
        """The value at the given coordinates."""
        largest = np.argsort(-np.asarray(x), kind="stable")[: self.k]
        return [self.items[i] for i in sorted(largest.tolist())]

    def encode(self, value: Any) -> list[float]:
        """The coordinates of a value."""
        return [_among(item, value) for item in self.items]


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
        """The value at the given coordinates."""
        return [self.items[i] for i in np.argsort(np.asarray(x), kind="stable")]

    def encode(self, value: Any) -> list[float]:
        """The coordinates of a value."""
        return [_place(item, value) / max(len(self.items) - 1, 1) for item in self.items]


@dataclass(frozen=True)
class Shares:
    """Non-negative numbers that sum to 1, such as mixing weights, for `space=`.

    The search uses stick breaking: each coordinate is the fraction of the remainder that the next
    number takes, on a scale on which all mixtures are equally likely.

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
        """The value at the given coordinates."""
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
    sides = ()

    def decode(self, x: Sequence[float]) -> Any:
        """The value at the given coordinates."""
        return self.value

    def encode(self, value: Any) -> list[float]:
        """The coordinates of a value."""
        return []

    def allows(self, value: Any) -> bool:
        """Whether the parameter can take a value."""
        return _same(self.value, value)


@dataclass(frozen=True)
class When:
    """A parameter that is active only if another parameter has one of the given values.

    Attributes:
        name: name of the other parameter.
        values: those values.
        parameter: the parameter, when active.

    Example:
        >>> When("kind", ("b",), Real(0.0, 1.0)).name
        'kind'
    """

    name: str
    values: tuple[Any, ...]
    parameter: Parameter

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether the other parameter has one of these values."""
        return self.name in params and _among(params[self.name], self.values)


Coordinates = Real | Integer | Choice | Subset | Permutation | Shares | Fixed
Parameter = Coordinates | When


def log(low: float, high: float) -> Real:
    """A real parameter for `space=`, searched on a logarithmic scale: 0 < low < high.

    Args:
        low: the smallest value, above 0.
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


def integer(low: int, high: int, log: bool = False, step: int = 1) -> Integer | Ordered:
    """A whole number for `space=`, both bounds included; with `log`, on a logarithmic scale, which
    needs `low` >= 1.

    Args:
        low: the smallest value.
        high: the largest value.
        log: whether the scale is logarithmic.
        step: distance between values, starting at `low`; not on a logarithmic scale.

    Returns:
        The parameter.

    Raises:
        ValueError: invalid bounds.

    Example:
        >>> integer(1, 8).allows(8), integer(1, 8).allows(2.5), integer(60, 80, step=5).allows(62)
        (True, False, False)
    """
    every = Integer(low, high, log)
    if step == 1:
        return every
    if log or not (isinstance(step, int) and step > 1):
        raise ValueError(
            f"step={step!r}: use a whole number of at least 1, and none on a logarithmic scale"
        )
    return Ordered(range(int(low), int(high) + 1, step))


def ordered(options: Iterable[Any]) -> Ordered:
    """A choice for `space=` with ordered values, such as the sizes in a catalogue.

    Args:
        options: the values in order, so that neighbours are similar.

    Returns:
        The parameter.

    Raises:
        ValueError: there are no values.

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
        value: the value, or list of values, of that parameter at which this one is active.
            Otherwise this one is not passed to the objective and is not in `Result.params`.
        parameter: any parameter of a space.

    Returns:
        The parameter.

    Example:
        >>> import pyswarmopt as pso
        >>> space = pso.Space({"opt": ["adam", "sgd"], "momentum": when("opt", "sgd", (0.0, 1.0))})
        >>> space.decode([0, 0.5]), space.decode([1, 0.5])
        ({'opt': 'adam'}, {'opt': 'sgd', 'momentum': 0.5})
    """
    if not isinstance(value, list):
        value = [value]
    return When(name, tuple(value), read_parameter(name, parameter))


def read_parameter(name: str, spec: Any) -> Parameter:
    """The parameter of a specification: a range, a list of choices, a parameter or a plain value."""
    try:
        if isinstance(spec, tuple) and len(spec) == 2:
            return Real(*spec)
        if isinstance(spec, np.ndarray | np.generic):
            spec = spec.tolist()
        if isinstance(spec, list):
            pairs = len(spec) > 1 and all(isinstance(each, tuple) for each in spec)
            if pairs and all(map(_is_number, itertools.chain(*spec))):
                raise ValueError(
                    f"{spec}: to search several numbers, give each a name, or use pso.Shares if they "
                    "sum to 1; to choose between pairs, write each pair as a list"
                )
            return Choice(tuple(spec))
    except ValueError as error:
        raise ValueError(f"space[{name!r}] = {error}") from None
    if isinstance(spec, Parameter):
        return spec
    if spec is None or isinstance(spec, str | bool | int | float):
        return Fixed(spec)
    raise TypeError(
        f"space[{name!r}] = {spec!r}: use (low, high) for a range of numbers or a list for a choice; "
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
