"""Result of a search."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt import __version__
from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.spelling import Elsewhere
from pyswarmopt.base.words import counted
from pyswarmopt.driver.history import History
from pyswarmopt.driver.problem.constraints import Breach
from pyswarmopt.parts import stopping

if TYPE_CHECKING:
    from pyswarmopt.driver.problem.space import Space

INTERRUPTED = "interrupted"  # reason to stop after Ctrl-C
FAILED = "exception"  # after an exception

TIMEOUT = "timeout"  # when the time is up
EXHAUSTED = "exhausted"  # when nothing new is proposed

# reason -> status and words; the status of any other reason is "budget"
REASONS = {
    INTERRUPTED: ("interrupted", "interrupted"),
    FAILED: ("exception", "an exception was raised"),
    stopping.Target.reason: ("target", "the target was reached"),
    "callback": ("callback", "the callback stopped the search"),
    TIMEOUT: ("time", "the time limit was reached"),
    stopping.Patience.reason: ("converged", "no improvement within the patience limit"),
    EXHAUSTED: ("exhausted", "every proposed point has already been evaluated"),
    stopping.MaxIter.reason: ("budget", "the iteration limit was reached"),
    "max_evals": ("budget", "the evaluation limit was reached"),
}


@dataclass(frozen=True, repr=False, eq=False)
class Result(Mapping[str, Any]):
    """Result of a search; fields shared with SciPy's `OptimizeResult` have the same meaning.

    Fields are both attributes and entries, ``r.x`` and ``r["x"]``; ``dict(r)`` contains all of
    them.

    Attributes:
        x: the best point, (D,) float64; a feasible one if any was found, otherwise the one that
            violates the constraints least.
        fun: the objective at x; ``fun(x)``, or ``fun(x[None])[0]`` with ``vectorized=True``,
            returns it again, bit for bit, if the objective is deterministic. With ``noisy=True``,
            the mean of `n_best` draws; infinitely bad if there are none. If a last call at x
            returned a different value, `fun` is that value, and `message` reports it.
        nfev: calls of the objective; a call on m points counts m.
        nit: number of iterations.
        success: a finite value was found at a feasible point, and the target, if any, was reached,
            whichever algorithm ran. False after Ctrl-C and an exception. Using up the budget is not
            a failure, but does not prove an optimum either: see `status`.
        message: why the search ended, in words.
        stop: why it ended, as reason -> value (see `Swarm.stop`); empty while it runs.
        history: records in the requested detail.
        fun_stderr: standard error of `fun`; 0 unless ``noisy=True``, infinite for a single draw.
        n_best: number of draws averaged in `fun`.
        maxcv: the largest amount by which x violates a constraint. An equality counts as met within
            1e-4, and `maxcv` is its remaining violation.
        algorithm: what ran: "default" for the search of ``recipe=None``, else the name of the
            recipe.
        params: with ``space=``, the best parameters by name, as plain Python values; else None. `x`
            is their coordinates: logarithms on logarithmic scales, indices of choices.
        space: the searched `Space`, if any.
        maximize: whether larger is better.
        feasible: whether x meets all constraints, equalities within 1e-4.
        recipe: the recipe with its parameters, in words; empty for the default search.
        seed: the search's seed; None if none was given.
        version: version of pyswarmopt.
        status: the state of the search in one word. "target": the target was reached. "converged":
            no improvement within `patience`. "exhausted": every point was evaluated. "budget",
            "time": the evaluations, iterations or time ran out, and more might help. "infeasible":
            no feasible point was found. "failed": no finite value was found. "callback",
            "interrupted" (Ctrl-C), "exception": what ended it. "running": it has not ended.
        failures: number of calls that raised an error allowed by `on_error`, by type, or that
            returned NaN or infinity.

    Example:
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-1, 1)] * 2, max_evals=30, seed=0)
        >>> r.nfev, r["fun"] == r.fun, r.x.shape, r.status
        (30, True, (2,), 'budget')
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
    recipe: str = ""
    seed: int | None = None
    version: str = __version__
    status: str = "running"
    failures: dict[str, int] = field(default_factory=dict)

    def evaluated(self, feasible: bool = True) -> tuple[Floats | list[dict[str, Any]], Floats]:
        """The evaluated points that have a value, (n, D), or with ``space=`` a list of dicts of
        active parameters; and their values, (n,). A point that was proposed again, without a second
        call, is listed again.

        `history.to_pandas()` returns all points as a table, with their violation of constraints.

        Args:
            feasible: leave out points that violate a constraint.

        Raises:
            ValueError: the points were not kept.
        """
        x, values = self._kept(feasible)
        if self.space is None:
            return x, values
        return self.space.decode(x), values

    def known(self) -> tuple[Any, Floats]:
        """The evaluated points and values, for ``known=`` in another search; only the best one if
        the others were not kept.
        """
        if self.history.granularity == "particles":
            return self.evaluated(feasible=False)
        return [self.params or self.x], np.array([self.fun])

    def _kept(self, feasible: bool = True) -> tuple[Floats, Floats]:
        """The evaluated points, (n, D), and their finite values."""
        x, values = self.history.evaluated(feasible)
        if not (len(x) or self.history.objectives):
            raise ValueError(
                "this search did not keep its positions; run it with history='particles'"
            )
        return x, values

    def importance(self) -> dict[str, float]:
        """Importance of each coordinate of the space on its own, as shares that sum to 1, largest
        first: the main effects of `pyswarmopt.driver.problem.importance.main_effects`.

        Raises:
            ValueError: the search had no ``space=``, or several objectives.
        """
        from pyswarmopt.driver.problem.importance import main_effects

        if self.space is None or np.ndim(self.fun):
            raise ValueError("importance() needs space= and one objective, not a front")
        x, values = self._kept()
        low, high = np.array(self.space.bounds).T
        active = [[name in params for name in self.space.owners] for params in self.space.decode(x)]
        units = np.where(active, (x - low) / np.where(high > low, high - low, 1.0), np.nan)
        shares = zip(self.space.names, main_effects(units, values).tolist(), strict=True)
        return dict(sorted(shares, key=lambda share: -share[1]))

    if not TYPE_CHECKING:
        save = Elsewhere("use pickle.dump(r, file)")
        to_dict = Elsewhere("use dict(r)")
        to_json = Elsewhere(
            "use json.dumps({'x': r.x.tolist(), 'fun': r.fun}), or r.params with space="
        )
        to_pandas = Elsewhere("use r.history.to_pandas()")

    def __getitem__(self, name: str) -> Any:
        return vars(self)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self))

    def __len__(self) -> int:
        return len(vars(self))

    def __repr__(self) -> str:
        """A line for each main field, like SciPy's results; named parameters are shown instead of x."""
        point = "params"
        if self.params is None:
            point = "x"
        shown = "message", "success", "status", "fun", "fun_stderr", "maxcv", point, "nit", "nfev"
        return lines({name: self[name] for name in shown})


def lines(values: Mapping[str, Any]) -> str:
    """A line for each value after its name, with shortened arrays."""
    width = max(map(len, values)) + 2
    with np.printoptions(precision=3, threshold=10, edgeitems=3):
        texts = {
            name: str(value).replace("\n", "\n" + " " * (width + 2))
            for name, value in values.items()
        }
    return "\n".join(f"{name:>{width}}: {text}" for name, text in texts.items())


def keep_in(error: Exception, result: Any) -> None:
    """Attach the result so far to an exception, as its `result`."""
    vars(error)["result"] = result
    if result.nfev > 1 or np.isfinite(result.fun).any():
        error.add_note(
            f"the result so far ({result.nfev} evaluations) is in this exception's `result` "
            "attribute"
        )


def message(stop: dict[str, float], finite: bool, breach: Breach) -> str:
    """The reasons to stop in words, and whether the result lacks a feasible point or a finite
    value.
    """
    words = [REASONS.get(reason, ("budget", reason))[1] for reason in stop]
    text = "; ".join(words) or "the search continues"
    if not breach.feasible:
        return f"{text}; no feasible point was found: {breach.words}"
    if finite:
        return text
    return f"{text}; no finite value was found"


def status(stop: dict[str, float], finite: bool, feasible: bool) -> str:
    """The state of a search in one word, as listed in `Result`."""
    for reason in INTERRUPTED, FAILED:
        if reason in stop:
            return reason
    if not stop:
        return "running"
    if not feasible:
        return "infeasible"
    if not finite:
        return "failed"
    found = (REASONS[reason][0] for reason in stop if reason in REASONS)
    return next((word for word in found if word != "budget"), "budget")


def failed_calls(failures: Mapping[str, int], calls: int) -> str:
    """Failed calls in words, the most frequent first; empty if there are none.

    Example:
        >>> failed_calls({"inf": 2, "RuntimeError": 4}, 60)
        '; 6 of 60 calls failed: 4 RuntimeError, 2 inf'
    """
    if not failures:
        return ""
    by_count = sorted(failures.items(), key=lambda item: -item[1])
    kinds = ", ".join(f"{count} {kind}" for kind, count in by_count)
    return f"; {sum(failures.values())} of {counted(calls, 'call')} failed: {kinds}"


def wants_to_stop(callback: Callable[[Any], bool | None], result: Any) -> bool:
    """Whether a callback returns True or raises StopIteration."""
    try:
        return bool(callback(result))
    except StopIteration:
        return True
