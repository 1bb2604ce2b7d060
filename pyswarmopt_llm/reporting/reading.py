"""What a finished run tells: emergence of correctness, and where its best particle came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.evaluation.run_directory import Run


@dataclass(frozen=True)
class Variant:
    """One search of an ablation or diversity study.

    Attributes:
        label: what is different in it.
        dev: value on dev.
        test: value on held-out test; None without test items.
        evaluations: positions scored.
        run: its directory.
    """

    label: str
    dev: float
    test: float | None
    evaluations: int
    run: str


@dataclass(frozen=True)
class Emergence:
    """Dev items of one task by who answers them rightly: any starting expert, the final best (Feng et al. 2024).

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
        """Of the items that no expert got right the share that the best does; None where there is none."""
        unknown = self.emerged + self.never
        return self.emerged / unknown if unknown else None


@dataclass(frozen=True)
class Origin:
    """Where the final best started.

    Attributes:
        particle: its number in the swarm.
        start: the value of its starting point.
        rank: of that value in the starting swarm, 1 for the best; equal values share the middle of their ranks.
        population: particles.
        value: the best value.
        iteration: when it was found; of what the item model proposed the one after the last.
        promised: proposed by the item model of a screened search; no particle found it, and `start` is its own value.
    """

    particle: int
    start: float
    rank: float
    population: int
    value: float
    iteration: int
    promised: bool = False

    @property
    def weak_to_strong(self) -> bool:
        """It started in the lower half of the swarm."""
        return not self.promised and self.rank > (self.population + 1) / 2


def read_run(path: Path) -> tuple[Run, dict[str, Any]]:
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


def _check_together(journal: Path, rows: Sequence[Row], result: Mapping[str, Any]) -> None:
    """Refuse rows that are not those of one search, the one that `result` came of."""
    shapes = {_shape(row) for row in rows if row.phase == "search"}
    if len(shapes) > 1:
        raise UserError(f"{journal}: its lines differ in tasks, items or experts; restore the file")
    if next(iter(shapes))[0] != len(result["coefficients"]):
        raise UserError(f"{journal}: is of another number of experts than result.json; restore the files")


def _shape(row: Row) -> tuple[int, tuple[tuple[str, int], ...]]:
    return len(row.coefficients), tuple((name, len(items)) for name, items in row.items.items())


def searched(rows: Iterable[Row]) -> list[Row]:
    """The complete rows of the search itself."""
    return [row for row in rows if row.phase == "search" and row.complete]


def swarm_of(rows: Iterable[Row]) -> set[int]:
    """The particles' numbers; what the item model of a screened search proposed has others."""
    return {row.particle for row in rows if row.phase == "search" and row.iteration == 0}


def expert_rows(rows: Sequence[Row], result: Mapping[str, Any]) -> list[Row]:
    """The rows of the experts themselves, which the starting swarm begins with."""
    return [row for row in rows if row.iteration == 0 and row.particle < len(result["coefficients"])]


def emergence(rows: Sequence[Row], result: Mapping[str, Any]) -> dict[str, Emergence]:
    """Task -> its four cases; tasks whose items are not simply right or wrong are left out.

    Args:
        rows: those of `searched`, at least one.
        result: ``result.json``.
    """
    experts, best = expert_rows(rows, result), best_row(rows, result)
    found = {}
    for name in best.items:
        final = np.array(best.item_values(name))
        starting = np.array([row.item_values(name) for row in experts])
        if final.size == 0 or not (np.isin(final, (0, 1)).all() and np.isin(starting, (0, 1)).all()):
            continue
        known, right = starting.any(axis=0), final.astype(bool)
        found[name] = Emergence(
            int((known & right).sum()),
            int((known & ~right).sum()),
            int((~known & right).sum()),
            int((~known & ~right).sum()),
        )
    return found


def origin(rows: Sequence[Row], result: Mapping[str, Any]) -> Origin:
    """Where the final best started.

    Args:
        rows: of the journal, incomplete ones included: what a screened swarm starts from is mostly estimated.
        result: ``result.json``.
    """
    best = best_row(searched(rows), result)
    begun = [row for row in rows if row.phase == "search" and row.iteration == 0]
    starts = {row.particle: row.value for row in begun}
    own = starts.get(best.particle, best.value)
    values = list(starts.values())
    rank = 1 + sum(v > own for v in values) + (values.count(own) - 1) / 2
    promised = best.particle not in swarm_of(rows)
    return Origin(best.particle, own, rank, len(values), best.value, best.iteration, promised)


def best_row(rows: Sequence[Row], result: Mapping[str, Any]) -> Row:
    """The row of the candidate that the run handed over: by its mixture, else by its value.

    Different graphs may consist of the same experts: of these the one with its value.
    """
    mixture = list(result["coefficients"].values())
    same = [
        row
        for row in rows
        if row.coefficients == mixture and ("graph" not in result or row.value == result["best_dev"])
    ]
    return same[0] if same else max(rows, key=lambda row: row.value)


__all__ = [
    "Emergence",
    "Origin",
    "Variant",
    "best_row",
    "emergence",
    "expert_rows",
    "origin",
    "read_run",
    "searched",
    "swarm_of",
]
