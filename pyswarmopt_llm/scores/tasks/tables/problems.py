"""The problems of a file's rows, all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import UserError

T = TypeVar("T")
NAMED = 20  # bad rows in a message


class Problems:
    """Collects what is wrong with rows, so that it is said in one line.

    Args:
        where: the file.
        skip: whether bad rows are left out instead of refused; None: the command cannot.

    Example:
        >>> problems = Problems("a.csv")
        >>> def parse(place, row):
        ...     if not row["text"]:
        ...         raise UserError(f"{place}: nothing there; fill it in")
        ...     return row["text"]
        >>> rows = [(f"a.csv: line {number}", {"text": text}) for number, text in ((2, ""), (3, "a"), (4, ""))]
        >>> problems.each(rows, parse)
        ['a']
        >>> problems.refuse()
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: a.csv: 2 bad rows: line 2: nothing there; line 4: nothing there
    """

    def __init__(self, where: str, skip: bool | None = None) -> None:
        self._where, self._skip = where, skip
        self._rows: dict[str, UserError | None] = {}  # place -> what is wrong, in order

    @property
    def bad(self) -> dict[str, UserError]:
        """Place -> what is wrong with the row there."""
        return {place: error for place, error in self._rows.items() if error is not None}

    @property
    def refused(self) -> bool:
        """Whether `refuse` will raise."""
        return bool(self.bad) and not self._skip

    def each(
        self,
        rows: Iterable[tuple[str, Mapping[str, Any]]],
        parse: Callable[[str, Mapping[str, Any]], T],
    ) -> list[T]:
        """The results of the good rows; `parse` takes the place of a row and the row."""
        results = []
        for place, row in rows:
            self._rows.setdefault(place, None)
            try:
                results.append(parse(place, row))
            except UserError as error:
                self._rows[place] = error
        return results

    def refuse(self) -> None:
        """Refuse bad rows, unless they are left out.

        Raises:
            UserError: there are some: of one what is wrong with it, of several a list.
        """
        if not self.refused:
            return
        errors = list(self.bad.values())
        remedy = "" if self._skip is None else "leave out with `skip_bad_rows`"
        if len(errors) == 1:
            raise UserError(f"{errors[0].text}, or {remedy}") if remedy else errors[0]
        texts = list(self._without_advice(errors[:NAMED]))
        if more := len(errors) - len(texts):
            texts.append(f"and {more} more")
        texts += [f"mend them, or {remedy}"] if remedy else []
        raise UserError(f"{self._where}: {counted(len(errors), 'bad row')}: {'; '.join(texts)}")

    def note(self) -> str:
        """The number of rows that are left out, and their places; "" if none is."""
        places = [place.removeprefix(f"{self._where}: ") for place in self.bad]
        if not places:
            return ""
        more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
        which = f"{', '.join(places[:NAMED])}{more}"
        return f"{len(places)} of {len(self._rows)} rows left out ({which})"

    def _without_advice(self, errors: Iterable[UserError]) -> Iterator[str]:
        for error in errors:
            text = error.text.removeprefix(f"{self._where}: ")
            yield text.rpartition("; ")[0] or text
