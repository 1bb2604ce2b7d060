"""Members whose responses are kept in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyswarmopt_groups.members.cache import CachedMember
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_llm.searching.scoring.record import RESULTS, Store


def cached_members(
    members: Sequence[str], base: str | None, folder: Path, dtype: str = "float32"
) -> list[Member]:
    """Adapters of a base, or whole models, on one thread; `results.jsonl` in the folder keeps what
    they said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(folder / RESULTS)
    opened = open_members(members, base, dtype=dtype, threads=1)
    return [CachedMember(member, store) for member in opened]


def lab_members(lab: Path, folder: Path) -> list[Member]:
    """The laboratory's experts, by name."""
    experts = sorted(map(str, (lab / "experts").iterdir()))
    return cached_members(experts, str(lab / "base"), folder)
