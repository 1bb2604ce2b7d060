"""Unreadable rows of a table: refusing them with reasons, or skipping them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.table import Table

NAMED = 20  # most bad rows, or kinds of fault, in a message
ALIKE = 3  # most rows with one fault
SKIPPED = 10  # most skipped rows in a note


def note_on_bad(table: Table, bad: Mapping[str, UserError], skip: bool | None, good: int) -> str:
    """The note on skipped rows; see `parse_rows`.

    Raises:
        UserError: the rows may not be skipped, or no other row is left.
    """
    if not skip:
        raise _refusal(table.path, bad, skip is not None)
    if not good:
        rows = counted(len(table.rows), "row")
        raise UserError(f"{table.path}: none of {rows} is left; see why without `skip_bad_rows`")
    return left_out(table, list(bad))


def left_out(table: Table, locations: Sequence[str]) -> str:
    """A note on skipped rows of a table: number and location."""
    places = [location.removeprefix(f"{table.path}: ") for location in locations]
    return f"{len(places)} of {len(table.rows)} rows left out ({listed(places, SKIPPED)})"


def _refusal(path: Path, bad: Mapping[str, UserError], can_skip: bool) -> UserError:
    """An error that lists the faults; rows with the same fault share a line."""
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
    """The first `most` names, and the number of others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
