"""From a position to its score on dev: realise, load, ask, write down; what is written down is not asked again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from pyswarmopt_llm.errors import UserError
from pyswarmopt_llm.interfaces import Engine, Score, Space, Utility
from pyswarmopt_llm.runs import Run, position_key
from pyswarmopt_llm.utilities.combine import Combine, harmonic
from pyswarmopt_llm.utilities.stats import score_of

OnRow = Callable[[Mapping[str, Any]], None]


class Objective:
    """Scores positions by the tasks' utilities; the run's journal answers for what was scored before.

    Args:
        run: where every new score goes, one line each.
        space: realises positions.
        engine: runs them.
        utilities: task name -> what is asked.
        phase: keeps rows of different questions apart (``search``, ``letter``).
        on_row: told about every new row.
        combine: one number from the tasks' scores.
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
    ) -> None:
        self._run, self._space, self._engine = run, space, engine
        self._utilities, self._phase, self._on_row = dict(utilities), phase, on_row
        self._combine = combine
        self._known = {row["key"]: row for row in run.rows if row["phase"] == phase}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was scored so far, in order."""
        return list(self._known.values())

    @property
    def evaluations(self) -> int:
        """Number of positions scored so far."""
        return len(self._known)

    def __call__(self, position: Tensor, iteration: int, particle: int) -> float:
        """The value of a position (higher is better)."""
        return float(self._row(position, iteration, particle)["value"])

    def scores(self, position: Tensor, iteration: int, particle: int) -> dict[str, Score]:
        """The score of each task at a position."""
        row = self._row(position, iteration, particle)
        return {name: task_score(row, name) for name in self._utilities}

    def known(self, position: Tensor) -> dict[str, Any]:
        """The journal's line of a position that was scored.

        Raises:
            KeyError: it was not.
        """
        return self._known[position_key(position)]

    def _row(self, position: Tensor, iteration: int, particle: int) -> dict[str, Any]:
        key = position_key(position)
        if key not in self._known:
            start = time.perf_counter()
            self._engine.load(self._space.realise(position))
            scores = {name: utility(self._engine) for name, utility in self._utilities.items()}
            total = self._combine(list(scores.values()))
            if not math.isfinite(total.value):
                raise UserError(
                    f"particle {particle}, iteration {iteration}: the score is {total.value}; mend its metric, resume"
                )
            row = {
                "phase": self._phase,
                "iteration": iteration,
                "particle": particle,
                "key": key,
                "coefficients": self._space.coefficients(position).tolist(),
                "value": total.value,
                "n": total.n,
                "seconds": round(time.perf_counter() - start, 4),
                "items": {name: pack(score.per_item) for name, score in scores.items()},
            }
            if own := own_values(scores):
                row["values"] = own
            self._run.append(row)
            self._known[key] = row
            if self._on_row is not None:
                self._on_row(row)
        return self._known[key]


def own_values(scores: Mapping[str, Score]) -> dict[str, list[float]]:
    """Value, standard error and count of those scores that are not the mean of their items."""
    return {
        name: [score.value, score.stderr, score.n]
        for name, score in scores.items()
        if not score.per_item or score.value != score_of(score.per_item).value
    }


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


def pack(per_item: tuple[float, ...]) -> str | list[float]:
    """Values per item as JSON: a string of 0 and 1 where that is all there is.

    Example:
        >>> pack((1.0, 0.0)), pack((0.5, 1.0))
        ('10', [0.5, 1.0])
    """
    if all(value in (0.0, 1.0) for value in per_item):
        return "".join("1" if value else "0" for value in per_item)
    return list(per_item)


def unpack(items: str | list[float]) -> list[float]:
    """The inverse of `pack`.

    Example:
        >>> unpack("10")
        [1.0, 0.0]
    """
    return [float(value) for value in items]
