"""A search whose phases take turns in the unit box: ask and tell, best point, limits and saved states.

Subclasses define the phases and their order: `pyswarmopt.default.continuous`. What is told reaches them
by four ways:

- the values of a round: the phase whose turn it is learns them (`Phase.learn`);
- points of the user, and points outside rounds (`PhasedSearch.take_in`): every phase hears of them
  (`Phase.hear`);
- in both cases the search keeps the best point, and learns how many digits values have (`_see`);
- what a phase has learnt about the function itself is a `Finding`, which the search heeds.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, overload

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, Ints, padded
from pyswarmopt.base.blas import one_thread
from pyswarmopt.base.inputs import (
    as_costs,
    as_count,
    as_limit,
    as_mask,
    as_points,
    as_seed,
    as_values,
    check_target,
)
from pyswarmopt.base.optimizer import BESIDE, Optimizer, Point, Ticket, UnderWay
from pyswarmopt.base.random import generator_at
from pyswarmopt.base.record import NONE, StateRecord, array, known, part
from pyswarmopt.default.box import Kinds, UnitBox
from pyswarmopt.default.resolution import Resolution
from pyswarmopt.parts.bounds import read_bounds

START = "start"  # the turn of the given points, before any phase
UNASKED = "unasked"  # instead of a turn, for points told without being asked for
OFF_CENTRE = 0.01  # share of the box: in the exact middle a symmetrical function has no slope
MATRIX_DIM = 100  # most coordinates for D x D matrices
FIRST_DESCENT = 100  # evaluations per dimension reserved for the first descent
TEST_FIRST = 30  # coordinates from which on gradients are dear with fewer evaluations
BATCH = 2**18  # most numbers in a batch of differences, unless a single point has more
EPS = float(np.finfo(np.float64).eps)
HUGE = 2.0**1020  # differences of costs up to this do not overflow

S = TypeVar("S", bound="PhasedSearch")


def bounded(costs: Floats) -> Floats:
    """The costs for phases, in the same order: excess beyond `HUGE` is divided by eight.

    Example:
        >>> [f"{cost:.1e}" for cost in bounded(np.array([-1.7e308, 1.0, 1.7e308, np.inf]))]
        ['-3.1e+307', '1.0e+00', '3.1e+307', 'inf']
    """
    size = np.abs(costs)
    return np.where(size > HUGE, np.copysign(HUGE + (size - HUGE) / 8, costs), costs)


def fitting(first: int, dim: int) -> range:
    """The coordinates from the first on whose points fit into a batch; at least one."""
    return range(first, min(first + max(1, BATCH // dim), dim))


def one_changed(x: Floats, axes: Sequence[int] | Ints, coordinates: Floats) -> Floats:
    """Points, (k, D), that differ from x in one coordinate each: on these axes, (k,)."""
    points = np.tile(x, (len(axes), 1))
    points[np.arange(len(axes)), axes] = coordinates
    return points


class Run(StateRecord, ABC):
    """One run of a method from start to end: it proposes points of the unit box and learns their
    costs. All its data are fields, so it can be saved between any ask and tell.
    """

    _: KW_ONLY
    done: bool = False
    batch: Floats = array()  # (n, D): the latest proposed points in [0, 1]

    @abstractmethod
    def propose(self, random: np.random.Generator) -> Floats:
        """Points to evaluate, (m, D), m >= 1, for `batch`."""

    @abstractmethod
    def learn(self, costs: Floats) -> None:
        """Learn the costs of the batch, (m,), lower is better, +inf if missing."""


class Finding(Enum):
    """What a phase has learnt that concerns others."""

    NO_SLOPES = "the differences of a descent are no slopes"
    ERRORS = "the errors of values beside the best point"


class Phase(StateRecord, Generic[S], ABC):
    """A phase of a search: when it is due, the run it starts, and its counts."""

    name: ClassVar[str]  # also the search's attribute
    search: S = known()
    run: Any = part()  # the present `Run`
    spent: int = 0  # evaluations of all runs

    @abstractmethod
    def due(self) -> bool:
        """Whether the phase is due; an earlier phase has precedence."""

    @abstractmethod
    def begin(self) -> Run:
        """A new run."""

    def over(self) -> bool:
        """Whether a new run replaces the present one."""
        return bool(self.run.done)

    def propose(self) -> Floats:
        """Points of the unit box, (m, free coordinates)."""
        if self.run is None or self.over():
            self.run = self.begin()
        points: Floats = self.run.propose(self.search.random)
        self.run.batch = points
        return points

    def learn(self, costs: Floats) -> Finding | None:
        """Learn the costs of the points, (m,). Returns what concerns other phases."""
        # costs may have any size
        with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
            self.run.learn(costs)
        self.spent += len(costs)
        return None

    def beside(self) -> Floats | None:
        """A point of the unit box that does not depend on the round's answers; None if there is
        none.
        """

    def hear(self, points: Floats, costs: Floats) -> None:
        """Learn starting points and points outside rounds, (n, free coordinates), and their costs."""


class Progress(StateRecord):
    """State of a search: its findings and choices so far."""

    low: Floats  # (D,): the user's box
    high: Floats  # (D,)
    start: Floats  # (n, D): starting points
    best_x: Floats  # (D,)
    best_cost: float = math.inf
    best_row: Floats = array()  # (1 + J,): cost and constraints of the best point
    best_by: str = ""  # phase that evaluated the best point
    sign: float = 1.0  # -1 for maximisation
    population: int = 0  # as given, 0 if not given
    turn: str = START
    asked: Floats = array()  # (m, D): points waiting for values
    rounds: int = 0  # completed
    evaluations: int = 0  # completed, without dropped positions


class PhasedSearch(Optimizer):
    """The loop of a search with phases, in the unit box.

    Arguments are those of `pyswarmopt.default.continuous.DefaultSearch`, plus `kinds`, the coordinates'
    kinds (None: all real), and `evaluated_before`, the number of positions with known values.

    Attributes:
        progress: findings and choices so far.
        phases: name -> phase; each is also an attribute.
        resolution: how many digits the values have.
        under_way: tickets without a value.
        rows: costs and constraints of the points told last, (m, 1 + J).
        known_cost: the best cost, in the form that phases use.
        error: the error of values near the best one, beyond double's rounding.
        cut_short: whether the present round lacks positions that were not evaluated.
    """

    # most urgent first; the last is always due
    PHASES: ClassVar[tuple[type[Phase[Any]], ...]]
    progress: Progress
    resolution: Resolution
    under_way: UnderWay

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
        evaluated_before: int = 0,
    ) -> None:
        if positions is None:
            low, high = read_bounds(bounds)
            start = np.empty((0, len(low)))
            best = (low + high) / 2
        else:
            start = as_points("positions", positions)
            low, high = read_bounds(bounds, start.shape[1])
            best = start[0].copy()
        count = as_limit("population", population, 1) or 0
        sign = -1.0 if maximize else 1.0
        progress = Progress(low, high, start, best, sign=sign, population=count)
        self.rows: Floats = NONE
        self.random = np.random.default_rng(as_seed(seed))
        self.max_evals = as_limit("max_evals", max_evals, 1)
        self._max_iter = as_limit("max_iter", max_iter, 0)
        check_target(target, maximize)
        self._goal = -math.inf if target is None else sign * target
        self.evaluated_before = evaluated_before
        self.cut_short = False
        self.box = UnitBox(low, high)
        self.kinds = (kinds or Kinds.real(len(low))).of(self.box.free)
        phases = {phase.name: phase(self) for phase in self.PHASES}
        records = {"progress": progress, "resolution": Resolution(), "under_way": UnderWay()}
        self._take(records | phases)

    def _take(self, records: dict[str, Any]) -> None:
        """Make these records, by name, the search's attributes: everything that is saved, but the random
        numbers.
        """
        self._records = records
        self.phases: dict[str, Phase[Any]] = {
            phase.name: records[phase.name] for phase in self.PHASES
        }
        vars(self).update(records)
        self._judge_best()
        self._judge_error()

    def _judge_best(self) -> None:
        """Bring the best cost into the form that phases use."""
        self.known_cost = float(bounded(np.asarray(self.progress.best_cost)))

    def _judge_error(self) -> None:
        """Judge the values near the best one by what is known of their digits and ripple."""
        self.error = self.resolution.error(self.known_cost)

    # ---- the loop ----

    @overload
    def ask(self, n: None = None) -> Floats: ...

    @overload
    def ask(self, n: int) -> list[Ticket]: ...

    def ask(self, n: int | None = None) -> Floats | list[Ticket]:
        """Positions to evaluate, (m, D) float64; unchanged until `tell`.

        Args:
            n: for at most so many tickets instead: of the current round, or, once all of these are
                pending, outside it; none while the starting points are pending. With one ticket at
                a time, the search equals that in rounds. It depends on the seed and the order in
                which values are told.

        Raises:
            ValueError: n is below 1.
        """
        if n is None:
            return self._round().copy()
        most = as_count("n", n, 1)
        asked = self._round()
        tickets = self.under_way.hand_out(asked, most)
        while len(tickets) < most and self.progress.turn != START:
            tickets.append(self.under_way.issue(self.box.decode(self._beside()[None])[0]))
        return tickets

    def _round(self) -> Floats:
        """The positions of the present round, (m, D)."""
        progress = self.progress
        if len(progress.asked):
            return progress.asked
        if progress.turn == START and not len(progress.start):
            progress.turn = self._next_turn()
        if progress.turn == START:
            progress.asked = progress.start
        else:
            with one_thread():
                progress.asked = self.box.decode(self.phases[progress.turn].propose())
        return progress.asked

    def _next_turn(self) -> str:
        """The first phase that is due."""
        return next(name for name, phase in self.phases.items() if phase.due())

    def tell(
        self,
        positions: npt.ArrayLike | Ticket,
        values: npt.ArrayLike,
        dropped: npt.ArrayLike | None = None,
        rows: Floats | None = None,
    ) -> None:
        """Record the values, (m,), of the positions from `ask`, or the value of a ticket;
        `dropped`, (m,), are positions not evaluated. With constraints the values give an order, and
        `rows`, (m, 1 + J), costs and constraints.

        A value that is not finite counts as the worst possible.

        Raises:
            ValueError: `ask` was not called, the positions differ, there is not one value for each,
                or a ticket is not pending.
        """
        if isinstance(positions, Ticket):
            self._tell_ticket(positions, float(as_values(values, ())), rows)
            return
        progress = self.progress
        asked = progress.asked
        costs = as_costs(asked, positions, values, progress.sign)
        evaluated = np.ones(len(asked), np.bool_)
        if dropped is not None:
            evaluated = ~as_mask(dropped, len(asked))
        costs[~evaluated] = math.inf
        self.cut_short = not evaluated.all()
        self._see(asked, costs, rows, progress.turn)
        progress.rounds += 1
        progress.evaluations += int(evaluated.sum())
        progress.asked = NONE
        if self.under_way.handed_out:
            self.under_way.end_round()
        with one_thread():
            if progress.turn == START:
                self._hear(asked, costs)
            else:
                finding = self.phases[progress.turn].learn(bounded(costs))
                if finding is not None:
                    self.heed(finding)
                    self._judge_error()
        progress.turn = self._next_turn()

    def take_in(
        self, positions: npt.ArrayLike, values: npt.ArrayLike, rows: Floats | None = None
    ) -> None:
        """Record points that were not asked for, (n, D), with their values, (n,), and `rows` as in
        `tell`.

        Raises:
            ValueError: points have another dimension or are out of bounds, or there is not one
                value for each.

        Example:
            >>> from pyswarmopt import DefaultSearch
            >>> search = DefaultSearch([(-5, 5)] * 2, seed=0)
            >>> search.take_in([[1.0, 2.0]], [0.25])
            >>> search.best.value
            0.25
        """
        low, high = self.progress.low, self.progress.high
        x = as_points("positions", positions)
        if x.shape[1:] != low.shape or not ((x >= low) & (x <= high)).all():
            raise ValueError(
                f"positions must have {len(low)} coordinates and lie within the bounds"
            )
        costs = as_costs(x, x, values, self.progress.sign)
        self._see(x, costs, rows, UNASKED)
        self._hear(x, costs)

    def _see(self, x: Floats, costs: Floats, rows: Floats | None, by: str) -> None:
        """Learn how many digits the values have; keep the best of the points, (n, D), if it is the
        best so far.
        """
        if rows is None:
            rows = costs[:, None]
        self.rows = rows
        self.resolution.take_in(rows[:, 0])
        self._keep(x, costs, rows, by)

    def _keep(self, x: Floats, costs: Floats, rows: Floats, by: str) -> None:
        progress = self.progress
        i = int(costs.argmin())
        if costs[i] < progress.best_cost:
            progress.best_cost = float(costs[i])
            progress.best_row = rows[i].copy()
            progress.best_x = x[i].copy()
            progress.best_by = by
            self._judge_best()
        self._judge_error()

    def heed(self, finding: Finding) -> None:
        """Let other phases act on what one has learnt; by default none does."""

    def _hear(self, x: Floats, costs: Floats) -> None:
        """Let the phases learn points, (n, D), that none of them proposed for a round."""
        points = self.box.encode(x)
        for phase in self.phases.values():
            phase.hear(points, bounded(costs))

    def stop(self) -> dict[str, float]:
        """Reasons to stop, with their values; empty if the search continues."""
        progress = self.progress
        reasons: dict[str, float] = {}
        if self._max_iter is not None and progress.rounds > 0 and self.iteration >= self._max_iter:
            reasons["max_iter"] = self.iteration
        if progress.best_cost <= self._goal:
            reasons["target"] = self.best.value
        return reasons

    # ---- one point at a time ----

    @property
    def pending(self) -> list[Ticket]:
        """The tickets without a value, oldest first; those of a restored search must be evaluated
        again.
        """
        return list(self.under_way.pending.values())

    def expect_together(self, count: int) -> None:
        """Use this number of pending points as the population."""
        self.progress.population = count

    def _tell_ticket(self, ticket: Ticket, value: float, rows: Floats | None) -> None:
        """Record the value of a ticket; the last one of a round tells the round."""
        progress = self.progress
        x = ticket.x[None]
        if ticket.particle == BESIDE:
            self.under_way.close(ticket)
            progress.evaluations += 1
            self.take_in(x, [value], rows)
            return
        costs = as_costs(x, x, [value], progress.sign)
        if rows is None:
            rows = costs[:, None]
        cost_and_row = [*costs.tolist(), *rows[0].tolist()]
        told = self.under_way.receive(ticket, cost_and_row, len(progress.asked))
        self._keep(x, costs, rows, progress.turn)
        if told is not None:
            costs_and_rows = padded(told)
            values = progress.sign * costs_and_rows[:, 0]
            self.tell(progress.asked, values, rows=costs_and_rows[:, 1:])

    def _beside(self) -> Floats:
        """Propose a point outside the round: a phase's, else a mutation of the best point."""
        with one_thread():
            for phase in self.phases.values():
                point = phase.beside()
                if point is not None:
                    return point
        return self.kinds.mutants(self.best_snapped(), self.random)[0]

    def unit_under_way(self) -> Floats:
        """The pending points in the unit box, (k, M), snapped."""
        return self.kinds.snap(self.box.encode(self._points_under_way()))

    def _points_under_way(self) -> Floats:
        """The pending points, (k, D)."""
        points = np.array([ticket.x for ticket in self.pending])
        return points.reshape(-1, len(self.box.low))

    # ---- results ----

    @property
    def best(self) -> Point:
        """The best point evaluated so far, with its value."""
        return Point(self.progress.best_x.copy(), self.progress.sign * self.progress.best_cost)

    def best_unit(self) -> Floats:
        """The best point in the unit box, (M,)."""
        return self.box.encode(self.progress.best_x)

    def best_snapped(self) -> Floats:
        """The best point in the unit box, (M,), snapped."""
        return self.kinds.snap(self.best_unit()[None])[0]

    def first_point(self) -> Floats:
        """Start of a first run: the best point, else one near the middle of the box."""
        if math.isfinite(self.progress.best_cost) or len(self.progress.start):
            return self.best_unit()
        return 0.5 + OFF_CENTRE * self.random.uniform(-1, 1, self.box.dim)

    @property
    def swarm_first(self) -> bool:
        """Whether the swarm comes before gradients although these are possible."""
        return False

    @cached_property
    def gradients_are_dear(self) -> bool:
        """Whether a gradient costs a large share of the evaluations."""
        dim = self.box.dim
        few = self.max_evals is not None and self.max_evals < FIRST_DESCENT * dim
        return dim > MATRIX_DIM or (few and dim >= TEST_FIRST)

    @property
    def remark(self) -> str:
        """What a user should know about the function, to append to a message; usually empty."""
        return ""

    @property
    def turn(self) -> str:
        """The name of the current phase; `START` before the first."""
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
        saved: dict[str, Any] = {"random": self.random.bit_generator.state}
        for name, record in self._records.items():
            saved |= record.state_dict(f"{name}.")
        return saved | {"under_way.points": self._points_under_way()}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a saved state, bit for bit; the given limits are kept.

        Raises:
            ValueError: `saved` is not a state of this class, or has other bounds.
        """
        try:
            random = generator_at(saved.get("random"))
            own = copy.deepcopy(saved)
            records = {
                name: record.from_state(own, f"{name}.", search=self, kinds=self.kinds)
                for name, record in self._records.items()
            }
            read = records["progress"]
            if not np.array_equal([read.low, read.high], [self.box.low, self.box.high]):
                raise ValueError("it has different bounds")
            records["under_way"].place(own["under_way.points"])
        except Exception as error:
            raise ValueError(f"cannot restore this state of a DefaultSearch: {error}") from error
        self.random = random
        self._take(records)
