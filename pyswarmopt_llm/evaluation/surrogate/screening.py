"""Screened evaluation: items whose outcome a model predicts are not scored.

The experts are scored in full. From then on an `ItemModel` of all margins that were seen gives each
item its probability of being right. Below P or above 1 - P the item counts as wrong or right
without being scored. A candidate that would so become the best of all is scored in full, so that
the best is never one that was predicted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pyswarmopt_llm.evaluation.evaluator import Evaluation
from pyswarmopt_llm.evaluation.plan import Screen
from pyswarmopt_llm.evaluation.record import Margins, Row
from pyswarmopt_llm.evaluation.surrogate.gaussian_process import ItemModel, Kernel
from pyswarmopt_llm.evaluation.surrogate.harmful import Rest, free_of, harmful

# beyond, the candidates of a search tell too little of the space for a model of it
MOST_COEFFICIENTS = 64
_GROWTH = 1.5  # times as many margins as when the kernel was chosen: it is chosen anew

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What is known of a candidate.

    Attributes:
        position: (D,).
        margins: task name -> those of its items, None where not scored.
        expected: its value, where not all items were scored the expected one.
        complete: whether all were.
    """

    position: Floats
    margins: Mapping[str, Margins]
    expected: float
    complete: bool

    @property
    def value(self) -> float | None:
        """Where all items were scored."""
        return self.expected if self.complete else None


class Screening:
    """Learns from every candidate that was scored, and screens the next ones.

    Args:
        level: P of `Screen`.
        items: task name -> number of its items.

    Attributes:
        left_out: numbers of coefficients that stay 0 in proposals; what was scored with another
            value of them is not learnt from.
    """

    def __init__(self, level: float, items: Mapping[str, int]) -> None:
        self._level, self.items = level, dict(items)
        self.left_out: Sequence[int] = ()
        self._seen: dict[str, Seen] = {}
        self._kernel: Kernel | None = None
        self._chosen_with = 0

    def learn(self, key: str, position: Tensor, evaluation: Row | Evaluation) -> None:
        """Take in the margins of a candidate.

        Args:
            key: name of its position.
            position: (D,).
            evaluation: all that is known of it.
        """
        scored = [margins is not None for task in evaluation.margins.values() for margins in task]
        if any(scored):
            self._seen[key] = Seen(
                position.detach().cpu().double().numpy().copy(),
                evaluation.margins,
                evaluation.value,
                all(scored) and evaluation.bounds is None,
            )

    def leave_out_harmful(self) -> None:
        """Leave out the experts that are clearly worse than the base, see `harmful`."""
        candidates = self._seen.values()
        values = np.array([seen.expected for seen in candidates])
        errors = np.sqrt(np.maximum(values * (1 - values), 0.0) / sum(self.items.values()))
        positions = np.stack([seen.position for seen in candidates])
        self.left_out = harmful(positions, values, errors)

    @property
    def rest(self) -> Rest:
        """The coefficients that proposals move in."""
        first = next(iter(self._seen.values()))
        return Rest(first.position.size, self.left_out)

    @property
    def _used(self) -> list[Seen]:
        """The candidates that are learnt from."""
        return [seen for seen in self._seen.values() if free_of(seen.position, self.left_out)]

    @property
    def positions(self) -> Floats:
        """(N, D) of all candidates that were learnt from."""
        return np.stack([candidate.position for candidate in self._used])

    @property
    def in_full(self) -> list[tuple[Seen, float]]:
        """The candidates that were scored in full, with their values."""
        return [
            (candidate, candidate.value) for candidate in self._used if candidate.value is not None
        ]

    @property
    def best(self) -> float:
        """The highest value of a candidate that was scored in full; -inf if none was."""
        return max((value for _, value in self.in_full), default=-np.inf)

    def screens(self, positions: Iterable[Tensor], best: float = np.inf) -> list[Screen]:
        """A screen for each candidate of a round, (D,) each; as long as nothing was learnt,
        everything is scored.
        """
        x = [position.detach().cpu().double().numpy() for position in positions]
        if not self._seen:
            return [self.everything()] * len(x)
        right = self.model().right(np.stack(x))
        ends = np.cumsum(list(self.items.values()))[:-1]
        return [
            Screen(dict(zip(self.items, np.split(row, ends), strict=True)), self._level, best)
            for row in right
        ]

    def everything(self) -> Screen:
        """The screen that scores all items, and keeps their margins."""
        return Screen.everything(self.items, self._level)

    def closest(self, candidates: Sequence[tuple[Seen, float]]) -> Floats:
        """(N, I) margins of the closest rivals, of candidates that were scored in full."""
        return np.array(
            [
                [min(margins or ()) for margins in self._flat(candidate)]
                for candidate, _ in candidates
            ]
        )

    def model(self) -> ItemModel:
        """Of all margins; its kernel is chosen anew when half as many again are known."""
        margins = as_cube([self._flat(candidate) for candidate in self._used])
        scored = int((~np.isnan(margins)).sum())
        if scored >= _GROWTH * self._chosen_with:
            self._kernel, self._chosen_with = None, scored
        model = ItemModel(self.positions, margins, self._kernel)
        self._kernel = model.kernel
        return model

    def _flat(self, candidate: Seen) -> Margins:
        """The margins of all items, task by task."""
        return [margins for name in self.items for margins in candidate.margins[name]]


def as_cube(rows: Sequence[Sequence[Sequence[float] | None]]) -> Floats:
    """Margins as (N, I, R), NaN where an item was not scored or has fewer options than another.

    Example:
        >>> as_cube([[[1.0, 2.0], [3.0]], [None, [4.0]]]).tolist()
        [[[1.0, 2.0], [3.0, nan]], [[nan, nan], [4.0, nan]]]
    """
    rivals = max(
        (len(margins) for row in rows for margins in row if margins is not None), default=1
    )
    cube = np.full((len(rows), len(rows[0]), rivals), np.nan)
    for n, row in enumerate(rows):
        for i, margins in enumerate(row):
            if margins is not None:
                cube[n, i, : len(margins)] = margins
    return cube
