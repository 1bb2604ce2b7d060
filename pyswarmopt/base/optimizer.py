"""The interface between proposing and evaluating points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor


class Point(NamedTuple):
    """A position with its value.

    Attributes:
        x: (D,), a copy: an array, or a tensor if the swarm uses tensors.
        value: the objective's value; infinitely bad before any finite value.

    Example:
        >>> Point([0.0, 0.0], 1.5).value
        1.5
    """

    x: Any
    value: float


@dataclass(frozen=True, eq=False)
class Ticket:
    """A position to evaluate, whose value is told separately.

    Attributes:
        x: the position, (D,), a copy: an array, or a tensor if the swarm uses tensors.
        particle: index of the particle.
        number: its own number, larger than those of earlier rounds.

    Example:
        >>> import pyswarmopt as pso
        >>> ticket = pso.Swarm(bounds=[(0, 1)], seed=0).tickets()[0]
        >>> ticket.particle, ticket.x.shape
        (0, (1,))
    """

    x: Any
    particle: int
    number: int


class Optimizer(Protocol):
    """The interface of an optimiser: ask, evaluate and tell until `stop` returns a reason.

    Example:
        >>> import pyswarmopt as pso
        >>> optimizer = pso.Swarm(bounds=[(-5, 5)] * 2, seed=1)
        >>> while not optimizer.stop() and optimizer.iteration < 50:
        ...     x = optimizer.ask()
        ...     optimizer.tell(x, (x**2).sum(-1))
        >>> optimizer.best.value < 1e-3
        True
    """

    @property
    def best(self) -> Point:
        """The best point evaluated so far."""

    def ask(self) -> Any:
        """Positions to evaluate, (N, D), a tensor or an array; unchanged until `tell`."""

    def tell(
        self,
        positions: Any,
        values: npt.ArrayLike | Tensor,
        dropped: npt.ArrayLike | Tensor | None = None,
    ) -> None:
        """Record the values, (N,), of the positions from `ask`.

        `dropped` is a mask, (N,), of positions that were not evaluated; an optimizer that needs
        every value raises a ValueError.
        """

    def stop(self) -> dict[str, float]:
        """Reasons to stop, with their values; empty if the search continues."""
