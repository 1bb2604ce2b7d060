"""Which phases take the turns of the default search, by the number of coordinates."""

from __future__ import annotations

from pyswarmopt.hybrid.phases.axis_search import AxisSearch, CheckedAxisSearch, SeparabilityTest
from pyswarmopt.hybrid.phases.bfgs import QuasiNewton
from pyswarmopt.hybrid.phases.cma_es import CovarianceSwarm, SeparableSwarm
from pyswarmopt.hybrid.phases.descent import RepeatedCall
from pyswarmopt.hybrid.phases.limited_memory import LimitedMemory
from pyswarmopt.hybrid.phases.phase import Phase
from pyswarmopt.hybrid.phases.proposals import ModelPhase

MODELLED_DIM = 20  # the most parameters with a model of the costs
MATRIX_DIM = 100  # the most coordinates with matrices of D x D numbers
KINDS: dict[str, type[Phase]] = {
    kind.__name__: kind
    for kind in (
        QuasiNewton, LimitedMemory, SeparabilityTest, AxisSearch, CheckedAxisSearch,
        CovarianceSwarm, SeparableSwarm, RepeatedCall, ModelPhase,
    )
}  # fmt: skip
# What takes each turn, by the name of its class.
MIDDLE = {
    "descent": "QuasiNewton",
    "test": "SeparabilityTest",
    "axes": "CheckedAxisSearch",
    "swarm": "CovarianceSwarm",
    "check": "RepeatedCall",
}
SMALL = MIDDLE | {"model": "ModelPhase"}
LARGE = MIDDLE | {"descent": "LimitedMemory", "swarm": "SeparableSwarm"}


def slots_for(dim: int) -> dict[str, str]:
    """The table for so many coordinates."""
    return SMALL if dim <= MODELLED_DIM else MIDDLE if dim <= MATRIX_DIM else LARGE
