"""Workers of a search: how many, and where."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pyswarmopt_llm.common.errors import InvalidOption

RAY = "ray"


@dataclass(frozen=True)
class Workers:
    """How many workers, and where.

    Attributes:
        count: processes on this machine; 0 where the cluster decides.
        address: of a Ray cluster: "" for none, ``ray`` for the one that is running here, or
            ``ray://HOST``.
    """

    count: int
    address: str = ""

    @property
    def alone(self) -> bool:
        """Whether the search's own process does everything."""
        return self.count == 1

    @property
    def side_by_side(self) -> int:
        """How many score at the same time, as far as that is known."""
        return max(self.count, 1)


def parse_workers(text: str) -> Workers:
    """The workers that an option of a search names.

    Raises:
        InvalidOption: neither a number nor Ray.

    Example:
        >>> parse_workers("2"), parse_workers("ray://10.0.0.1")
        (Workers(count=2, address=''), Workers(count=0, address='ray://10.0.0.1'))
    """
    if text == RAY or (text.startswith("ray://") and len(text) > len("ray://")):
        return Workers(0, text)
    if text.isdecimal() and 1 <= int(text) <= 4096:
        return Workers(int(text))
    raise InvalidOption("workers", text, "give a number from 1 on, ray, or ray://HOST")


def threads_of(workers: Workers) -> int | None:
    """Threads of each of several workers: the cores, divided among them; None for one.

    It is written into ``run.json``: the last bits of a score may depend on the number of threads.
    """
    if workers.alone:
        return None
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, cores // workers.count) if workers.count else 1
