"""Several models side by side, which need not have one base, made ready for a search, and as rows
of a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Space
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.files import atomic_directory, read_json
from pyswarmopt_llm.mix.kind import Prepared
from pyswarmopt_llm.tokens.side_by_side import Member, find_members, load_members

FORMAT = 1


def prepare_members(
    config: SearchConfig,
    over: Callable[[Sequence[Member], Mapping[str, TransformersEngine]], tuple[Space, Engine]],
) -> Prepared:
    """Models and adapters of any bases, all resident side by side.

    Args:
        config: of the search.
        over: makes the space over the members, and the engine that runs its candidates.

    Raises:
        UserError: a member cannot be loaded, or they do not fit together.
    """
    members = find_members(config.experts, config.base or None)
    loaded = load_members(members, config.dtype, config.device, config.threads)
    space, engine = over(members, loaded)
    bases = {member.base.name for member in members}
    prints = {"experts": {member.name: member.fingerprint for member in members}}
    return Prepared(space, engine, prints, bases.pop() if len(bases) == 1 else "")


def write_members(
    file: Path, members: Sequence[Member], weights: Sequence[float] = (), **more: Any
) -> None:
    """Write a directory with one file, whole or not at all: the members, their `weights` if any,
    and `more`.

    Raises:
        UserError: the directory exists already, or cannot be made.
    """
    rows = _rows(members)
    if weights:
        rows = [{**row, "weight": weight} for row, weight in zip(rows, weights, strict=True)]
    with atomic_directory(file.parent) as folder:
        text = json.dumps({"format": FORMAT, "members": rows, **more}, indent=2)
        (folder / file.name).write_text(text + "\n", encoding="utf-8")


def _rows(members: Sequence[Member]) -> list[dict[str, Any]]:
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
    return str(path.resolve()) if path.exists() else member.base.spec


def read_members(file: Path) -> tuple[dict[str, Any], tuple[Member, ...]]:
    """The content of a file that `write_members` wrote, and its members.

    Raises:
        UserError: the file or its rows are damaged; a member is not there any more, or not what it
            was.
    """
    content = read_json(file)
    if content.get("format") != FORMAT:
        raise UserError(
            f"{file}: format {content.get('format')!r}, not {FORMAT}; use the version that wrote it"
        )
    rows: Any = content.get("members")
    with undamaged(file):
        members = tuple(_member(row) for row in rows)
        prints = [row["fingerprint"] for row in rows]
    for member, fingerprint in zip(members, prints, strict=True):
        if member.fingerprint != fingerprint:
            raise UserError(
                f"{file}: {member.name} ({member.spec}) is not what it was when the file was made"
            )
    return content, members


@contextmanager
def undamaged(file: Path) -> Iterator[None]:
    """Read the content of a file: a value that is missing or of a wrong type is a damage.

    Raises:
        UserError: names the file.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: damaged ({type(error).__name__}: {error}); restore it") from error


def _member(row: dict[str, Any]) -> Member:
    (member,) = find_members([row["expert"]], row["base"])
    return Member(str(row["name"]), member.spec, member.base, member.adapter)
