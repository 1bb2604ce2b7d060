"""Analyses of a finished run: correctness emergence, headroom, and where its best particle started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import ROUNDING, Floats
from pyswarmopt_llm.evaluation.record import TRAINED, Row
from pyswarmopt_llm.evaluation.result import Headroom, RunResult
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.metrics.combine import Combine, combined_value


@dataclass(frozen=True)
class Emergence:
    """Dev items of one task by who gets them right: any expert, the result (Feng et al. 2024).

    Attributes:
        kept: some expert and the best.
        lost: some expert, but not the best.
        emerged: no expert, but the best.
        never: neither.
    """

    kept: int
    lost: int
    emerged: int
    never: int

    @property
    def share(self) -> float | None:
        """Share of the items without a right expert that the best gets right; None without any."""
        unknown = self.emerged + self.never
        return self.emerged / unknown if unknown else None


@dataclass(frozen=True)
class Origin:
    """Where the final best started.

    Attributes:
        particle: its number in the swarm.
        start: the value of its starting point.
        rank: of that value in the starting swarm, 1 for the best; equal values share the middle of
            their ranks.
        population: particles.
        value: the best value.
        iteration: when it was found; of a proposal the one after the last.
        proposed: by a model; no particle found it, and `start` is its own value.
    """

    particle: int
    start: float
    rank: float
    population: int
    value: float
    iteration: int
    proposed: bool = False

    @property
    def weak_to_strong(self) -> bool:
        """It started in the lower half of the swarm."""
        return not self.proposed and self.rank > (self.population + 1) / 2


def read_run(path: Path) -> tuple[Run, RunResult]:
    """A finished run and its result.

    Raises:
        UserError: not a run, not finished, or without a complete evaluation.
    """
    run = Run.open(path)
    result = run.result
    if result is None:
        raise UserError(f"{path}: is not finished; finish it with: swarm-llm resume {path}")
    journal = run.path / "history.jsonl"
    if not searched(run.rows):
        raise UserError(f"{journal}: has no complete evaluation; nothing to analyse")
    _check_together(journal, run.rows, result)
    return run, result


def _check_together(journal: Path, rows: Sequence[Row], result: RunResult) -> None:
    """Refuse rows that are not those of one search, the one that `result` came of."""
    shapes = {_shape(row) for row in rows if row.phase == "search"}
    if len(shapes) > 1:
        raise UserError(f"{journal}: its lines differ in tasks, items or experts; restore the file")
    if next(iter(shapes))[0] != len(result.coefficients):
        raise UserError(
            f"{journal}: is of another number of experts than result.json; restore the files"
        )


def _shape(row: Row) -> tuple[int, tuple[tuple[str, int], ...]]:
    return len(row.coefficients), tuple((name, len(items)) for name, items in row.items.items())


def searched(rows: Iterable[Row]) -> list[Row]:
    """The rows of the search itself, without partial evaluations."""
    return [row for row in rows if row.phase == "search" and row.complete]


def of_race(row: Row) -> bool:
    """Whether a row is of a share of the items, after which a candidate may drop out: its value is
    the least that it can be.
    """
    return row.bounds is not None and row.value == row.bounds[0]


def swarm_of(rows: Iterable[Row]) -> set[int]:
    """The particles' numbers; proposals of a model have others."""
    return {row.particle for row in rows if row.phase == "search" and row.iteration == 0}


def proposing_model(rows: Iterable[Row]) -> str:
    """The model that proposed candidates: of the items where rows have margins, else of the scores.

    Example:
        >>> proposing_model([Row("search", 0, 0, "k", [1.0], 0.5, 2, 1.0, {"t": "10"})])
        'model of the scores'
    """
    return "item model" if any(row.margins for row in rows) else "model of the scores"


def expert_rows(rows: Sequence[Row], result: RunResult) -> list[Row]:
    """The rows of the experts, which the initial swarm begins with."""
    return [row for row in rows if row.iteration == 0 and row.particle < len(result.coefficients)]


def emergence(rows: Sequence[Row], result: RunResult) -> dict[str, Emergence]:
    """Task -> its four cases, for tasks whose items are right or wrong.

    Args:
        rows: of the journal.
        result: ``result.json``.
    """
    experts, best = expert_rows(searched(rows), result), final_row(rows, result)
    if len(experts) < len(result.coefficients):  # some dropped out, and what they know is unknown
        return {}
    cases = {}
    for name in best.items:
        final = np.array(best.item_values(name))
        starting = np.array([row.item_values(name) for row in experts])
        if final.size == 0 or not (
            np.isin(final, (0, 1)).all() and np.isin(starting, (0, 1)).all()
        ):
            continue
        expert, right = starting.any(axis=0), final.astype(bool)
        cases[name] = Emergence(
            int((expert & right).sum()),
            int((expert & ~right).sum()),
            int((~expert & right).sum()),
            int((~expert & ~right).sum()),
        )
    return cases


def headroom(
    rows: Iterable[Row], experts: int, single: int, best: Mapping[str, Score], combine: Combine
) -> Headroom | None:
    """The headroom on dev, from scores that the search has made: nothing is scored for it.

    Where experts dropped out of a race it is of the items that all of them were scored on.

    Args:
        rows: of the journal.
        experts: their number.
        single: number of the best one.
        best: task name -> the result's score on dev.
        combine: of the tasks' scores.

    Returns:
        None for fewer than two experts, and where a task has no item that all were scored on.
    """
    started = [row for row in rows if row.phase == "search" and row.iteration == 0]
    latest = {row.particle: row for row in started if row.particle < experts}
    if experts < 2 or len(latest) < experts:
        return None
    means, count, partial = [], 0, False
    for task, score in best.items():
        values = [latest[number].item_values(task) for number in range(experts)]
        if {len(score.per_item)} != {*map(len, values)} or not score.per_item:
            return None
        table = np.array([*values, score.per_item])
        known = ~np.isnan(table).any(axis=0)
        if not known.any():
            return None
        means.append(_means(table[:, known], single))
        count, partial = count + int(known.sum()), partial or not known.all()
    oracle, alone, result = (
        combined_value(combine, column) for column in np.transpose(means).tolist()
    )
    way = oracle - alone
    share = (result - alone) / way if way > ROUNDING * abs(oracle) else None
    return Headroom(oracle, alone, result, share, count, partial)


def _means(table: Floats, single: int) -> list[float]:
    """Of the best of the experts on each item, of the best expert, of the result (the last row)."""
    return [float(row.mean()) for row in (table[:-1].max(axis=0), table[single], table[-1])]


def origin(rows: Sequence[Row], result: RunResult) -> Origin:
    """Where the final best started.

    Args:
        rows: of the journal, partial evaluations included.
        result: ``result.json``.
    """
    best = best_row(searched(rows), result)
    begun = [row for row in rows if row.phase == "search" and row.iteration == 0]
    starts = {row.particle: row.value for row in begun}
    start = starts.get(best.particle, best.value)
    values = list(starts.values())
    rank = 1 + sum(v > start for v in values) + (values.count(start) - 1) / 2
    proposed = best.particle not in swarm_of(rows)
    return Origin(best.particle, start, rank, len(values), best.value, best.iteration, proposed)


def final_row(rows: Sequence[Row], result: RunResult) -> Row:
    """The journal's row of the result: of the best candidate, or of what was trained."""
    if result.trained:
        own = [*result.coefficients.values(), 1.0]  # what it began with, and what was trained
        for row in rows:
            if row.phase == TRAINED and list(row.coefficients) == own:
                return row
    return best_row(searched(rows), result)


def best_row(rows: Sequence[Row], result: RunResult) -> Row:
    """The row of the best candidate of a search: by its mixture, else by its value.

    Different graphs may use the same experts; of these, the one with the result's value.
    """
    mixture = list(result.coefficients.values())
    same = [
        row
        for row in rows
        if row.coefficients == mixture and (result.graph is None or row.value == result.best_dev)
    ]
    return same[0] if same else max(rows, key=lambda row: row.value)
