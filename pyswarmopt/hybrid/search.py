"""A search with phases that take turns in the unit box: ask and tell, best point, limits, and saved
states.

Subclasses define the phases and their order: `pyswarmopt.hybrid.memetic`.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.base.blas import one_thread
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.inputs import (
    as_costs,
    as_limit,
    as_mask,
    as_points,
    as_seed,
    as_target,
    as_values,
)
from pyswarmopt.base.optimizer import Point
from pyswarmopt.base.record import DAMAGE, NONE, StateRecord, array, check, given
from pyswarmopt.hybrid.kinds import Kinds, UnitBox
from pyswarmopt.hybrid.proposals import Mutations
from pyswarmopt.hybrid.resolution import Resolution
from pyswarmopt.hybrid.run import Run, bounded
from pyswarmopt.hybrid.under_way import UnderWay
from pyswarmopt.parts.bounds import read_bounds

START = "start"  # the turn of the given points, before any phase
UNASKED = "unasked"  # instead of a turn, for points told without being asked for
OFF_CENTRE = 0.01  # share of the box: in the exact middle a symmetrical function has no slope


P = TypeVar("P", bound="Phase")


@dataclass(repr=False, eq=False)
class Phase(StateRecord, ABC):
    """A phase of a search: when it is due, the run it starts, and its counts.

    Methods receive the search, including its other phases.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[type[Run], ...]]  # kind of its runs
    calls_again: ClassVar[bool] = False  # whether its points are called even if known
    run: Any = field(default=None, metadata={"saved": False})  # the present `Run`
    spent: int = 0  # evaluations of all runs

    @abstractmethod
    def due(self, s: Any) -> bool:
        """Whether the phase is due; an earlier phase has precedence."""

    @abstractmethod
    def begin(self, s: Any) -> Run:
        """A new run."""

    def over(self, s: Any) -> bool:
        """Whether a new run replaces the present one."""
        return bool(self.run.done)

    def propose(self, s: Any) -> Floats:
        """Points of the unit box, (m, free coordinates)."""
        if self.run is None or self.over(s):
            self.run = self.begin(s)
        points: Floats = self.run.ask(s.random)
        return points

    def learn(self, s: Any, costs: Floats) -> None:
        """Learn the costs of the points, (m,)."""
        self.run.tell(costs)
        self.spent += len(costs)

    def beside(self, s: Any) -> Floats | None:
        """A point of the unit box that does not depend on the round's answers; None if there is
        none.
        """

    def hear(self, s: Any, points: Floats, costs: Floats) -> None:
        """Learn starting points and points outside rounds, (n, free coordinates), and their costs."""

    def resize(self, s: Any) -> None:
        """Take over that the population has changed."""

    def dim(self, kinds: Kinds) -> int:
        """Coordinates of its runs."""
        return len(kinds.levels)

    def saved(self) -> dict[str, Any]:
        """The state of the phase and its run."""
        kind = "" if self.run is None else type(self.run).__name__
        run = {} if self.run is None else self.run.state_dict(f"{self.name}.run")
        return {f"{self.name}.kind": kind, **self.state_dict(self.name), **run}

    def restored(self, saved: Mapping[str, Any], kinds: Kinds) -> Self:
        """The saved phase, with its run in a box of these coordinates."""
        name = self.name
        run = None
        check(saved, {f"{name}.kind": str})
        if saved[f"{name}.kind"]:
            kind = {kind.__name__: kind for kind in self.kinds}[saved[f"{name}.kind"]]
            run = kind.from_state(saved, f"{name}.run", {"D": self.dim(kinds)}, kinds=kinds)
        return self.from_state(saved, name, {}, run=run)


@dataclass(repr=False, eq=False)
class Progress(StateRecord):
    """State of a search: its findings and choices so far."""

    low: Floats = given("D")  # the user's box
    high: Floats = given("D")
    start: Floats = given("nD")  # starting points
    best_x: Floats = given("D")
    _: KW_ONLY
    best_cost: float = math.inf
    best_by: str = ""  # phase that evaluated the best point
    sign: float = 1.0  # -1 for maximisation
    population: int = 0  # as given, 0 if not given
    turn: str = START
    asked: Floats = array("mD")  # points waiting for values
    told: Floats = array("m")  # their values, if told one by one; NaN before
    rounds: int = 0  # completed
    evaluations: int = 0  # completed, without dropped positions


class PhasedSearch:
    """The loop of a search with phases, in the unit box.

    Arguments are those of `pyswarmopt.hybrid.memetic.MemeticSwarm`, plus `kinds`, the coordinates'
    kinds (None: all real), and `known`, the number of positions evaluated before.

    Attributes:
        progress: findings and choices so far.
        under_way: points handed out one by one.
        phases: name -> phase.
        resolution: how many digits the values have.
        cut_short: whether the present round lacks positions that were not evaluated.
    """

    # most urgent first; the last is always due
    PHASES: ClassVar[tuple[type[Phase], ...]]
    searches_lines: ClassVar[bool] = False  # one point at a time, for a large share of all

    def __init__(
        self,
        bounds: Any,
        positions: npt.ArrayLike | None = None,
        maximize: bool = False,
        seed: int | np.random.Generator | None = None,
        max_evals: int | None = None,
        max_iter: int | None = None,
        target: float | None = None,
        population: int | None = None,
        kinds: Kinds | None = None,
        known: int = 0,
    ) -> None:
        given = None if positions is None else as_points("positions", positions)
        low, high = read_bounds(bounds, None if given is None else given.shape[1])
        start = np.empty((0, len(low))) if given is None else given
        best = start[0].copy() if len(start) else (low + high) / 2
        count = as_limit("population", population, 1) or 0
        sign = -1.0 if maximize else 1.0
        self.progress = Progress(low, high, start, best, sign=sign, population=count)
        self.under_way = UnderWay(len(low))
        self.random = np.random.default_rng(as_seed(seed))
        self.max_evals = as_limit("max_evals", max_evals, 1)
        self._max_iter = as_limit("max_iter", max_iter, 0)
        self._target = None if target is None else as_target(target, maximize)
        self._given_kinds = kinds
        self.known = known
        self.cut_short = False
        self.resolution = Resolution()
        self.box = UnitBox(low, high)
        self.kinds = self._kinds_in(self.box)
        self.phases: dict[str, Phase] = {phase.name: phase() for phase in self.PHASES}

    def _kinds_in(self, box: UnitBox) -> Kinds:
        """The kinds of the free coordinates."""
        given = self._given_kinds
        return Kinds.real(box.dim) if given is None else given.of(box.free)

    def phase(self, kind: type[P]) -> P:
        """The phase of this kind, or the one that replaces it."""
        found = self.phases[kind.name]
        if not isinstance(found, kind):
            raise TypeError(f"{kind.name} is a {type(found).__name__}, not a {kind.__name__}")
        return found

    # ---- the loop ----

    def ask(self) -> Floats:
        """Positions to evaluate, (m, D) float64; the same ones until `tell`."""
        progress = self.progress
        if not len(progress.asked):
            if progress.turn == START and len(progress.start):
                progress.asked = progress.start.copy()
            else:
                if progress.turn == START:
                    progress.turn = self._next_turn()
                with one_thread():
                    progress.asked = self.box.decode(self.phases[progress.turn].propose(self))
        return progress.asked.copy()

    @property
    def calls_again(self) -> bool:
        """Whether the requested points are called although their costs are known."""
        return self.progress.turn != START and self.phases[self.progress.turn].calls_again

    def _next_turn(self) -> str:
        """The first phase that is due."""
        return next(phase.name for phase in self.phases.values() if phase.due(self))

    def tell(
        self,
        positions: npt.ArrayLike | Ticket,
        values: npt.ArrayLike,
        dropped: npt.ArrayLike | None = None,
    ) -> None:
        """Take in the values, (m,), of the positions from `ask`, or the value of a ticket;
        `dropped`, (m,), are positions not evaluated.

        A value that is not finite counts as the worst possible.

        Raises:
            ValueError: no `ask` before, other positions, not one value for each, or a ticket that
                is not pending.
        """
        if isinstance(positions, Ticket):
            self._tell_one(positions, float(as_values(values, ())))
            return
        progress = self.progress
        asked = progress.asked
        costs = as_costs(asked, positions, values, progress.sign)
        evaluated = np.ones(len(asked), np.bool_)
        if dropped is not None:
            evaluated = ~as_mask(dropped, len(asked))
        costs[~evaluated] = math.inf
        self.cut_short = not evaluated.all()
        self._see(costs)
        i = int(costs.argmin())
        self._keep(asked[i], float(costs[i]), progress.turn)
        progress.rounds += 1
        progress.evaluations += int(evaluated.sum())
        progress.asked = NONE
        progress.told = NONE
        with one_thread():
            if progress.turn == START:
                self._hear(asked, costs)
            else:
                self.phases[progress.turn].learn(self, bounded(costs))
        progress.turn = self._next_turn()

    def take_in(self, positions: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Take in unrequested points, (n, D), and their values, (n,).

        Raises:
            ValueError: points with another dimension or out of bounds, or not one value for each.

        Example:
            >>> from pyswarmopt import MemeticSwarm
            >>> search = MemeticSwarm([(-5, 5)] * 2, seed=0)
            >>> search.take_in([[1.0, 2.0]], [0.25])
            >>> search.best.value
            0.25
        """
        progress = self.progress
        x = as_points("positions", positions)
        if (
            x.shape[1:] != progress.low.shape
            or not ((x >= progress.low) & (x <= progress.high)).all()
        ):
            raise ValueError(
                f"positions: not points of {len(progress.low)} coordinates within the bounds"
            )
        costs = as_costs(x, x, values, progress.sign)
        self._see(costs)
        i = int(costs.argmin())
        self._keep(x[i], float(costs[i]), UNASKED)
        self._hear(x, costs)

    def _see(self, costs: Floats) -> None:
        """Learn how many digits the values have."""
        self.resolution.take_in(costs)

    def _keep(self, x: Floats, cost: float, by: str) -> None:
        """Keep a point, (D,), if it is the best so far."""
        progress = self.progress
        if cost < progress.best_cost:
            progress.best_cost = cost
            progress.best_x = x.copy()
            progress.best_by = by

    def _hear(self, x: Floats, costs: Floats) -> None:
        """Let the phases learn points, (n, D), that none of them proposed for a round."""
        points = self.box.encode(x)
        for phase in self.phases.values():
            phase.hear(self, points, bounded(costs))

    def stop(self) -> dict[str, float]:
        """Reasons to stop, with their values; empty to continue."""
        progress = self.progress
        reasons: dict[str, float] = {}
        if self._max_iter is not None and progress.rounds > 0 and self.iteration >= self._max_iter:
            reasons["max_iter"] = self.iteration
        if self._target is not None and progress.best_cost <= progress.sign * self._target:
            reasons["target"] = self.best.value
        return reasons

    # ---- one point at a time ----

    def ask_one(self) -> Ticket | None:
        """The next position to evaluate: of the present round, and while that is pending, outside
        it.

        With one ticket at a time the search equals `ask` and `tell`. It depends on the seed and the
        order of the tells.

        Returns:
            A ticket; None while the starting points are pending.
        """
        asked = self.ask()
        if not len(self.progress.told):
            self.progress.told = np.full(len(asked), math.nan)
        waiting = np.setdiff1d(_open_rows(self.progress), self.under_way.rows())
        beside = not waiting.size
        if beside and self.progress.turn == START:
            return None
        row = len(asked) if beside else int(waiting[0])
        x = self.box.decode(self._beside()[None])[0] if beside else asked[row].copy()
        return self.under_way.send(x, row, beside)

    def expect_together(self, count: int) -> None:
        """Take this number of pending points for the population."""
        self.progress.population = count
        for phase in self.phases.values():
            phase.resize(self)

    def tickets(self) -> list[Ticket]:
        """The pending tickets of `ask_one`, oldest first; a point outside the round counts as its
        last. Those of a restored search must be evaluated again.
        """
        return self.under_way.tickets()

    def _tell_one(self, ticket: Ticket, value: float) -> None:
        beside = self.under_way.take(ticket).beside
        cost = self.progress.sign * value if math.isfinite(value) else math.inf
        self._keep(ticket.x, cost, "beside" if beside else self.progress.turn)
        if beside:
            self.progress.evaluations += 1
            self._see(np.array([cost]))
            self._hear(ticket.x[None], np.array([cost]))
            return
        self.progress.told[ticket.particle] = self.progress.sign * cost
        if not np.isnan(self.progress.told).any():
            self.tell(self.progress.asked, self.progress.told)

    def _beside(self) -> Floats:
        """Propose a point outside the round: a phase's, else a mutation of the best point."""
        with one_thread():
            for phase in self.phases.values():
                point = phase.beside(self)
                if point is not None:
                    return point
        return Mutations(self.kinds, self.best_point()).propose(self.random)[0]

    def unit_under_way(self) -> Floats:
        """The pending points in the unit box, (k, M), snapped."""
        return self.kinds.snap(self.box.encode(self.under_way.points))

    # ---- results ----

    @property
    def best(self) -> Point:
        """The best point evaluated so far, with its value in the user's sense."""
        return Point(self.progress.best_x.copy(), self.progress.sign * self.progress.best_cost)

    @property
    def known_cost(self) -> float:
        """The best cost in the form for runs."""
        return float(bounded(np.asarray(self.progress.best_cost)))

    def best_unit(self) -> Floats:
        """The best point in the unit box, (M,)."""
        return self.box.encode(self.progress.best_x)

    def best_point(self) -> Floats:
        """The best point in the unit box, (M,), snapped."""
        return self.kinds.snap(self.best_unit()[None])[0]

    def first_point(self) -> Floats:
        """Start of a first run: the best point, else one near the middle of the box."""
        if math.isfinite(self.progress.best_cost) or len(self.progress.start):
            return self.best_unit()
        return 0.5 + OFF_CENTRE * self.random.uniform(-1, 1, self.box.dim)

    @property
    def noisy(self) -> bool:
        """Whether two calls at one point gave different costs."""
        return False

    @property
    def remark(self) -> str:
        """What a user should know about the function, to be appended to a message; mostly empty."""
        return ""

    @property
    def turn(self) -> str:
        """The name of the phase in turn; `START` before the first."""
        return self.progress.turn

    @property
    def rounds(self) -> int:
        """Completed rounds."""
        return self.progress.rounds

    @property
    def evaluations(self) -> int:
        """Completed evaluations, without dropped positions."""
        return self.progress.evaluations

    @property
    def iteration(self) -> int:
        """Completed rounds after the first one."""
        return max(self.progress.rounds - 1, 0)

    # ---- saving ----

    def state_dict(self) -> dict[str, Any]:
        """Everything needed for resuming: arrays (copies), numbers and strings."""
        saved: dict[str, Any] = {
            "random": self.random.bit_generator.state,
            **self.progress.state_dict("progress"),
            **self.under_way.state_dict("under_way"),
            **self.resolution.state_dict("resolution"),
        }
        for phase in self.phases.values():
            saved |= phase.saved()
        return saved

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a saved state, bit for bit; the given limits are kept.

        Raises:
            ValueError: not a memetic swarm's state, or one that cannot be continued.
        """
        try:
            self._restore(saved)
        except (*DAMAGE, ValueError) as error:
            raise ValueError(
                f"the state of a memetic swarm that cannot be continued ({error})"
            ) from error

    def _restore(self, saved: Mapping[str, Any]) -> None:
        """Read everything before taking it over."""
        dim = len(self.progress.low)
        progress = Progress.from_state(saved, "progress", {"D": dim})
        read_bounds((progress.low, progress.high))
        under_way = UnderWay.from_state(saved, "under_way", dim)
        resolution = Resolution.from_state(saved, "resolution", {})
        check(saved, {"random": dict})
        random = np.random.default_rng(0)
        random.bit_generator.state = copy.deepcopy(saved["random"])
        box = UnitBox(progress.low, progress.high)
        kinds = self._kinds_in(box)
        phases = {name: phase.restored(saved, kinds) for name, phase in self.phases.items()}
        _check_round(progress, phases)
        _check_under_way(progress, under_way)
        self.progress = progress
        self.under_way = under_way
        self.resolution = resolution
        self.random = random
        self.box = box
        self.kinds = kinds
        self.phases = phases


def _open_rows(progress: Progress) -> Ints:
    """Rows of the round without a value."""
    return np.flatnonzero(np.isnan(progress.told))


def _check_round(progress: Progress, phases: Mapping[str, Phase]) -> None:
    """Raise ValueError if the requested points do not belong to the phase in turn."""
    batch = progress.start
    if progress.turn != START:
        run = phases[progress.turn].run
        batch = NONE if run is None else run.batch
    asked = len(progress.asked)
    if asked not in (0, len(batch)) or len(progress.told) not in (0, asked):
        raise ValueError("points that are not those of the phase whose turn it is")


def _check_under_way(progress: Progress, under_way: UnderWay) -> None:
    """Raise ValueError if the pending points do not belong to the round."""
    points = under_way.points
    inside = ((points >= progress.low) & (points <= progress.high)).all()
    if not inside or not np.isin(under_way.rows(), _open_rows(progress)).all():
        raise ValueError("points under way that are not those of its round")
