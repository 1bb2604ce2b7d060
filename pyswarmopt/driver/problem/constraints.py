"""Constraints by feasibility rules: Deb 2000, Comput. Methods Appl. Mech. Engrg. 186, section 3.

Of two points the feasible one is better; of two feasible ones the one with the better value; of two
infeasible ones the one with the smaller violation. No penalty factor has to be chosen. Swarms use
only this order, so they need no value of the objective at infeasible points;
`pyswarmopt.default.constrained` also uses the amounts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats, as_array, holds_numbers, untensored
from pyswarmopt.base.record import NONE

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

EQUALITY_TOLERANCE = 1e-4  # allowed violation, from the CEC 2006 problems (Liang et al. 2006)
RETURNED = "returned"  # stands for constraints that fun returns with its value

HUGE = 1e296  # costs up to this are their own rank
LARGEST = float(np.finfo(np.float64).max)


class _Constraint(NamedTuple):
    """low <= fun(x) <= high."""

    fun: Callable[[Floats], Any]
    low: Floats
    high: Floats
    strict: bool
    matrix: Floats | None = None  # of a linear one, (J, D)

    def outside(self, x: Floats) -> tuple[Floats, Floats]:
        """Distance of x outside each bound, (K,), at most 0 inside and infinite if not a number;
        and the allowed distance, (K,), above 0 for equalities.
        """
        values = np.atleast_1d(as_array(self.fun(x.copy())))
        if values.dtype == np.bool_ or values.ndim != 1 or not holds_numbers(values):
            raise ValueError(
                f"a constraint returned {values.dtype} of shape {values.shape}; it must return the "
                "violation: a number or a vector that is at most 0 at feasible x"
            )
        if not {self.low.size, self.high.size} <= {1, values.size}:
            raise ValueError(
                f"a constraint has {max(self.low.size, self.high.size)} bounds in lb or ub, but returned "
                f"{values.size} values; use one bound per value, or one for all"
            )
        values = values.astype(np.float64)
        low = np.broadcast_to(self.low, values.shape)
        high = np.broadcast_to(self.high, values.shape)
        amounts = np.concatenate([low - values, values - high])
        slack = np.tile(np.where(low == high, EQUALITY_TOLERANCE, 0.0), 2)
        bounds = np.isfinite(np.concatenate([low, high]))
        return np.where(np.isnan(amounts), np.inf, amounts)[bounds], slack[bounds]


class Breach(NamedTuple):
    """How far a point violates the constraints.

    Attributes:
        most: the largest violation.
        feasible: whether the point counts as feasible.
        words: the worst violation, for a message.
    """

    most: float
    feasible: bool
    words: str

    @classmethod
    def of(cls, amounts: Floats, slack: Floats) -> Breach:
        """The breach for amounts, (K,), of which slack, (K,), is allowed."""
        beyond = amounts - slack
        if not beyond.size:
            return cls(0.0, True, "")
        worst = beyond.argmax()
        which = "a constraint"
        if beyond.size > 1:
            which = f"constraint {worst + 1} of {beyond.size}"
        words = f"x violates {which} by {amounts[worst]:.6g}"
        if slack[worst]:
            words += f", an equality, with tolerance {slack[worst]:g}"
        return cls(float(amounts.max(initial=0.0)), bool(beyond[worst] <= 0), words)


class Constraints:
    """All constraints of a search.

    Args:
        constraints: "returned" if `fun` returns them with its value; or one or several: callables
            g, ``(D,) -> number or (J,)``, with g(x) <= 0 where x is allowed; SciPy's
            `NonlinearConstraint` and `LinearConstraint`, or anything with `lb`, `ub` and `fun` or
            `A`; or SciPy's dicts, with the opposite sign: ``{"type": "ineq", "fun": g}`` for
            g(x) >= 0, "eq" for g(x) = 0. With ``keep_feasible``, an attribute or an entry, the
            objective is not called at infeasible points; as in SciPy it has no effect on equalities.
        dim: D.
        space: parameters by name, passed to the constraints, if any.

    Raises:
        TypeError: a constraint has none of these forms.
        ValueError: a linear constraint has another dimension, or is used with `space`.

    Example:
        >>> inside = Constraints(lambda x: x[0] ** 2 + x[1] ** 2 - 1.0, dim=2)
        >>> inside.violation(np.array([0.0, 0.5])), inside.violation(np.array([2.0, 0.0]))
        (0.0, 3.0)
    """

    def __init__(self, constraints: Any, dim: int, space: Space | None = None) -> None:
        self.returned = isinstance(constraints, str) and constraints == RETURNED
        if constraints is None or self.returned:
            constraints = []
        elif not isinstance(constraints, list | tuple):
            constraints = [constraints]
        self._constraints = [_read(constraint, dim, space) for constraint in constraints]
        # whether fun must not be called at some infeasible points (SciPy's keep_feasible)
        self.strict = any(c.strict for c in self._constraints)
        self.linear = _stacked(self._constraints)

    def __bool__(self) -> bool:
        return self.returned or bool(self._constraints)

    def repair(self, x: Floats, integers: Bools, low: Floats, high: Floats) -> Floats:
        """Change the integers of x, (D,), by whole steps until it meets the linear constraints, as
        long as each step breaks them less. Equal steps are chosen by lot, the same for the same x.

        Args:
            x: a point.
            integers: (D,) mask.
            low: (D,) bounds.
            high: (D,) bounds.
        """
        if self.linear is None:
            return x
        columns = np.flatnonzero(integers)
        matrix, least, most = self.linear
        which = np.concatenate([columns, columns])
        steps = np.repeat([-1.0, 1.0], len(columns))
        changes = matrix[:, which] * steps
        x = x.copy()
        lots = np.random.default_rng(np.frombuffer((x + 0.0).tobytes(), np.uint32))
        broken = _broken((matrix @ x)[:, None], least, most)[0]
        while broken > 0:
            after = _broken((matrix @ x)[:, None] + changes, least, most)
            moved = x[which] + steps
            after[(moved < low[which]) | (moved > high[which])] = math.inf
            if after.min() >= broken:
                break
            broken = after.min()
            move = lots.choice(np.flatnonzero(after == broken))
            x[which[move]] += steps[move]
        return x

    def outside(self, x: Floats) -> tuple[Floats, Floats]:
        """How far x, (D,), is outside each bound, (K,), at most 0 if allowed; and the allowed
        distance, (K,), above 0 only for equalities.
        """
        pairs = [constraint.outside(x) for constraint in self._constraints]
        columns = zip((NONE, NONE), *pairs, strict=True)
        amounts, slack = map(np.concatenate, columns)
        return amounts, slack

    def violation(self, x: Floats) -> float:
        """The total violation at x, (D,), 0 if feasible."""
        return total_violation(*self.outside(x))


def total_violation(amounts: Floats, slack: Floats) -> float:
    """The sum of the amounts, (K,), beyond their slack."""
    return float(np.maximum(amounts - slack, 0.0).sum())


def _stacked(constraints: list[_Constraint]) -> tuple[Floats, Floats, Floats] | None:
    """The rows of linear constraints, (J, D), and their bounds, (J, 1) each; None without any."""
    parts = [
        (c.matrix, *(np.broadcast_to(side, len(c.matrix))[:, None] for side in (c.low, c.high)))
        for c in constraints
        if c.matrix is not None
    ]
    if not parts:
        return None
    matrix, low, high = (np.concatenate(each) for each in zip(*parts, strict=True))
    return matrix, low, high


def _broken(values: Floats, low: Floats, high: Floats) -> Floats:
    """By how much values, (J, n), are outside their bounds, (J, 1) each, in all: (n,)."""
    total: Floats = np.maximum(np.maximum(low - values, values - high), 0.0).sum(axis=0)
    return total


def row_of(answer: Any, outputs: int = 1) -> Any:
    """A pair of value and constraints as one array, (1 + K,), or of several values, (outputs + K,);
    any other answer unchanged.

    Example:
        >>> row_of((2.0, [0.5, -1.0])).tolist()
        [2.0, 0.5, -1.0]
    """
    pair = untensored(answer)
    if not (isinstance(pair, list) and len(pair) == 2 and holds_numbers(np.asarray(pair[0]))):
        return answer
    amounts = np.asarray(pair[1])
    if np.size(pair[0]) != outputs or amounts.ndim > 1 or not holds_numbers(amounts):
        return answer
    return np.concatenate([np.ravel(pair[0]), np.ravel(amounts)]).astype(np.float64)


def _read(constraint: Any, dim: int, space: Space | None) -> _Constraint:
    if isinstance(constraint, dict):
        return _of_dict(constraint, space)
    strict = getattr(constraint, "keep_feasible", False)
    if not (hasattr(constraint, "lb") and hasattr(constraint, "ub")):
        return _made(constraint, space, -np.inf, 0.0, strict)
    bounds = constraint.lb, constraint.ub, strict
    if not hasattr(constraint, "A"):
        return _made(getattr(constraint, "fun", constraint), space, *bounds)
    # SciPy also accepts sparse matrices
    dense = constraint.A
    if hasattr(dense, "toarray"):
        dense = dense.toarray()
    matrix = np.atleast_2d(np.asarray(dense, dtype=np.float64))
    if space is not None or matrix.shape[1] != dim:
        raise ValueError(
            f"a linear constraint must have {dim} columns, one per coordinate, got "
            f"{matrix.shape[1]}; with space=, use a NonlinearConstraint or a callable of the "
            "parameters"
        )
    return _made(lambda x: matrix @ x, None, *bounds)._replace(matrix=matrix)


def _of_dict(constraint: dict[str, Any], space: Space | None) -> _Constraint:
    """One of SciPy's dicts: at least 0, or 0, where x is allowed."""
    known = constraint.keys() <= {"type", "fun", "jac", "keep_feasible"}
    right = constraint.get("type") in ("ineq", "eq") and callable(constraint.get("fun"))
    if not (known and right):
        raise ValueError(
            f"constraints: {constraint!r}: use {{'type': 'ineq' or 'eq', 'fun': a callable}}"
        )
    high = 0.0
    if constraint["type"] == "ineq":
        high = np.inf
    return _made(constraint["fun"], space, 0.0, high, constraint.get("keep_feasible", False))


def _made(fun: Any, space: Space | None, low: Any, high: Any, strict: Any) -> _Constraint:
    """A constraint from a function of points, or of parameters by name."""
    if not callable(fun):
        raise TypeError(
            f"constraints: {fun!r} is neither a callable nor a NonlinearConstraint or "
            "LinearConstraint; pass a callable g with g(x) <= 0 at feasible x, or 'returned' "
            "if fun returns (value, constraints)"
        )
    if space is not None:
        fun = space.named(fun, "a constraint", some=True)
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if min(low.size, high.size) not in (1, max(low.size, high.size)):
        raise ValueError(
            f"lb and ub of a constraint must have the same size, got {low.size} and {high.size}"
        )
    return _Constraint(fun, low, high, bool(np.any(np.asarray(strict) & (low != high))))


def ranked(costs: Floats, violations: Floats) -> Floats:
    """Deb's order as one number, for swarms: the cost of feasible points, and above all of these a
    number that grows with the violation of infeasible ones.

    Unlike the f_max + violation of Deb's equation 4, it does not change when other feasible points
    are found, so personal bests told at different times are comparable. The hundredth power keeps
    the order of all positive floats, from 5e-324 to 1.8e308, between 5e296 and 1.2e303. Costs above
    `HUGE` are moved between that and 4 times as much, keeping their order to 15 digits.

    Args:
        costs: (n,) lower is better; ignored for infeasible points.
        violations: (n,) sums of violations.

    Example:
        >>> (np.diff(ranked(np.array([7.0, 1.7e308, 0.0, 0.0]), np.array([0.0, 0.0, 1e-9, 2.0]))) > 0).tolist()
        [True, True, True]
    """
    above = np.log(np.clip(costs, HUGE, LARGEST) / HUGE) / math.log(LARGEST / HUGE)
    feasible = np.where((costs > HUGE) & (costs <= LARGEST), HUGE * (1 + 3 * above), costs)
    return np.where(violations > 0, 1e300 * violations**0.01, feasible)
