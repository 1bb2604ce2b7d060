"""The surrogate of items that are answered by choosing among options.

An `ItemModel` of all margins that were seen predicts the margins of any candidate. Counts of right
answers are noisy and stepped; margins are neither. Their *width* at a candidate is the mean over
items of the logistic function of the closest rival's margin, in units of `SOFTNESS` times the
margins' standard deviation: proposals are where the expected width is greatest.

Of the starting positions, the experts are scored in full. An item of the others counts as right or
wrong without being scored where the model is sure of it (`Screen`); a candidate that would so become
the best of all is scored in full, so that the best is never one that was predicted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from pyswarmopt_llm.searching.scoring.plan import Plan, Screen
from pyswarmopt_llm.searching.scoring.record import Margins, Row
from pyswarmopt_llm.searching.surrogate.gaussian_process import Floats, ItemModel, Kernel
from pyswarmopt_llm.searching.surrogate.surrogate import PARTICLES, Surrogate, argmax

LEVEL = 0.05  # probability below which a starting position is not scored on an item
SOFTNESS = 0.4
_GROWTH = 1.5  # times as many margins as when the kernel was chosen: it is chosen anew
_ITERATIONS = 100  # of the swarm that maximises the width


@dataclass(frozen=True)
class Seen:
    """A candidate of which some items were scored.

    Attributes:
        position: (D,).
        margins: task name -> those of its items, None where not scored.
        value: where not all items were scored the expected one.
        complete: whether all were.
    """

    position: Floats
    margins: Mapping[str, Margins]
    value: float
    complete: bool


class ItemSurrogate(Surrogate[Seen]):
    """Learns from the margins of every candidate.

    Args:
        items: task name -> number of its items.
        most: candidates that it proposes at most.
        least_gain: standard errors that the model has to expect the first proposal to be ahead of
            the best; else there is none.
    """

    def __init__(self, items: Mapping[str, int], most: int, least_gain: float = -np.inf) -> None:
        super().__init__(most)
        self.items, self._least_gain = dict(items), least_gain
        self._seen: dict[str, Seen] = {}
        self._kernel: Kernel | None = None
        self._chosen_with = 0

    @property
    def in_full(self) -> Plan:
        """All items, and their margins."""
        return Screen.everything(self.items, LEVEL)

    def begin(self, positions: Tensor) -> list[Plan]:
        """A screen for each starting position; all items as long as nothing was learnt."""
        if not self._seen:
            return super().begin(positions)
        best = max((candidate.value for candidate in self.scored), default=-np.inf)
        right = self.model().right(positions.detach().cpu().double().numpy())
        ends = np.cumsum(list(self.items.values()))[:-1]
        return [
            Screen(dict(zip(self.items, np.split(row, ends), strict=True)), LEVEL, best)
            for row in right
        ]

    def tell(self, position: Tensor, row: Row) -> None:
        """Take in the margins of a candidate."""
        scored = [margins is not None for task in row.margins.values() for margins in task]
        if any(scored):
            self._seen[row.key] = Seen(
                position.detach().cpu().double().numpy().copy(),
                row.margins,
                row.value,
                all(scored) and row.complete,
            )

    @property
    def scored(self) -> list[Seen]:
        """The candidates that were scored in full, without experts that harm."""
        return [candidate for candidate in self._used if candidate.complete]

    def model(self) -> ItemModel:
        """Of all margins; its kernel is chosen anew when half as many again are known."""
        margins = as_cube([self._flat(candidate) for candidate in self._used])
        known = int((~np.isnan(margins)).sum())
        if known >= _GROWTH * self._chosen_with:
            self._kernel, self._chosen_with = None, known
        model = ItemModel(self._positions, margins, self._kernel)
        self._kernel = model.kernel
        return model

    @property
    def _used(self) -> list[Seen]:
        return self._without_harmful(self._candidates())

    @property
    def _positions(self) -> Floats:
        """(N, D) of all candidates that are learnt from."""
        return np.stack([candidate.position for candidate in self._used])

    def _candidates(self) -> list[Seen]:
        return list(self._seen.values())

    def _error(self, candidate: Seen) -> float:
        variance = max(candidate.value * (1 - candidate.value), 0.0)
        return float(np.sqrt(variance / sum(self.items.values())))

    def _expected(self, numbers: Sequence[int]) -> Floats:
        """Their width."""
        closest = self._closest()
        return _width(closest, closest.std())[list(numbers)]

    def _promising(self, seed: int, at_once: int) -> Iterator[Sequence[Tensor]]:
        """Where the expected width is greatest, one by one; `at_once` is of no use here."""
        for number in range(self._most - bool(self.left_out)):
            if not self.scored:
                return
            position = self.widest(seed + number)
            if not number and self._gain(position) < self._least_gain:
                return
            yield [position]

    def widest(self, seed: int) -> Tensor:
        """The position, (D,) float64, where a swarm finds the greatest expected width."""
        spread = float(self._closest().std())
        model, active = self.model(), self.active

        def width(part: Tensor) -> Tensor:
            return torch.from_numpy(_width(model.margins(active.embed(part).numpy()), spread))

        before = torch.from_numpy(active.restrict(self._positions))
        starts = before[width(before).argsort(descending=True, stable=True)[:PARTICLES]]
        return active.embed(argmax(width, starts, seed, _ITERATIONS))

    def _gain(self, position: Tensor) -> float:
        """How far the model expects a candidate, (D,), to be ahead of the best, in standard errors
        of that one's accuracy.
        """
        best = max(candidate.value for candidate in self.scored)
        error = np.sqrt(max(best * (1 - best), 1e-12) / sum(self.items.values()))
        right = self.model().right(position.numpy()[None]).mean()
        return float((right - best) / error)

    def _closest(self) -> Floats:
        """(N, I) margins of the closest rivals, of the candidates that were scored in full."""
        return np.array(
            [[min(margins or ()) for margins in self._flat(candidate)] for candidate in self.scored]
        )

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


def _width(closest: Floats, spread: float) -> Floats:
    """(N,) from the (N, I) closest rivals' margins; items of which nothing is known are left
    out.
    """
    widths: Floats = np.nanmean(expit(closest / (SOFTNESS * (spread or 1.0))), axis=1)
    return widths
