"""Additions of other packages to this one: commands, spaces, analyses and names of the Python API.

They are found through entry points of the groups ``swarm_llm.commands``, ``swarm_llm.spaces``,
``swarm_llm.analyses`` and ``swarm_llm.api``, so that this package imports none of them.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec


@cache
def plugins(kind: str) -> dict[str, EntryPoint]:
    """Name -> entry point of the group ``swarm_llm.KIND``; without packages that are not there.

    Example:
        >>> plugins("no such kind")
        {}
    """
    group = entry_points(group=f"swarm_llm.{kind}")
    return {point.name: point for point in sorted(group) if _installed(point)}


def _installed(point: EntryPoint) -> bool:
    """Whether the package of an entry point is there: the metadata outlive a deleted folder."""
    return find_spec(point.module.partition(".")[0]) is not None
