"""From a position to its score on dev: what is written down is not asked again, what is asked is written down."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from pyswarmopt_llm.common.errors import NotFiniteError, UserError
from pyswarmopt_llm.common.interfaces import Engine, Score, Space, Utility
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.evaluator import Ask, Asker, Found, Margins, told_by
from pyswarmopt_llm.evaluation.partial import ItemRule, Rule, Telling, Values
from pyswarmopt_llm.evaluation.run_directory import Run, position_key
from pyswarmopt_llm.metrics.combine import Combine, harmonic

OnRow = Callable[[Mapping[str, Any]], None]
Row = dict[str, Any]


class Helpers(Protocol):
    """Who asks candidates at the same time, elsewhere; see `workers`."""

    @property
    def count(self) -> int:
        """How many there are now."""

    def begin(self, asks: Sequence[Ask], share: int | None = None) -> list[Future[Found]]:
        """Begin to ask these candidates, the first ones first; what is found does not depend on who asks.

        Args:
            asks: the candidates.
            share: how many helpers each gets; None: one, or as many as are left over.
        """


class Objective:
    """Scores positions by the tasks' utilities; the run's journal answers for what was scored before.

    An evaluation that a rule ended early (see `early_stop`) is a row whose `value` is what the optimizer was told,
    whose `items` are unknown in places, and whose `bounds` say between which values the complete one lies. If the same
    position comes back and what is known of it is not enough then, the rest is asked and a further row holds both.
    Rows are used up in the order in which they were written, so that a resumed run tells its optimizer what the
    stopped one did, bound for bound.

    Args:
        run: where every new score goes, one line each.
        space: realises positions.
        engine: runs them.
        utilities: task name -> what is asked.
        phase: keeps rows of different questions apart (``search``, ``letter``).
        on_row: told about every new row.
        combine: one number from the tasks' scores.
        helpers: ask in place of `engine`, several candidates at a time; the rows are the same.

    Attributes:
        item_evaluations: items asked so far.
        seconds: that the evaluations took, of all who asked.
        flown: rows of positions that were asked one by one, in their order, which a resumed run has not come to.
    """

    def __init__(
        self,
        run: Run,
        space: Space,
        engine: Engine,
        utilities: Mapping[str, Utility],
        phase: str = "search",
        on_row: OnRow | None = None,
        combine: Combine = harmonic,
        helpers: Helpers | None = None,
    ) -> None:
        self._run, self._space = run, space
        self._phase, self._on_row, self._helpers = phase, on_row, helpers
        self._asker = Asker(space, engine, utilities, combine)
        self._known: dict[str, Row] = {}
        self._ahead: dict[str, deque[Row]] = defaultdict(deque)  # rows that a resumed run has not come to
        self.flown: deque[Row] = deque()
        for row in self.rows:
            (self.flown if "number" in row else self._ahead[row["key"]]).append(row)
        self._keys = {row["key"] for row in self.rows}
        self._aside = {_place(row): row for row in run.aside if row["phase"] == phase}
        self._telling = Telling()
        self._to_note: list[tuple[Row, int]] = []
        self.item_evaluations = 0
        self.seconds = 0.0

    @property
    def rows(self) -> list[Row]:
        """The journal's rows of this phase, in order."""
        return [row for row in self._run.rows if row["phase"] == self._phase]

    @property
    def evaluations(self) -> int:
        """Number of positions scored so far, in full or in part."""
        return len(self._keys)

    def __call__(self, position: Tensor, iteration: int, particle: int, rules: Sequence[Rule] = ()) -> float:
        """The value of a position (higher is better), or what the first of the rules to end its evaluation tells."""
        row = self._row(position, iteration, particle, rules)
        self._note()
        return float(row["value"])

    def round(self, positions: Sequence[Tensor], iteration: int, rules: Sequence[Sequence[Rule] | None]) -> list[float]:
        """The values of many positions, each under its rules; NaN where these are None, which leaves it out.

        Which items are asked first follows from earlier rounds only, so that the rows are the same, and in the same
        order, whoever asks and whoever is done first.
        """
        begun = {} if self._helpers is None else self._begin(positions, iteration, rules, self._helpers)
        arrivals, arrived = as_completed(begun), dict[int, Row]()
        helped = set(begun.values())
        values = []
        for i, (x, own) in enumerate(zip(positions, rules, strict=True)):
            if own is None:
                values.append(math.nan)
            elif i in helped:
                self._wait_for(i, positions, iteration, begun, arrivals, arrived)
                values.append(float(self._write(arrived[i])["value"]))
            else:
                values.append(float(self._row(x, iteration, i, own)["value"]))
        self._note()
        self._run.forget_aside()
        return values

    def scores(self, position: Tensor, iteration: int, particle: int) -> dict[str, Score]:
        """The score of each task at a position."""
        row = self._row(position, iteration, particle, ())
        self._note()
        return {name: task_score(row, name) for name in self._asker.utilities}

    def known(self, position: Tensor) -> Row:
        """The latest line of the journal on a position that was scored, in full or in part.

        Raises:
            KeyError: it was not.
        """
        return self._known[position_key(position)]

    def values(self, position: Tensor) -> dict[str, Values] | None:
        """The items' values at a position that was scored in full, by task; None if it was not."""
        row = self._known.get(position_key(position))
        if row is None or "bounds" in row:
            return None
        return {name: np.array(unpack(row["items"][name])) for name in self._asker.utilities}

    # One by one (see `one_by_one`)

    @property
    def helpers(self) -> int:
        """How many positions can be asked at the same time."""
        return 1 if self._helpers is None else self._helpers.count

    def remembered(self, position: Tensor, rules: Sequence[Rule]) -> float | None:
        """The value of a position, if what is known of it is enough for these rules."""
        row = self._remembered(position_key(position), rules)
        return None if row is None else float(row["value"])

    def begin(self, position: Tensor, rules: Sequence[Rule], share: int) -> Future[Found]:
        """Begin to ask a position, with so many helpers; without any it is asked here and now."""
        ask = self._ask_of(position, rules)
        if self._helpers is not None:
            return self._helpers.begin([replace(ask, telling=ask.telling.copy())], share)[0]
        future: Future[Found] = Future()
        future.set_result(self._asker.ask(ask))
        return future

    def end(self, position: Tensor, iteration: int, particle: int, find: Callable[[], Found], **more: int) -> float:
        """Write down what was found, with `more` columns; the value."""
        row = self._write(self._line(position, iteration, particle, find) | more)
        self._note()
        return float(row["value"])

    def replay(self) -> float:
        """Take in the first of the rows that were `flown`; its value."""
        row = self.flown.popleft()
        self._take_in(row)
        self._note()
        return float(row["value"])

    # One position

    def _row(self, position: Tensor, iteration: int, particle: int, rules: Sequence[Rule]) -> Row:
        key = position_key(position)
        if (told := self._remembered(key, rules)) is not None:
            return told
        if self._ahead[key]:
            row = self._ahead[key].popleft()
            self._take_in(row)
            return row
        place = iteration, particle, key
        if place in self._aside:
            return self._write(self._aside.pop(place))
        return self._write(self._line(position, iteration, particle, lambda: self._ask(position, rules)))

    def _remembered(self, key: str, rules: Sequence[Rule]) -> Row | None:
        """What is known of a position, if that is all, or enough for these rules."""
        known, rules = self._known.get(key), self._usable(rules)
        if known is None:
            return None
        complete = "bounds" not in known
        if complete:  # only what counts some of the items says another value
            rules = tuple(rule for rule in rules if isinstance(rule, ItemRule))
        told = told_by(rules, self._asker.evaluation(self._items(known))) if rules or not complete else None
        if told is None:
            return known if complete else None
        return {**known, "value": told}

    def _ask(self, position: Tensor, rules: Sequence[Rule]) -> Found:
        ask = self._ask_of(position, rules)
        return self._asker.ask(ask) if self._helpers is None else self._helpers.begin([ask])[0].result()

    def _ask_of(self, position: Tensor, rules: Sequence[Rule]) -> Ask:
        known, rules = self._known.get(position_key(position)), self._usable(rules)
        telling = self._telling if rules else Telling()
        return Ask(position, rules, None if known is None else self._items(known), telling)

    def _usable(self, rules: Sequence[Rule]) -> tuple[Rule, ...]:
        return tuple(rules) if self._asker.can_stop else ()

    def _line(self, position: Tensor, iteration: int, particle: int, find: Callable[[], Found]) -> Row:
        """What a position was found to be worth, as a line of the journal."""
        try:
            found = find()
        except NotFiniteError as error:
            raise UserError(f"particle {particle}, iteration {iteration}: {error}; mend it and resume") from error
        own: dict[str, Any] = {}  # what not every row has
        if found.bounds is not None:
            own["bounds"] = list(found.bounds)
        if found.own:
            own["values"] = dict(found.own)
        if found.margins:
            before = self._known.get(position_key(position), {}).get("margins", {})
            own["margins"] = {name: _merged(before.get(name), margins) for name, margins in found.margins.items()}
        return {
            "phase": self._phase,
            "iteration": iteration,
            "particle": particle,
            "key": position_key(position),
            "coefficients": self._space.coefficients(position).tolist(),
            "value": found.value,
            **own,
            "n": found.n,
            "seconds": found.seconds,
            "items": {name: pack(values) for name, values in found.items.items()},
        }

    # Many at a time

    def _begin(
        self,
        positions: Sequence[Tensor],
        iteration: int,
        rules: Sequence[Sequence[Rule] | None],
        helpers: Helpers,
    ) -> dict[Future[Found], int]:
        """Have helpers ask those that have to be asked; of several at one position the first, who knows what then."""
        seen: set[str] = set()
        wanted: dict[int, Ask] = {}
        for i, (x, own) in enumerate(zip(positions, rules, strict=True)):
            key = position_key(x)
            if own is None or key in seen:
                continue
            seen.add(key)
            written = self._ahead[key] or (iteration, i, key) in self._aside
            if not written and self._remembered(key, own) is None:
                wanted[i] = self._ask_of(x, own)
        return dict(zip(helpers.begin(list(wanted.values())), wanted, strict=True))

    def _wait_for(
        self,
        i: int,
        positions: Sequence[Tensor],
        iteration: int,
        begun: Mapping[Future[Found], int],
        arrivals: Iterator[Future[Found]],
        arrived: dict[int, Row],
    ) -> None:
        """Take in what is found until position i is; what comes before its turn is kept beside the journal."""
        while i not in arrived:
            future = next(arrivals)
            j = begun[future]
            arrived[j] = self._line(positions[j], iteration, j, future.result)
            if j != i:
                self._run.set_aside(arrived[j])

    # What is known

    def _write(self, row: Row) -> Row:
        self._run.append(row)
        self._keys.add(row["key"])
        self._take_in(row)
        if self._on_row is not None:
            self._on_row(row)
        return row

    def _take_in(self, row: Row) -> None:
        """Count what a row says; it takes the place of the one before it."""
        before = self._known.get(row["key"])
        if before is not None:
            self._to_note.append((before, -1))
        self._to_note.append((row, 1))
        self._known[row["key"]] = row
        self.item_evaluations += row["n"]
        self.seconds += row["seconds"]

    def _note(self) -> None:
        """Let what was taken in count for which items are asked first."""
        for row, sign in self._to_note:
            self._telling.note({name: np.array(values) for name, values in self._items(row).items()}, sign)
        self._to_note = []

    def _items(self, row: Mapping[str, Any]) -> dict[str, list[float]]:
        return {name: unpack(row["items"][name]) for name in self._asker.by_parts}


def _place(row: Mapping[str, Any]) -> tuple[int, int, str]:
    return row["iteration"], row["particle"], row["key"]


def task_score(row: Mapping[str, Any], name: str) -> Score:
    """A task's score from a line of the journal."""
    items = tuple(unpack(row["items"][name]))
    if name in row.get("values", {}):
        value, stderr, n = row["values"][name]
        return Score(float(value), items, int(n), float(stderr))
    return score_of(items)


def task_value(row: Mapping[str, Any], name: str) -> float:
    """A task's value from a line of the journal."""
    return task_score(row, name).value


def _merged(before: Margins | None, now: Margins) -> Margins:
    """What is known now, and what was known before of other items."""
    return now if before is None else [old if new is None else new for old, new in zip(before, now, strict=True)]


def pack(per_item: tuple[float, ...]) -> str | list[float | None]:
    """Values per item as JSON: a string of 0, 1 and ? (not asked, NaN) where that is all there is.

    Example:
        >>> pack((1.0, 0.0, math.nan)), pack((0.5, 1.0, math.nan))
        ('10?', [0.5, 1.0, None])
    """
    if all(value in (0.0, 1.0) or math.isnan(value) for value in per_item):
        return "".join("?" if math.isnan(value) else "1" if value else "0" for value in per_item)
    return [None if math.isnan(value) else value for value in per_item]


def unpack(items: str | list[float | None]) -> list[float]:
    """The inverse of `pack`.

    Example:
        >>> unpack("10?")
        [1.0, 0.0, nan]
    """
    return [math.nan if value in ("?", None) else float(value) for value in items]
