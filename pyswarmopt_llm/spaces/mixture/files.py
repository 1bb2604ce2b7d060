"""A mixture as a directory: ``mixture.json`` names the members and their weights; the models stay where they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.models.files import atomic_directory, read_json
from pyswarmopt_llm.models.side_by_side import Member, find_members

FORMAT = 1
NAME = "mixture.json"


@dataclass(frozen=True)
class MixtureFile:
    """A mixture that is not loaded.

    Attributes:
        members: where they lie.
        weights: of each, summing to 1.
    """

    members: tuple[Member, ...]
    weights: tuple[float, ...]


def holds_mixture(folder: str | Path) -> bool:
    """Whether a directory holds a mixture instead of a model."""
    return (user_path(folder) / NAME).is_file()


def write_mixture(mixture: MixtureFile, out: Path) -> None:
    """Write ``out/mixture.json``, whole or not at all.

    Raises:
        UserError: `out` exists already, or cannot be made.
    """
    rows = zip(member_rows(mixture.members), mixture.weights, strict=True)
    members = [{**row, "weight": weight} for row, weight in rows]
    with atomic_directory(out) as folder:
        text = json.dumps({"format": FORMAT, "members": members}, indent=2)
        (folder / NAME).write_text(text + "\n", encoding="utf-8")


def member_rows(members: Sequence[Member]) -> list[dict[str, Any]]:
    """Members as JSON: name, place, base and fingerprint of each."""
    return [
        {
            "name": member.name,
            "expert": member.spec,
            "base": None if member.adapter is None else _place(member),
            "fingerprint": member.fingerprint,
        }
        for member in members
    ]


def _place(member: Member) -> str:
    """The base as `find_members` takes it from any working directory."""
    path = user_path(member.base.spec)
    return str(path.resolve()) if path.is_dir() else member.base.spec


def read_mixture(folder: str | Path) -> MixtureFile:
    """Read a mixture and look at its members' files.

    Raises:
        UserError: it is damaged; a member is not there any more, or not what it was when the mixture was made.
    """
    file = user_path(folder) / NAME
    content, members = read_with_members(file, FORMAT)
    try:
        weights = tuple(float(row["weight"]) for row in content["members"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: damaged ({type(error).__name__}: {error}); restore it") from error
    return MixtureFile(members, weights)


def read_with_members(file: Path, version: int) -> tuple[dict[str, Any], tuple[Member, ...]]:
    """A file of this format version, and the members that `member_rows` wrote down in it.

    Raises:
        UserError: the file or its rows are damaged; a member is not there any more, or not what it was.
    """
    content = read_json(file)
    if content.get("format") != version:
        raise UserError(f"{file}: format {content.get('format')!r}, not {version}; use the version that wrote it")
    rows: Any = content.get("members")
    try:
        found = tuple(_member(row) for row in rows)
        prints = [row["fingerprint"] for row in rows]
    except (KeyError, TypeError) as error:
        raise UserError(f"{file}: damaged ({type(error).__name__}: {error}); restore it") from error
    for member, fingerprint in zip(found, prints, strict=True):
        if member.fingerprint != fingerprint:
            raise UserError(f"{file}: {member.name} ({member.spec}) is not what it was when the file was made")
    return content, found


def _member(row: dict[str, Any]) -> Member:
    (member,) = find_members([row["expert"]], row["base"])
    return Member(str(row["name"]), member.spec, member.base, member.adapter)
