"""The problems of a file's rows, all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import UserError

T = TypeVar("T")
NAMED = 20  # bad rows in a message


class Problems:
    """Collects what is wrong with rows, so that it is said in one line.

    Args:
        where: the file.
        skip: whether bad rows are left out instead of refused.

    Example:
        >>> problems = Problems("a.csv")
        >>> def parse(text):
        ...     if not text:
        ...         raise UserError("a.csv: line 2: nothing there; fill it in")
        ...     return text
        >>> problems.attempt("a.csv: line 2", lambda: parse("")) is None
        True
        >>> problems.refuse()
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: a.csv: line 2: nothing there; fill it in
    """

    def __init__(self, where: str, skip: bool = False) -> None:
        self._where, self._skip = where, skip
        self._errors: dict[str, UserError] = {}

    @property
    def bad(self) -> set[str]:
        """Places of the bad rows."""
        return set(self._errors)

    @property
    def refused(self) -> bool:
        """Whether `refuse` will raise."""
        return bool(self._errors) and not self._skip

    @property
    def places(self) -> list[str]:
        """The places of the bad rows, without the file's name."""
        return [place.removeprefix(f"{self._where}: ") for place in self._errors]

    def attempt(self, place: str, parse: Callable[[], T]) -> T | None:
        """The result of `parse`; None, and the row counts as bad, if it raises `UserError`."""
        try:
            return parse()
        except UserError as error:
            self._errors[place] = error
            return None

    def each(
        self,
        rows: Iterable[tuple[str, Mapping[str, Any]]],
        parse: Callable[[str, Mapping[str, Any]], T],
    ) -> list[T]:
        """The results of the good rows; `parse` takes the place of a row and the row."""
        results = [self.attempt(place, partial(parse, place, row)) for place, row in rows]
        return [result for result in results if result is not None]

    def refuse(self, places: Sequence[str] = ()) -> None:
        """Refuse bad rows, unless they are left out.

        Args:
            places: of all rows, in order.

        Raises:
            UserError: there are some.
        """
        if not self.refused:
            return
        order = {place: number for number, place in enumerate(places)}
        errors = [
            self._errors[place]
            for place in sorted(self._errors, key=lambda place: order.get(place, 0))
        ]
        if len(errors) == 1:
            raise errors[0]
        said = list(self._said(errors[:NAMED]))
        if more := len(errors) - len(said):
            said.append(f"and {more} more")
        raise UserError(f"{self._where}: {counted(len(errors), 'bad row')}: {'; '.join(said)}")

    def note(self, rows: int) -> str:
        """The count of so many rows that are left out, and their places; "" if none is."""
        if not self._errors:
            return ""
        places = self.places
        which = ", ".join(places[:NAMED]) + (
            f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
        )
        return f"{len(places)} of {rows} rows left out ({which})"

    def _said(self, errors: Iterable[UserError]) -> Iterator[str]:
        """The problems, without the advice on each."""
        for error in errors:
            text = error.text.removeprefix(f"{self._where}: ")
            yield text.rpartition("; ")[0] or text


def each_row(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    parse: Callable[[str, Mapping[str, Any]], T],
    where: str,
) -> list[T]:
    """The results of `parse`, one for each row.

    Args:
        rows: (place, row).
        parse: place, row -> result.
        where: the file.

    Raises:
        UserError: of a single bad row what is wrong with it; of several a list of at most `NAMED`.

    Example:
        >>> def parse(place, row):
        ...     if not row["text"]:
        ...         raise UserError(f"{place}: nothing there; fill it in")
        ...     return row["text"]
        >>> each_row([("a.csv: line 2", {"text": ""}), ("a.csv: line 3", {"text": ""})], parse, "a.csv")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: a.csv: 2 bad rows: line 2: nothing there; line 3: nothing there
    """
    problems = Problems(where)
    parsed = problems.each(rows, parse)
    problems.refuse()
    return parsed
