"""From a position to its score on dev: realise, load, ask, write down; what is written down is not asked again."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from pyswarmopt_llm.early_stop import Evaluation, Rule, Telling, Values
from pyswarmopt_llm.errors import UserError
from pyswarmopt_llm.interfaces import ByParts, Engine, EngineByParts, Score, Space, Utility
from pyswarmopt_llm.runs import Run, position_key
from pyswarmopt_llm.utilities.combine import harmonic
from pyswarmopt_llm.utilities.stats import score_of

OnRow = Callable[[Mapping[str, Any]], None]


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
    """

    def __init__(
        self,
        run: Run,
        space: Space,
        engine: Engine,
        utilities: Mapping[str, Utility],
        phase: str = "search",
        on_row: OnRow | None = None,
    ) -> None:
        self._run, self._space, self._engine = run, space, engine
        self._utilities, self._phase, self._on_row = dict(utilities), phase, on_row
        self._parted = engine if isinstance(engine, EngineByParts) else None
        self._by_parts = {name: asked for name, asked in self._utilities.items() if isinstance(asked, ByParts)}
        self._known: dict[str, dict[str, Any]] = {}
        self._ahead: dict[str, deque[dict[str, Any]]] = defaultdict(deque)  # rows that a resumed run has not come to
        for row in self.rows:
            self._ahead[row["key"]].append(row)
        self._telling = Telling()
        self.item_evaluations = 0
        self.seconds = 0.0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The journal's rows of this phase, in order."""
        return [row for row in self._run.rows if row["phase"] == self._phase]

    @property
    def evaluations(self) -> int:
        """Number of positions scored so far, in full or in part."""
        return len({row["key"] for row in self.rows})

    def __call__(self, position: Tensor, iteration: int, particle: int, rules: Sequence[Rule] = ()) -> float:
        """The value of a position (higher is better), or what the first of the rules to end its evaluation tells."""
        return float(self._row(position, iteration, particle, rules)["value"])

    def scores(self, position: Tensor, iteration: int, particle: int) -> dict[str, Score]:
        """The score of each task at a position."""
        row = self._row(position, iteration, particle, ())
        return {name: score_of(unpack(row["items"][name])) for name in self._utilities}

    def values(self, position: Tensor) -> dict[str, Values] | None:
        """The items' values at a position that was scored in full, by task; None if it was not."""
        row = self._known.get(position_key(position))
        if row is None or "bounds" in row:
            return None
        return {name: np.array(unpack(row["items"][name])) for name in self._utilities}

    def _row(self, position: Tensor, iteration: int, particle: int, rules: Sequence[Rule]) -> dict[str, Any]:
        key = position_key(position)
        known = self._known.get(key)
        if known is not None and "bounds" not in known:
            return known
        if self._parted is None or len(self._by_parts) < len(self._utilities):
            rules = ()
        if known is not None and (told := _told(self._evaluation(known), rules)) is not None:
            return {**known, "value": told}
        if self._ahead[key]:
            row = self._ahead[key].popleft()
            self._take_in(row, known)
            return row
        row = self._ask(position, known, iteration, particle, rules)
        self._run.append(row)
        self._take_in(row, known)
        if self._on_row is not None:
            self._on_row(row)
        return row

    def _ask(
        self,
        position: Tensor,
        known: dict[str, Any] | None,
        iteration: int,
        particle: int,
        rules: Sequence[Rule],
    ) -> dict[str, Any]:
        """Realise a position, ask what is not known of it, and put it into a row."""
        start = time.perf_counter()
        self._engine.load(self._space.realise(position))
        bounds: dict[str, Any] = {}
        if rules or known is not None:
            evaluation = self._evaluation(known)
            before = evaluation.asked
            value = self._ask_parts(evaluation, rules)
            n = evaluation.asked - before
            items = evaluation.values
            if not evaluation.complete:
                bounds = {"bounds": list(evaluation.bounds())}
        else:
            scores = {name: utility(self._engine) for name, utility in self._utilities.items()}
            total = harmonic(list(scores.values()))
            value, n = total.value, total.n
            items = {name: np.array(score.per_item) for name, score in scores.items()}
        if not math.isfinite(value):
            raise UserError(f"particle {particle}, iteration {iteration}: the score is {value}")
        return {
            "phase": self._phase,
            "iteration": iteration,
            "particle": particle,
            "key": position_key(position),
            "coefficients": self._space.coefficients(position).tolist(),
            "value": value,
            **bounds,
            "n": n,
            "seconds": round(time.perf_counter() - start, 4),
            "items": {name: pack(tuple(values.tolist())) for name, values in items.items()},
        }

    def _ask_parts(self, evaluation: Evaluation, rules: Sequence[Rule]) -> float:
        """Ask part by part until a rule tells a value or nothing is left; fills the evaluation."""
        parts = [
            (name, part)
            for name, asked in self._by_parts.items()
            for part in (asked.parts(self._parted) if self._parted is not None else ())
            if np.isnan(evaluation.values[name][list(part.indices)]).any()
        ]
        order = self._telling.order(evaluation, parts, rules)
        while (told := _told(evaluation, rules)) is None and not evaluation.complete:
            name, part = parts[next(order)]
            evaluation.values[name][list(part.indices)] = part.ask()
        return evaluation.bounds()[1] if told is None or evaluation.complete else told

    def _evaluation(self, known: Mapping[str, Any] | None) -> Evaluation:
        items = None if known is None else {name: unpack(known["items"][name]) for name in self._by_parts}
        return Evaluation.of(self._by_parts, harmonic, items)

    def _take_in(self, row: dict[str, Any], before: Mapping[str, Any] | None) -> None:
        """Count what a row says; it takes the place of the one before it."""
        for counted, sign in ((before, -1), (row, 1)):
            if counted is not None:
                found = {name: np.array(unpack(counted["items"][name])) for name in self._by_parts}
                self._telling.note(found, sign)
        self._known[row["key"]] = row
        self.item_evaluations += row["n"]
        self.seconds += row["seconds"]


def _told(evaluation: Evaluation, rules: Sequence[Rule]) -> float | None:
    """What the first rule that ends the evaluation tells; None to go on."""
    return next((told for rule in rules if (told := rule(evaluation)) is not None), None)


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
