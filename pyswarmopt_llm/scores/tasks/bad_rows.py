"""Rows of a table that cannot be read: what is wrong with them, or that they are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.table import Table

NAMED = 20  # bad rows, or kinds of them, in a message
ALIKE = 3  # rows of one kind


def note_on_bad(table: Table, bad: Mapping[str, UserError], skip: bool | None, good: int) -> str:
    """The note on rows that are left out; see `parse_rows`.

    Raises:
        UserError: they are not to be left out, or no other row is left.
    """
    if not skip:
        raise _refusal(table.path, bad, skip is not None)
    if not good:
        rows = counted(len(table.rows), "row")
        raise UserError(f"{table.path}: none of {rows} is left; see why without `skip_bad_rows`")
    return left_out(table, list(bad))


def left_out(table: Table, locations: Sequence[str]) -> str:
    """Note on the rows of a table that are left out: how many, and where they stand."""
    places = [location.removeprefix(f"{table.path}: ") for location in locations]
    return f"{len(places)} of {len(table.rows)} rows left out ({listed(places, NAMED)})"


def _refusal(path: Path, bad: Mapping[str, UserError], can_skip: bool) -> UserError:
    """What is wrong with the rows at these locations; rows with the same fault share its line."""
    or_skip = ", or leave out with `skip_bad_rows`" if can_skip else ""
    if len(bad) == 1:
        return UserError(next(iter(bad.values())).text + or_skip)
    rows = dict[str, list[str]]()
    for location, error in bad.items():
        problem = error.text.removeprefix(f"{location}: ")
        fault = problem.rpartition("; ")[0] or problem
        rows.setdefault(fault, []).append(location.removeprefix(f"{path}: "))
    texts = [f"{listed(places, ALIKE)}: {fault}" for fault, places in rows.items()]
    more = f"; and {len(texts) - NAMED} other faults" if len(texts) > NAMED else ""
    faults = "; ".join(texts[:NAMED]) + more
    return UserError(f"{path}: {counted(len(bad), 'bad row')}: {faults}; mend them{or_skip}")


def listed(names: Sequence[str], most: int) -> str:
    """Names, at most so many, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
