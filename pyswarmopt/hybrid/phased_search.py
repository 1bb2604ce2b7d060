"""A search whose phases take turns: the loop of ask and tell, the best point, limits, and saved
states.

Which phases there are, and whose turn it is, is for subclasses to say, in a table:
`pyswarmopt.hybrid.memetic`.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, ClassVar, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from pyswarmopt.base import checkpoint
from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.inputs import as_mask, as_points, as_values
from pyswarmopt.hybrid.phases.phase import Phase, bounded
from pyswarmopt.hybrid.tickets import Tickets
from pyswarmopt.hybrid.unit_box import UnitBox
from pyswarmopt.parts.bounds import read_bounds


class Best(NamedTuple):
    """The best point evaluated so far, (D,), and its value in the user's sense."""

    x: Floats
    value: float


class Turn(NamedTuple):
    """A row of the table of turns.

    Attributes:
        phase: its name.
        due: whether it is its turn, unless it is that of a row before.
        begin: makes a new one.
    """

    phase: str
    due: Callable[[], bool]
    begin: Callable[[], Phase]


@dataclass
class Progress:
    """What a search has counted and chosen so far, as it is saved."""

    sign: float  # -1 if it maximises
    turn: str = "start"
    best_by: str = ""  # whose turn it was when the best point was evaluated
    rounds: int = 0
    evaluations: int = 0
    spent: dict[str, int] = field(default_factory=dict)  # evaluations of some of the phases
    slots: dict[str, str] = field(default_factory=dict)  # the class of each phase
    granted: int = 0  # evaluations of the first descent
    population: int = 0  # of the present swarm
    first_population: int | None = None
    test_first: bool = False  # gradients are dear

    @classmethod
    def kinds(cls) -> dict[str, Any]:
        """The type of each field, or all it may have."""
        hints = get_type_hints(cls).items()
        return {
            name: get_args(h) if isinstance(h, UnionType) else get_origin(h) or h
            for name, h in hints
        }


class PhasedSearch(ABC):
    """The loop of a search by phases, in the unit box.

    The arguments are those of `pyswarmopt.hybrid.memetic_swarm.MemeticSwarm`.
    """

    _kinds: ClassVar[dict[str, type[Phase]]]  # of phases, by name
    # what may take the turns, by the name of its kind
    _tables: ClassVar[tuple[dict[str, str], ...]]

    def __init__(
        self,
        bounds: Any,
        positions: npt.ArrayLike | None = None,
        maximize: bool = False,
        seed: int | None = None,
        max_evals: int | None = None,
        max_iter: int | None = None,
        target: float | None = None,
    ) -> None:
        start = None if positions is None else as_points("positions", positions)
        self._box = UnitBox(*read_bounds(bounds, None if start is None else start.shape[1]))
        low, high = self._box.low, self._box.high
        self._random = np.random.default_rng(seed)
        self._progress = Progress(-1.0 if maximize else 1.0)
        self._max_evals, self._max_iter, self._target = max_evals, max_iter, target
        self._phases: dict[str, Phase] = {}
        self._asked: Floats | None = None
        self._tickets = Tickets(np.empty((0, len(low))))
        self._start = np.empty((0, len(low))) if start is None else start
        self._best_x = start[0].copy() if start is not None else (low + high) / 2
        self._best_cost = math.inf

    # ---- the loop ----

    def ask(self) -> Floats:
        """Positions to evaluate, (m, D) float64; the same ones until `tell`."""
        if self._asked is None:
            first = self._progress.turn == "start" and len(self._start)
            self._asked = self._start.copy() if first else self._box.decode(self._propose())
        return self._asked.copy()

    def ask_one(self) -> Ticket | None:
        """The next position to evaluate: of the present round, and while it is waited for, of
        those `_beside` it.

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
        if self._progress.turn == "start":
            return None
        return tickets.hand_out(self._box.decode(self._beside()[None])[0], beside=True)

    def tickets(self) -> list[Ticket]:
        """The tickets of `ask_one` that have no value yet."""
        return self._tickets.pending()

    def _tell_one(self, ticket: Ticket, value: float) -> None:
        tickets, progress = self._tickets, self._progress
        beside = tickets.take_back(ticket, value)
        cost = progress.sign * value if math.isfinite(value) else math.inf
        self._keep(ticket.x, cost, "beside" if beside else progress.turn)
        if beside:
            progress.evaluations += 1
            self._learn_beside(ticket.x, float(bounded(np.asarray(cost))))
        elif tickets.complete:
            values = tickets.values
            tickets.begin_round(0)
            self.tell(self.ask(), values)

    @abstractmethod
    def _beside(self) -> Floats:
        """A point of the unit box, (free coordinates,), that needs no answers of the round."""

    @abstractmethod
    def _learn_beside(self, x: Floats, cost: float) -> None:
        """Take in what a point beside the round, (D,), cost."""

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
        if self._asked is None:
            raise ValueError("tell() without ask(): each round of positions can be told once")
        asked, progress = self._asked, self._progress
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
        costs = bounded(costs)
        progress.rounds += 1
        progress.evaluations += int(evaluated.sum())
        self._asked = None
        phase = self._phases.get(progress.turn)
        if phase is not None:
            self._teach(phase, costs)
            if progress.turn in progress.spent:
                progress.spent[progress.turn] += len(costs)
        elif len(self._start):
            self._take_start(costs)
        progress.turn = self._next_turn()

    def _keep(self, x: Floats, cost: float, by: str) -> None:
        """Keep a point, (D,), if it is the best so far."""
        if cost < self._best_cost:
            self._best_cost, self._best_x, self._progress.best_by = cost, x.copy(), by

    @property
    def _best_known(self) -> float:
        """The best cost as phases know it."""
        return float(bounded(np.asarray(self._best_cost)))

    def _teach(self, phase: Phase, costs: Floats) -> None:
        """Tell the phase whose turn it was what its points cost."""
        phase.tell(costs)

    @abstractmethod
    def _take_start(self, costs: Floats) -> None:
        """Take in what the starting points cost, beyond the best of them."""

    def stop(self) -> dict[str, float]:
        """Reasons to stop with the values that gave them; empty to continue."""
        reasons: dict[str, float] = {}
        if (
            self._max_iter is not None
            and self._progress.rounds > 0
            and self.iteration >= self._max_iter
        ):
            reasons["max_iter"] = self.iteration
        if self._target is not None and self._best_cost <= self._progress.sign * self._target:
            reasons["target"] = self.best.value
        return reasons

    # ---- whose turn it is ----

    def _propose(self) -> Floats:
        """Points of the unit box from the phase whose turn it is, (m, free coordinates)."""
        if not self._box.dim:
            return np.empty((1, 0))
        progress = self._progress
        if progress.turn == "start":
            progress.turn = self._next_turn()
        phase = self._phases.get(progress.turn)
        if phase is None or phase.done or self._outdone(phase):
            begin = next(turn.begin for turn in self._turns() if turn.phase == progress.turn)
            phase = self._phases[progress.turn] = begin()
        return phase.ask(self._random)

    def _next_turn(self) -> str:
        """The phase whose turn it is next: that of the first row that is due."""
        if not self._box.dim:
            return "start"
        return next(turn.phase for turn in self._turns() if turn.due())

    def _outdone(self, phase: Phase) -> bool:
        """Whether another one should take its place before it is done."""
        return False

    @abstractmethod
    def _turns(self) -> list[Turn]:
        """All turns, the most urgent first; the last one is always due."""

    # ---- results ----

    @property
    def best(self) -> Best:
        """The best point evaluated so far, its value in the user's sense."""
        return Best(self._best_x.copy(), self._progress.sign * self._best_cost)

    @property
    def iteration(self) -> int:
        """Completed rounds after the first one."""
        return max(self._progress.rounds - 1, 0)

    @property
    def rounds(self) -> int:
        """Completed rounds."""
        return self._progress.rounds

    @property
    def evaluations(self) -> int:
        """Completed evaluations, not counting dropped positions."""
        return self._progress.evaluations

    # ---- saving ----

    def state_dict(self) -> dict[str, Any]:
        """All that a resume needs: arrays (copies), numbers and strings."""
        saved: dict[str, Any] = {
            **copy.deepcopy(vars(self._progress)),
            "low": self._box.low.copy(),
            "high": self._box.high.copy(),
            "random": self._random.bit_generator.state,
            "start": self._start.copy(),
            "best_position": self._best_x.copy(),
            "best_positions": self._best_x[None].copy(),
            "best_costs": np.array([self._best_cost]),
            "limits": [self._max_evals, self._max_iter, self._target],
            "phases": sorted(self._phases),
        }
        if self._asked is not None:
            saved["asked"] = self._asked.copy()
        saved |= self._tickets.state_dict()
        for name, phase in self._phases.items():
            saved |= phase.state_dict(f"{name}.")
        return saved

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a saved state, bit for bit; the limits stay those given.

        Raises:
            ValueError: not the state of a memetic swarm, or one that cannot be continued.
        """
        missing = sorted({"turn", "phases", "granted"} - saved.keys())
        if missing:
            raise ValueError(
                f"not a memetic swarm's state: {', '.join(missing)} missing; use what "
                "state_dict() gave"
            )
        before = dict(vars(self))
        try:
            self._take_over(saved)
            self._try_out()
        except (*checkpoint.DAMAGE, ValueError) as error:
            vars(self).update(before)
            raise ValueError(
                f"the state of a memetic swarm that cannot be continued ({error})"
            ) from error

    def _try_out(self) -> None:
        """Make a round, and one of each phase, on copies: whether numbers of so many kinds fit
        shows in their use.
        """
        trial = copy.deepcopy(self)
        x = trial.ask()
        trial.tell(x, np.zeros(len(x)))
        trial = copy.deepcopy(self)
        for phase in trial._phases.values():
            if not phase.done:
                trial._teach(phase, np.zeros(len(phase.ask(trial._random))))

    def _take_over(self, saved: Mapping[str, Any]) -> None:
        sizes: dict[str, int] = {}
        kinds, point = Progress.kinds(), ("float64", "D")
        checkpoint.check(saved, {"low": point, "high": point, "best_position": point}, sizes)
        checkpoint.check(saved, {"start": ("float64", "nD")}, sizes)
        checkpoint.check(saved, {"best_costs": ("float64", "c")}, {"c": 1})
        checkpoint.check(saved, kinds | {"random": dict, "phases": list})
        progress = self._progress = Progress(**copy.deepcopy({name: saved[name] for name in kinds}))
        if progress.slots not in self._tables:
            raise ValueError(f"slots are {progress.slots!r}")
        if progress.turn not in ("start", *progress.slots):
            raise ValueError(f"turn is {progress.turn!r}")
        self._box = UnitBox(saved["low"].copy(), saved["high"].copy())
        self._random = np.random.default_rng(0)
        self._random.bit_generator.state = saved["random"]
        self._start = saved["start"].copy()
        self._best_x, self._best_cost = saved["best_position"].copy(), float(saved["best_costs"][0])
        self._asked = saved["asked"].copy() if "asked" in saved else None
        self._tickets = Tickets.from_state(saved, sizes["D"])
        classes = {name: self._kinds[progress.slots[name]] for name in saved["phases"]}
        self._phases = {
            name: phase.from_state(dict(saved), f"{name}.") for name, phase in classes.items()
        }
