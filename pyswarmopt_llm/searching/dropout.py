"""Drop-K and Drop-N of the Model Swarms paper: evaluations that are left out at random."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Dropout:
    """Leaves evaluations out at random: Drop-K a whole iteration, Drop-N a single candidate.

    The particles move on all the same. The starting swarm is always evaluated. The draws are its
    own, so that the same seed moves the swarm by the same random numbers with and without it.

    Args:
        drop_k: probability that a whole iteration is left out.
        drop_n: probability that a single candidate is left out.
        seed: of the search.

    Example:
        >>> dropout = Dropout(0.0, 0.5, seed=0)
        >>> dropout.dropped(0, 4).tolist(), dropout.dropped(1, 4).tolist()
        ([False, False, False, False], [False, False, False, True])
    """

    def __init__(self, drop_k: float, drop_n: float, seed: int) -> None:
        self._whole, self._single = drop_k, drop_n
        self._random = np.random.default_rng([seed, 1])

    def dropped(self, iteration: int, particles: int) -> npt.NDArray[np.bool_]:
        """(N,) mask of the particles that are not evaluated."""
        if iteration == 0:
            return np.zeros(particles, dtype=np.bool_)
        whole = self._random.random() < self._whole
        return (self._random.random(particles) < self._single) | whole
