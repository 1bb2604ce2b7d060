"""A search whose phases take turns in the unit box: the loop of ask and tell, the best point, limits,
and saved states.

Which phases there are, and in which order, is for subclasses to say: `pyswarmopt.hybrid.memetic`.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from pyswarmopt.base import checkpoint
from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.inputs import as_count, as_mask, as_points, as_values
from pyswarmopt.base.record import NONE, Record, array, given
from pyswarmopt.hybrid.model.kinds import Kinds
from pyswarmopt.hybrid.runs.mutations import Mutations
from pyswarmopt.hybrid.runs.run import Run, bounded
from pyswarmopt.hybrid.tickets import Tickets
from pyswarmopt.hybrid.unit_box import UnitBox
from pyswarmopt.parts.bounds import read_bounds

START = "start"  # the turn of the points that were given, before any phase
OFF_CENTRE = 0.01  # of the box: in the very middle a symmetrical function has no slope

S = TypeVar("S", bound="PhasedSearch")
R = TypeVar("R", bound=Run)


class Best(NamedTuple):
    """The best point evaluated so far, (D,), and its value in the user's sense."""

    x: Floats
    value: float


@dataclass
class Phase(Record, ABC, Generic[S, R]):
    """A phase of a search: when its turn comes, the run that it begins then, and what it has counted.

    Methods are given the search, whose other phases they may look at.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[type[Run], ...]]  # of its runs
    run: R | None = field(default=None, metadata={"saved": False})  # the present one
    spent: int = 0  # evaluations of all runs

    @abstractmethod
    def due(self, s: S) -> bool:
        """Whether it is its turn, unless it is that of a phase before."""

    @abstractmethod
    def begin(self, s: S) -> R:
        """A new run."""

    def over(self, s: S, run: R) -> bool:
        """Whether a new run takes the place of the present one."""
        return run.done

    def propose(self, s: S) -> Floats:
        """Points of the unit box, (m, free coordinates)."""
        if self.run is None or self.over(s, self.run):
            self.run = self.begin(s)
        return self.run.ask(s.random)

    def learn(self, s: S, costs: Floats) -> None:
        """Take in what the points cost, (m,)."""
        if self.run is not None:
            self.run.tell(costs)
        self.spent += len(costs)

    def take_start(self, s: S, costs: Floats) -> None:
        """Take in what the starting points cost, beyond the best of them."""

    def beside(self, s: S) -> Floats | None:
        """A point of the unit box that needs no answers of the round; None where it has none."""

    def learn_beside(self, s: S, x: Floats, cost: float) -> None:
        """Take in what a point beside the round, (free coordinates,), cost."""

    def dim(self, s: S) -> int:
        """Coordinates of its runs."""
        return s.box.dim


@dataclass
class Progress(Record):
    """What a search has found and chosen so far."""

    low: Floats = given("D")  # the user's box
    high: Floats = given("D")
    start: Floats = given("nD")  # starting points
    best_x: Floats = given("D")
    _: KW_ONLY
    best_cost: float = math.inf
    best_by: str = ""  # whose turn it was when the best point was evaluated
    sign: float = 1.0  # -1 if it maximises
    population: int = 0  # as given, 0 if it was not
    turn: str = START
    asked: Floats = array("mD")  # points that are to be told
    rounds: int = 0
    evaluations: int = 0


class PhasedSearch(ABC):
    """The loop of a search by phases, in the unit box.

    The arguments are those of `pyswarmopt.hybrid.memetic_swarm.MemeticSwarm`, and `kinds`, what the
    coordinates are: None where all are real numbers.
    """

    PHASES: ClassVar[
        tuple[type[Phase[Any, Any]], ...]
    ]  # the most urgent first; the last is always due

    def __init__(
        self,
        bounds: Any,
        positions: npt.ArrayLike | None = None,
        maximize: bool = False,
        seed: int | None = None,
        max_evals: int | None = None,
        max_iter: int | None = None,
        target: float | None = None,
        population: int | None = None,
        kinds: Kinds | None = None,
    ) -> None:
        given = None if positions is None else as_points("positions", positions)
        low, high = read_bounds(bounds, None if given is None else given.shape[1])
        start = np.empty((0, len(low))) if given is None else given
        self.random = np.random.default_rng(seed)
        self.max_evals, self._max_iter, self._target = max_evals, max_iter, target
        count = 0 if population is None else as_count("population", population, 1)
        middle, sign = (low + high) / 2, -1.0 if maximize else 1.0
        best = start[0].copy() if len(start) else middle
        self.progress = Progress(low, high, start, best, sign=sign, population=count)
        self._tickets = Tickets(np.empty((0, len(low))))
        self._given_kinds = kinds
        self._place()
        self._take_turns({phase.name: phase() for phase in self.PHASES})

    def _place(self) -> None:
        """Find the box, and what its free coordinates are."""
        self.box = UnitBox(self.progress.low, self.progress.high)
        count, given = self.box.dim, self._given_kinds
        real = Kinds(np.zeros(count, dtype=np.int64), np.arange(count))
        self.kinds = real if given is None else given.of(self.box.free)

    def _take_turns(self, phases: dict[str, Phase[Any, Any]]) -> None:
        """Have each phase as an attribute, too."""
        self.phases = phases
        vars(self).update(phases)

    # ---- the loop ----

    def ask(self) -> Floats:
        """Positions to evaluate, (m, D) float64; the same ones until `tell`."""
        progress = self.progress
        if not len(progress.asked):
            first = progress.turn == START and len(progress.start)
            progress.asked = progress.start.copy() if first else self.box.decode(self._propose())
        return progress.asked.copy()

    def _propose(self) -> Floats:
        """Points of the unit box from the phase whose turn it is, (m, free coordinates)."""
        if not self.box.dim:
            return np.empty((1, 0))
        if self.progress.turn == START:
            self.progress.turn = self._next_turn()
        return self.phases[self.progress.turn].propose(self)

    def _next_turn(self) -> str:
        """The first phase that is due."""
        if not self.box.dim:
            return START
        return next(phase.name for phase in self.phases.values() if phase.due(self))

    def tell(
        self,
        positions: npt.ArrayLike | Ticket,
        values: npt.ArrayLike,
        dropped: npt.ArrayLike | None = None,
    ) -> None:
        """Take in the values, (m,), of the positions that `ask` returned, or the value of a ticket;
        `dropped`, (m,), are those not evaluated.

        A value that is not finite counts as the worst possible.

        Raises:
            ValueError: no `ask` before, other positions, or not one value for each; a ticket that
                is not under way.
        """
        if isinstance(positions, Ticket):
            self._tell_one(positions, float(as_values(values, ())))
            return
        asked, progress = self.progress.asked, self.progress
        if not len(asked):
            raise ValueError("tell() without ask(): each round of positions can be told once")
        same = isinstance(positions, np.ndarray) and np.array_equal(positions, asked)
        if not (same or np.array_equal(as_points("positions", positions), asked)):
            raise ValueError("tell() must be given the positions that ask() returned")
        costs = progress.sign * as_values(values, (len(asked),))
        evaluated = (
            np.ones(len(costs), np.bool_) if dropped is None else ~as_mask(dropped, len(costs))
        )
        costs = np.where(evaluated & np.isfinite(costs), costs, math.inf)
        i = int(costs.argmin())
        self._keep(asked[i], float(costs[i]), progress.turn)
        progress.rounds += 1
        progress.evaluations += int(evaluated.sum())
        progress.asked = NONE
        if progress.turn == START:
            for phase in self.phases.values():
                phase.take_start(self, bounded(costs))
        else:
            self.phases[progress.turn].learn(self, bounded(costs))
        progress.turn = self._next_turn()

    def _keep(self, x: Floats, cost: float, by: str) -> None:
        """Keep a point, (D,), if it is the best so far."""
        progress = self.progress
        if cost < progress.best_cost:
            progress.best_cost, progress.best_x, progress.best_by = cost, x.copy(), by

    def stop(self) -> dict[str, float]:
        """Reasons to stop with the values that gave them; empty to continue."""
        reasons: dict[str, float] = {}
        progress = self.progress
        if self._max_iter is not None and progress.rounds > 0 and self.iteration >= self._max_iter:
            reasons["max_iter"] = self.iteration
        if self._target is not None and progress.best_cost <= progress.sign * self._target:
            reasons["target"] = self.best.value
        return reasons

    # ---- one point at a time ----

    def ask_one(self) -> Ticket | None:
        """The next position to evaluate: of the present round, and while it is waited for, of
        those beside it.

        With one ticket at a time the search is that of `ask` and `tell`. It depends on the seed and
        the order of the tells.

        Returns:
            A ticket; None while the starting points are waited for.
        """
        asked, tickets = self.ask(), self._tickets
        if not len(tickets.values):
            tickets.begin_round(len(asked))
        if tickets.sent < len(asked):
            return tickets.hand_out(asked[tickets.sent], beside=False)
        if self.progress.turn == START:
            return None
        return tickets.hand_out(self.box.decode(self._beside()[None])[0], beside=True)

    def tickets(self) -> list[Ticket]:
        """The tickets of `ask_one` that have no value yet."""
        return self._tickets.pending()

    def _tell_one(self, ticket: Ticket, value: float) -> None:
        tickets, progress = self._tickets, self.progress
        beside = tickets.take_back(ticket, value)
        cost = progress.sign * value if math.isfinite(value) else math.inf
        self._keep(ticket.x, cost, "beside" if beside else progress.turn)
        if beside:
            progress.evaluations += 1
            x, cost = self.box.encode(ticket.x), float(bounded(np.asarray(cost)))
            for phase in self.phases.values():
                phase.learn_beside(self, x, cost)
        elif tickets.complete:
            values = tickets.values
            tickets.begin_round(0)
            self.tell(self.ask(), values)

    def _beside(self) -> Floats:
        """What a phase proposes beside the round, else a mutation of the best point."""
        for phase in self.phases.values():
            if (point := phase.beside(self)) is not None:
                return point
        return Mutations(self.kinds, self.best_point()).propose(self.random)[0]

    def under_way(self) -> Floats:
        """The points under way in the unit box, (k, M), snapped."""
        points = [self.box.encode(ticket.x) for ticket in self.tickets()]
        return self.kinds.snap(np.array(points).reshape(-1, self.box.dim))

    # ---- results ----

    @property
    def best(self) -> Best:
        """The best point evaluated so far, its value in the user's sense."""
        return Best(self.progress.best_x.copy(), self.progress.sign * self.progress.best_cost)

    @property
    def best_cost(self) -> float:
        """The best cost as runs know it."""
        return float(bounded(np.asarray(self.progress.best_cost)))

    def best_unit(self) -> Floats:
        """The best point in the unit box, (M,)."""
        return self.box.encode(self.progress.best_x)

    def best_point(self) -> Floats:
        """The best point in the unit box, (M,), snapped."""
        return self.kinds.snap(self.best_unit()[None])[0]

    def first_point(self) -> Floats:
        """Where a first run starts: the best point, else near the middle of the box."""
        if math.isfinite(self.progress.best_cost) or len(self.progress.start):
            return self.best_unit()
        return 0.5 + OFF_CENTRE * self.random.uniform(-1, 1, self.box.dim)

    @property
    def iteration(self) -> int:
        """Completed rounds after the first one."""
        return max(self.progress.rounds - 1, 0)

    @property
    def rounds(self) -> int:
        """Completed rounds."""
        return self.progress.rounds

    @property
    def evaluations(self) -> int:
        """Completed evaluations, not counting dropped positions."""
        return self.progress.evaluations

    @property
    def one_by_one(self) -> int:
        """The first points that are proposed one at a time, or `population` at a time."""
        return 0

    # ---- saving ----

    def state_dict(self) -> dict[str, Any]:
        """All that a resume needs: arrays (copies), numbers and strings."""
        saved: dict[str, Any] = {
            "random": self.random.bit_generator.state,
            "best_positions": self.progress.best_x[None].copy(),
            "best_costs": np.array([self.progress.best_cost]),
            "limits": [self.max_evals, self._max_iter, self._target],
        }
        saved |= self.progress.state_dict("progress") | self._tickets.state_dict("tickets")
        for name, phase in self.phases.items():
            run = phase.run
            saved |= phase.state_dict(name)
            saved[f"{name}.kind"] = "" if run is None else type(run).__name__
            saved |= {} if run is None else run.state_dict(f"{name}.run")
        return saved

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a saved state, bit for bit; the limits stay those given.

        Raises:
            ValueError: not the state of a memetic swarm, or one that cannot be continued.
        """
        before = dict(vars(self))
        try:
            self._restore(saved)
        except (*checkpoint.DAMAGE, ValueError) as error:
            vars(self).update(before)
            raise ValueError(
                f"the state of a memetic swarm that cannot be continued ({error})"
            ) from error

    def _restore(self, saved: Mapping[str, Any]) -> None:
        sizes = {"D": len(self.progress.low)}
        progress = self.progress = Progress.from_state(saved, "progress", sizes)
        if progress.turn not in (START, *self.phases):
            raise ValueError(f"progress.turn is {progress.turn!r}")
        self._place()
        checkpoint.check(saved, {"random": dict})
        self.random = np.random.default_rng(0)
        self.random.bit_generator.state = copy.deepcopy(saved["random"])
        self._tickets = Tickets.from_state(saved, "tickets", sizes)
        self._tickets.check_round(len(progress.asked))
        self._take_turns(
            {name: self._restored(phase, saved) for name, phase in self.phases.items()}
        )
        waiting = self.phases[progress.turn].run if progress.turn != START else None
        if (
            len(progress.asked)
            and waiting is not None
            and len(waiting.batch) != len(progress.asked)
        ):
            raise ValueError("points that are not those of the phase whose turn it is")

    def _restored(self, phase: Phase[Any, Any], saved: Mapping[str, Any]) -> Phase[Any, Any]:
        """The phase as it was saved, with its run."""
        name = phase.name
        checkpoint.check(saved, {f"{name}.kind": str})
        kinds = {"": None, **{kind.__name__: kind for kind in phase.kinds}}
        kind = kinds[saved[f"{name}.kind"]]
        if kind is not None:
            sizes = {"D": phase.dim(self)}
            run = kind.from_state(saved, f"{name}.run", sizes, kinds=self.kinds)
        return type(phase).from_state(saved, name, {}, run=None if kind is None else run)
