"""Result of a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.history import History
from pyswarmopt.driver.problem.constraints import Breach
from pyswarmopt.parts import stopping

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

R = TypeVar("R")
INTERRUPTED = "interrupted"  # reason to stop after Ctrl-C
FAILED = "exception"  # after an exception

TIMEOUT = "timeout"  # when the time is up
EXHAUSTED = "exhausted"  # when nothing new is proposed

# reason -> status and words; the status of any other reason is "budget", and its name are its words
REASONS = {
    INTERRUPTED: ("interrupted", "interrupted"),
    FAILED: ("exception", "an exception was raised"),
    stopping.Target.reason: ("target", "the target was reached"),
    "callback": ("callback", "the callback said stop"),
    TIMEOUT: ("time", "the limit of time was reached"),
    stopping.Patience.reason: ("converged", "nothing was gained for too long"),
    EXHAUSTED: ("exhausted", "all points that were proposed are known"),
    stopping.MaxIter.reason: ("budget", "the limit of iterations was reached"),
    stopping.MaxEvals.reason: ("budget", "the limit of evaluations was reached"),
}


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """Result of a search; fields shared with SciPy's `OptimizeResult` have the same meaning.

    Attributes:
        x: the best point, (D,) float64; a feasible one if any was found, else the one that breaks
            the constraints least.
        fun: the objective there; ``fun(x)``, with ``vectorized=True`` ``fun(x[None])[0]``, gives
            it again, bit for bit, if the objective is deterministic. With ``noisy=True`` the mean
            of `n_best` draws; infinitely bad if there is none. Where a last call at x gave another
            value than before, it is that one, and `message` says so.
        nfev: calls of the objective; a call on m points counts m.
        nit: moves of the swarm.
        success: a finite value was found, at a feasible point, and the target was reached if there
            was one; whichever algorithm ran. False after Ctrl-C and an exception. A budget that was
            used up is no failure, and no proof of an optimum either: see `status`.
        message: why the search ended, in words.
        stop: why it ended: reason to value, as `Swarm.stop` gives it; empty while it goes on.
        history: records in the requested detail.
        fun_stderr: standard error of `fun`; 0 unless ``noisy=True``, infinite for a single draw.
        n_best: number of draws averaged in `fun`.
        maxcv: the largest amount by which x breaks a constraint. An equality counts as met within
            ``equality_tolerance``, and `maxcv` says by how much it is missed.
        algorithm: what ran: "default" for the search of ``recipe=None``, else the name of the recipe.
        params: with ``space=``, the best parameters by name, as plain Python values; else None. `x`
            is their coordinates: logarithms on logarithmic scales, indices of choices.
        space: the searched `Space`, if any.
        maximize: whether larger is better.
        feasible: whether x meets all constraints, equalities within ``equality_tolerance``.
        seed: the search's seed; None if none was given.
        status: how the search stands, in a word. "target": that was reached. "converged": nothing
            was gained any more. "exhausted": every point was evaluated. "budget", "time":
            evaluations or iterations, or the time, were used up, and more might gain something. "infeasible": no
            feasible point was found. "failed": no finite value was. "callback", "interrupted"
            (Ctrl-C), "exception": what ended it. "running": it goes on.
        failures: calls that raised an error which `on_error` forgave, by its type and first message,
            or gave no finite number.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-1, 1)] * 2, max_evals=30, seed=0)
        >>> r.nfev, r.x.shape, r.status
        (30, (2,), 'budget')
    """

    x: Floats
    fun: float
    nfev: int
    nit: int
    success: bool
    message: str
    stop: dict[str, float]
    history: History
    fun_stderr: float = 0.0
    n_best: int = 1
    maxcv: float = 0.0
    algorithm: str = ""
    params: dict[str, Any] | None = None
    space: Space | None = None
    maximize: bool = False
    feasible: bool = True
    seed: int | None = None
    status: str = "running"
    failures: dict[str, int] = field(default_factory=dict)

    def evaluated(self, feasible: bool = True) -> tuple[Floats | list[dict[str, Any]], Floats]:
        """The evaluated points with a value, (n, D), or with ``space=`` a dict of active parameters
        for each; and their values, (n,). A point that came up again, without a second call, is
        listed again.

        `history.to_pandas()` has all points as a table, with their violations, too.

        Args:
            feasible: leave out points that break a constraint.

        Raises:
            ValueError: they were not kept.
        """
        x, values = self._particles(feasible)
        return x if self.space is None else [self.space.decode(point) for point in x], values

    def _particles(self, feasible: bool = True) -> tuple[Floats, Floats]:
        """The evaluated points, (n, D), and their finite values, (n,)."""
        x, values = self.history.evaluated(feasible)
        if not len(x):
            raise ValueError(
                "this search kept no positions: run minimize(..., history='particles')"
            )
        return x, values

    def importance(self) -> dict[str, float]:
        """Importance of each single parameter: shares that sum to 1, largest first.

        These are the main effects of `pyswarmopt.driver.problem.importance.main_effects`. Without
        ``space=`` parameters are named x0, x1, ..., with the ranges of the evaluated points.

        Raises:
            ValueError: the evaluated points were not kept, as they are with ``space=`` or
                ``history="particles"``.
        """
        from pyswarmopt.driver.problem.importance import main_effects

        x, values = self._particles()
        names = [f"x{i}" for i in range(x.shape[1])]
        low = x.min(axis=0)
        high = x.max(axis=0)
        whole = np.zeros(x.shape[1], dtype=np.bool_)
        if self.space is not None:
            names = self.space.names
            low, high = np.array(self.space.bounds).T
            whole = np.array(self.space.integrality) | np.array(self.space.categorical)
            active = [self.space.decode(point).keys() for point in x]
            owners = self.space.owners
            x = np.where([[name in each for name in owners] for each in active], x, np.nan)
        shares = dict(zip(names, main_effects(x, values, low, high, whole).tolist(), strict=True))
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def __repr__(self) -> str:
        """A line for each of the main fields; parameters by name stand for x."""
        point = "x" if self.params is None else "params"
        names = ("message", "success", "status", "fun", point, "nit", "nfev", "algorithm")
        with np.printoptions(precision=3, threshold=10, edgeitems=3):
            return "\n".join(f"{name:>10}: {getattr(self, name)}" for name in names)


def keep_in(error: Exception, result: Any) -> None:
    """Attach the result so far to an exception, as its `result`."""
    vars(error)["result"] = result
    if result.nfev > 1 or np.isfinite(result.fun).any():
        error.add_note(
            f"the search so far, {result.nfev} evaluations, is the attribute `result` of this "
            "exception"
        )


def message(stop: Mapping[str, float], finite: bool, breach: Breach) -> str:
    """The reasons to stop in words, and the fault of a result without a finite value or
    feasibility.
    """
    words = [REASONS.get(reason, ("", reason))[1] for reason in stop]
    text = "; ".join(words) or "the search goes on"
    if not breach.feasible:
        return f"{text}; no feasible point was found: {breach.words}"
    return text if finite else f"{text}; no finite value was found"


def status(stop: Mapping[str, float], finite: bool, feasible: bool) -> str:
    """The state of a search in one word, as listed in `Result`."""
    if not stop:
        return "running"
    first = next((reason for reason in REASONS if reason in stop), "")
    if first in (INTERRUPTED, FAILED):
        return first
    if not feasible:
        return "infeasible"
    if not finite:
        return "failed"
    return REASONS.get(first, ("budget", ""))[0]


def failed_calls(failures: Mapping[str, int], calls: int) -> str:
    """Failed calls in words; empty if there are none.

    Example:
        >>> failed_calls({"inf": 2, "RuntimeError: mesh failed": 4}, 60)
        '; 6 of 60 calls failed: 2 inf, 4 RuntimeError: mesh failed'
    """
    if not failures:
        return ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in failures.items())
    return f"; {sum(failures.values())} of {calls} calls failed: {kinds}"


def wants_to_stop(callback: Callable[[R], bool | None], result: R) -> bool:
    """Whether a callback returns True or raises StopIteration."""
    try:
        return bool(callback(result))
    except StopIteration:
        return True
