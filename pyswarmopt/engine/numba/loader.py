"""The loops of `kernels`, compiled by Numba where that is installed (`pyswarmopt[fast]`)."""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Callable
from typing import NamedTuple

from pyswarmopt.engine.numba import kernels

log = logging.getLogger(__name__)
PAYS_AFTER = 30_000  # moves of small swarms: the compiled ones have then saved about what it takes to load them


class Loops(NamedTuple):
    """The functions of that name in `kernels`."""

    small_move: Callable[..., bool]
    draw: Callable[..., None]
    weigh: Callable[..., None]
    remember: Callable[..., tuple[int, int]]
    one_pass: Callable[..., None]


AS_THEY_STAND = Loops(kernels.small_move, kernels.draw, kernels.weigh, kernels.remember, kernels.one_pass)


class Compiler:
    """Loads the compiled loops when they pay: for a large swarm at once, for small ones after many moves."""

    def __init__(self) -> None:
        self.loops: Loops | None = None  # once they are loaded
        self._left = PAYS_AFTER

    def load(self) -> Loops | None:
        """The compiled loops; None without Numba. The first time on a machine takes some seconds."""
        self._left = 0
        if self.loops is None:
            self.loops = _compiled()
        return self.loops

    def for_small(self) -> Loops | None:
        """The loops for a move of a small swarm, once they are loaded; to be called once for each move."""
        if self._left:
            self._left -= 1
            if not self._left:
                self.load()
        return self.loops


@functools.cache
def _compiled() -> Loops | None:
    if importlib.util.find_spec("numba") is None:
        return None
    import numba
    from numba.extending import register_jitable

    log.info("loading the compiled loops of a swarm (the first time they are compiled)")
    for helper in (kernels.bounce, kernels.draw):
        register_jitable(helper)
    return Loops(*(numba.njit(cache=True)(loop) for loop in AS_THEY_STAND))
