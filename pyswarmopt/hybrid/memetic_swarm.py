"""The default search as an `Optimizer` on tensors, for loops of one's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt.base import checkpoint
from pyswarmopt.base.arrays import as_arrays, as_tensors
from pyswarmopt.base.inputs import as_count, as_seed, as_target
from pyswarmopt.base.optimizer import Point
from pyswarmopt.hybrid.memetic import MemeticSearch


class MemeticSwarm:
    """An `Optimizer` for a smooth or rugged function.

    Up to 20 coordinates a Gaussian process proposes the first 5 D points; then descents and a swarm
    take turns. It works in the unit box, so units and offsets of x make no difference. Up to 100
    coordinates it keeps matrices of D x D numbers, above that vectors.

    Args:
        bounds: the box; see `pyswarmopt.boundary.make_box`.
        positions: points to start from, (n, D), evaluated first.
        maximize: whether larger values are better.
        seed: None takes one from the operating system, a NumPy `Generator` draws one.
        max_evals: how many evaluations there are, if that is known; only saves a search that is
            short measuring Hessians.
        max_iter: stop after so many rounds; the first one counts 0.
        target: stop when the best value is at least as good.
        population: particles of the first swarm, which doubles at restarts: 4 if it is less, by
            default 4 + 3 ln D; and how many points the Gaussian process proposes at a time, by
            default one.

    Raises:
        ValueError: arguments that do not fit each other.

    Example:
        >>> import pyswarmopt as pso
        >>> search = pso.MemeticSwarm([(-5, 5)] * 4, seed=0, target=1e-8)
        >>> while not search.stop():
        ...     x = search.ask()  # (m, 4) float64, m from 1 to some tens
        ...     search.tell(x, pso.functions.rosenbrock(x))
        >>> search.evaluations < 400
        True
    """

    def __init__(
        self,
        bounds: Any,
        positions: npt.ArrayLike | Tensor | None = None,
        maximize: bool = False,
        seed: int | np.random.Generator | None = None,
        max_evals: int | None = None,
        max_iter: int | None = None,
        target: float | None = None,
        population: int | None = None,
    ) -> None:
        if max_evals is not None:
            max_evals = as_count("max_evals", max_evals, 1)
        if max_iter is not None:
            max_iter = as_count("max_iter", max_iter, 0)
        if target is not None:
            target = as_target(target, maximize)
        limits = max_evals, max_iter, target
        self._search = MemeticSearch(
            bounds, positions, maximize, as_seed(seed), *limits, population=population
        )

    def ask(self) -> Tensor:
        """Positions to evaluate, (m, D) float64; the same ones until `tell`."""
        return torch.from_numpy(self._search.ask())

    def tell(
        self,
        positions: Tensor | npt.ArrayLike,
        values: npt.ArrayLike | Tensor,
        dropped: npt.ArrayLike | Tensor | None = None,
    ) -> None:
        """Take in the values, (m,), of the positions that `ask` returned; `dropped`, (m,), are
        those not evaluated.

        A value that is not finite counts as the worst possible.

        Raises:
            ValueError: no `ask` before, other positions, or not one value for each.
        """
        self._search.tell(positions, values, dropped)

    def stop(self) -> dict[str, float]:
        """Reasons to stop with the values that gave them; empty to continue."""
        return self._search.stop()

    @property
    def best(self) -> Point:
        """The best point evaluated so far, its value in the user's sense."""
        best = self._search.best
        return Point(torch.from_numpy(best.x), best.value)

    @property
    def iteration(self) -> int:
        """Completed rounds after the first one."""
        return self._search.iteration

    @property
    def evaluations(self) -> int:
        """Completed evaluations, not counting dropped positions."""
        return self._search.evaluations

    def state_dict(self) -> dict[str, Any]:
        """All that a resume needs: tensors (copies), numbers and strings."""
        return as_tensors(self._search.state_dict())

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a saved state, bit for bit; the limits stay those given.

        Raises:
            ValueError: not the state of a memetic swarm, or one that cannot be continued.
        """
        self._search.load_state_dict(as_arrays(saved))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to one file, atomically and without pickle."""
        checkpoint.write(path, self._search.state_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MemeticSwarm:
        """The search that `save` wrote.

        Raises:
            ValueError: the file is not a checkpoint of a memetic swarm.
        """
        saved = checkpoint.read(path)
        if "progress.low" not in saved:
            raise ValueError(f"{path}: not the checkpoint of a memetic swarm")
        with checkpoint.taking_over(path):
            max_evals, max_iter, target = saved["limits"]
            search = cls(
                (saved["progress.low"], saved["progress.high"]),
                max_evals=max_evals,
                max_iter=max_iter,
                target=target,
            )
            search.load_state_dict(saved)
        return search
