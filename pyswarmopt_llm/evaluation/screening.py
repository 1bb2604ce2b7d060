"""`--screen P`: items whose outcome a model foretells are not asked.

The experts are asked in full. From then on an `ItemModel` of all that was asked gives each item its probability
of being right. Where that is below P or above 1 - P the item counts as wrong or right without being asked. A candidate
that would so become the best of all is asked in full, so that the best is never one that was foretold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt_llm.common.config import PROPOSALS
from pyswarmopt_llm.evaluation.item_model import ItemModel, Kernel
from pyswarmopt_llm.evaluation.partial import Evaluation, mean_only

MOST_COEFFICIENTS = 64  # beyond, what a swarm asks tells too little of the space for a model of it
SOFTNESS = 0.4  # of a margin's standard deviation over items and candidates: what `Screening.clearest` smooths over
_SCOUTS, _FLIGHT, _PATIENCE = 40, 100, 10  # particles and iterations of a swarm that flies over the model
_GROWTH = 1.5  # times as many margins as when the kernel was chosen: it is chosen anew


@dataclass(frozen=True)
class Screen:
    """An `ItemRule`: ask what is in doubt, take the rest for right or wrong, unless that makes a new best.

    Plain imputation: a few of the sure items are not asked as a check on the others, since that adds more noise than
    the model makes errors (docs/less-work.md).

    Attributes:
        right: task name -> probability of each item of being right, (n,).
        level: an item below this probability, or above 1 minus it, is taken for what it probably is.
        best: value of the best candidate so far.

    Example:
        >>> screen = Screen({"t": np.array([0.99, 0.5, 0.02, 0.01])}, level=0.05, best=0.6)
        >>> sorted(screen.first["t"])
        [1]
        >>> half = Evaluation({"t": (0.0, 1.0)}, {"t": np.full(4, np.nan)}, lambda scores: scores[0])
        >>> half.values["t"][1] = 1.0
        >>> screen(half), Screen(screen.right, 0.05, best=0.4)(half)
        (0.5, None)
    """

    right: Mapping[str, npt.NDArray[np.float64]]
    level: float
    best: float
    keeps_margins: ClassVar[bool] = True

    @property
    def first(self) -> Mapping[str, frozenset[int]]:
        """The items in doubt."""
        return {name: frozenset(np.flatnonzero(self._in_doubt(name)).tolist()) for name in self.right}

    def __call__(self, evaluation: Evaluation) -> float | None:
        """The value with what is foretold, or None to go on asking."""
        scores = []
        for name, values in evaluation.values.items():
            unknown = np.isnan(values)
            if (unknown & self._in_doubt(name)).any():
                return None
            low, high = evaluation.ranges[name]
            foretold = np.where(self.right[name] > 0.5, high, low)
            scores.append(mean_only(np.where(unknown, foretold, values)))
        value = evaluation.combine(scores).value
        return None if value > self.best else value

    def _in_doubt(self, name: str) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = np.minimum(self.right[name], 1 - self.right[name]) >= self.level
        return found


@dataclass(frozen=True)
class _Asked:
    """What is known of a candidate: its `value` where every item was asked."""

    position: npt.NDArray[np.float64]
    margins: Mapping[str, Any]
    value: float | None


class Screening:
    """Learns from every candidate that was asked, and screens the next ones.

    Args:
        level: P of `Screen`.
        items: task name -> number of its items.
    """

    def __init__(self, level: float, items: Mapping[str, int]) -> None:
        self._level, self._items = level, dict(items)
        self._seen: dict[str, _Asked] = {}
        self._kernel: Kernel | None = None
        self._chosen_with = 0

    def learn(self, position: Tensor, row: Mapping[str, Any]) -> None:
        """Take in what is known of a candidate.

        Args:
            position: (D,).
            row: its line of the journal, with the `margins` of what was asked.
        """
        known = [margins is not None for task in row["margins"].values() for margins in task]
        if any(known):
            value = float(row["value"]) if all(known) and "bounds" not in row else None
            self._seen[row["key"]] = _Asked(position.detach().cpu().double().numpy().copy(), row["margins"], value)

    @property
    def best(self) -> float:
        """The highest value of a candidate that was asked in full; -inf if none was."""
        return max((value for _, value in self._in_full()), default=-np.inf)

    def clearest(self, floor: float = -np.inf) -> Tensor | None:
        """Of the candidates that were asked in full and are about as good as the best, the one with the widest margins.

        About as good is within a standard error of the best value (the rule of Breiman et al. 1984, section 3.4.3), and
        never below `floor`. Widest is the mean over items of the logistic function of the closest rival's margin, in
        units of `SOFTNESS` times the margins' standard deviation. What won hundreds of comparisons on the same items
        owes part of that to luck on items that were nearly lost; margins tell more than right and wrong.

        Returns:
            Its position, (D,) float64; None where nothing of that value was asked in full.
        """
        asked = self._in_full()
        if not asked:
            return None
        best = self.best
        error = np.sqrt(max(best * (1 - best), 0.0) / sum(self._items.values()))
        closest = self._closest(asked)
        width = _width(closest, closest.std())
        near = [i for i, (_, value) in enumerate(asked) if value >= max(best - error, floor)]
        if not near:
            return None
        return torch.from_numpy(asked[max(near, key=lambda i: width[i])][0].position.copy())

    def promises(self, seed: int) -> Iterator[Tensor]:
        """What is `promising`, `PROPOSALS` times with one seed after the other; learn each before the next is taken."""
        for number in range(PROPOSALS):
            position = self.promising(seed + number)
            if position is None:
                return
            yield position

    def promising(self, seed: int) -> Tensor | None:
        """Where margins are foretold to be the widest: what a swarm finds that flies over the model of all margins.

        Nothing is asked. Swarms that ask have to feel their way by noisy counts of right answers; this one sees a
        smooth function and can look at it thousands of times.

        Args:
            seed: of the swarm that flies over the model.

        Returns:
            The position, (D,) float64; None where nothing was asked in full.
        """
        asked = self._in_full()
        if not asked:
            return None
        spread = float(self._closest(asked).std())
        model = self._model()

        def width(positions: Tensor) -> Tensor:
            return torch.from_numpy(_width(model.margins(positions.numpy()), spread))

        known = torch.from_numpy(np.stack([one.position for one in self._seen.values()]))
        start = known[width(known).argsort(descending=True, stable=True)[:_SCOUTS]]
        recipe = replace(pso.recipes.constriction(), stop=(Patience(_PATIENCE), MaxIter(_FLIGHT)), restart=())
        swarm = pso.Swarm(
            positions=start, population=_SCOUTS, recipe=recipe, maximize=True, seed=seed, dtype=start.dtype
        )
        while not swarm.stop():
            positions = swarm.ask()
            swarm.tell(positions, width(positions))
        return swarm.best.x

    def screens(self, positions: Iterable[Tensor], best: float = np.inf) -> list[Screen]:
        """A rule for each candidate of a round; as long as nothing was learnt: to ask everything."""
        if not self._seen:
            return self.in_full(len(list(positions)))
        x = np.stack([position.detach().cpu().double().numpy() for position in positions])
        right = self._model().right(x)
        ends = np.cumsum(list(self._items.values()))[:-1]
        return [Screen(dict(zip(self._items, np.split(row, ends), strict=True)), self._level, best) for row in right]

    def in_full(self, count: int) -> list[Screen]:
        """As many rules to ask everything: all items are in doubt."""
        return [Screen({name: np.full(n, 0.5) for name, n in self._items.items()}, self._level, np.inf)] * count

    def _in_full(self) -> list[tuple[_Asked, float]]:
        """What was asked in full, with its values."""
        return [(one, one.value) for one in self._seen.values() if one.value is not None]

    def _closest(self, asked: Sequence[tuple[_Asked, float]]) -> npt.NDArray[np.float64]:
        """(N, I) margins of the closest rivals."""
        return np.array([[min(margins) for name in self._items for margins in one.margins[name]] for one, _ in asked])

    def _model(self) -> ItemModel:
        """Of all that was asked; its kernel is chosen anew when half as many margins again are known."""
        asked = np.stack([one.position for one in self._seen.values()])
        margins = as_cube([[m for name in self._items for m in one.margins[name]] for one in self._seen.values()])
        known = int((~np.isnan(margins)).sum())
        if known >= _GROWTH * self._chosen_with:
            self._kernel, self._chosen_with = None, known
        model = ItemModel(asked, margins, self._kernel)
        self._kernel = model.kernel
        return model


def _width(closest: npt.NDArray[np.float64], spread: float) -> npt.NDArray[np.float64]:
    """(N,) how clearly items are right on average, from (N, I) margins; items that nothing is known of are left out."""
    found: npt.NDArray[np.float64] = np.nanmean(expit(closest / (SOFTNESS * (spread or 1.0))), axis=1)
    return found


def proposals_for(candidates: int) -> int:
    """How many of a budget of so many candidates are left to what the model promises.

    Example:
        >>> proposals_for(100), proposals_for(20)
        (10, 5)
    """
    return min(PROPOSALS, candidates // 4)


def as_cube(rows: Sequence[Sequence[Sequence[float] | None]]) -> npt.NDArray[np.float64]:
    """Margins as (N, I, R), NaN where an item was not asked or has fewer options than another.

    Example:
        >>> as_cube([[[1.0, 2.0], [3.0]], [None, [4.0]]]).tolist()
        [[[1.0, 2.0], [3.0, nan]], [[nan, nan], [4.0, nan]]]
    """
    rivals = max((len(margins) for row in rows for margins in row if margins is not None), default=1)
    cube = np.full((len(rows), len(rows[0]), rivals), np.nan)
    for n, row in enumerate(rows):
        for i, margins in enumerate(row):
            if margins is not None:
                cube[n, i, : len(margins)] = margins
    return cube


__all__ = ["MOST_COEFFICIENTS", "Screen", "Screening", "as_cube", "proposals_for"]
