"""What a search found."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyswarmopt.driver.history import History
from pyswarmopt.parts import stopping

INTERRUPTED = "interrupted"  # the reason to stop of a search that Ctrl-C has ended

MESSAGES = {
    stopping.MaxIter.reason: "the limit of iterations was reached",
    stopping.MaxEvals.reason: "the limit of evaluations was reached",
    stopping.MaxTime.reason: "the limit of time was reached",
    stopping.Patience.reason: "the best value has not changed for too many iterations",
    stopping.Spread.reason: "all particles have come together",
    stopping.Target.reason: "the target was reached",
    "callback": "the callback said stop",
    INTERRUPTED: "interrupted",
}


@dataclass(frozen=True)
class Result:
    """What a search found; the fields that SciPy's `OptimizeResult` has too mean the same here.

    Attributes:
        x: the best point, (D,) float64; a feasible one if any was found, else that which breaks the constraints least.
        fun: the objective there; ``fun(x)`` gives it again, to the bit, if the objective is deterministic. With
            ``noisy=True`` the mean of `n_best` draws; infinitely bad if there is none.
        nfev: calls of the objective; a call on m points counts m.
        nit: moves of the swarm.
        success: a finite value was found, at a feasible point, and the target was reached if there was one.
        message: why the search ended, in words.
        stop: why it ended: reason to value, as `Swarm.stop` gives it; empty while it goes on.
        history: as fine a record as was asked for.
        fun_stderr: standard error of `fun`; 0 unless ``noisy=True``, infinite for a single draw.
        n_best: draws that `fun` is the mean of.
        maxcv: the largest violation of a constraint at x; 0 if it is feasible.
        algorithm: what ran: "memetic" for `MemeticSwarm`, else the name of the recipe.
    """

    x: npt.NDArray[np.float64]
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


def message(stop: dict[str, float], fun: float, maxcv: float = 0.0) -> str:
    """The reasons to stop in words, and what is wrong with the result."""
    text = "; ".join(MESSAGES.get(reason, reason) for reason in stop) or "the search goes on"
    if maxcv > 0:
        return f"{text}; no feasible point was found: x breaks a constraint by {maxcv:.3g}"
    return text if math.isfinite(fun) else f"{text}; no finite value was found"


__all__ = ["INTERRUPTED", "Result", "message"]
