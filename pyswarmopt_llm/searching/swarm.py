"""A proposer that runs a swarm, or another ask-and-tell optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.base.optimizer import Ticket, UnderWay
from pyswarmopt.base.own_file import raised
from pyswarmopt_llm.common.config import PATIENCE
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.own import is_function
from pyswarmopt_llm.run.directory import Checkpoint
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.searching.explore import Chosen
from pyswarmopt_llm.searching.optimizers import OPTIMIZER, make_optimizer, released
from pyswarmopt_llm.searching.prepare import Job


@dataclass
class SwarmProposer:
    """Proposes an optimizer's candidates: a swarm of the library (the paper's included), or
    another.

    Evaluations may be dropped at random, except of the starting swarm; the particles still move.
    These draws have their own random numbers, so a seed moves the swarm in the same way with and
    without them.

    Attributes:
        optimizer: maximiser that begins with the experts.
        drop_k: probability of dropping a whole iteration (Drop-K).
        drop_n: probability of dropping a single candidate (Drop-N).
        seed: seed of the search.
        saved: saves the swarm after each iteration; None: saves nothing.
        name: the optimizer's name in the settings.
        rounds: iterations so far.
        remarks: none.
    """

    optimizer: pso.Optimizer
    drop_k: float = 0.0
    drop_n: float = 0.0
    seed: int = 0
    saved: Checkpoint | None = None
    name: str = ""
    rounds: int = field(default=0, init=False)
    remarks: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng([self.seed, 1])
        self._under_way = UnderWay()  # something is told of each iteration under way
        self._waiting: list[int] = []  # its particles without a ticket

    @property
    def iteration(self) -> int:
        """The number in the history of the round under way."""
        return self.rounds

    @property
    def pending(self) -> list[Ticket]:
        """The tickets without a row, oldest first."""
        return list(self._under_way.pending.values())

    def is_start(self, ticket: Ticket) -> bool:
        """Whether it belongs to the starting swarm."""
        return self.rounds == 0

    def ask(self, n: int) -> list[Ticket]:
        """At most so many candidates of the iteration under way; none while values are missing, or if
        the whole iteration is dropped.
        """
        if not self._under_way.told:
            self._begin()
        numbers, self._waiting = self._waiting[:n], self._waiting[n:]
        return [self._under_way.issue(self._asked[number], number) for number in numbers]

    def _begin(self) -> None:
        """Begin an iteration, and draw which candidates are dropped; without others it is over."""
        with self._naming_the_line():
            self._asked: Tensor = self.optimizer.ask()
        dropped = np.zeros(len(self._asked), dtype=np.bool_)
        if self.rounds > 0:
            whole = self._random.random() < self.drop_k
            dropped = (self._random.random(len(dropped)) < self.drop_n) | whole
        self._dropped = dropped
        self._waiting = np.flatnonzero(~dropped).tolist()
        self._under_way.told = [[math.nan] if gone else [] for gone in dropped]
        if dropped.all():
            self._end(self._under_way.told)

    @contextmanager
    def _naming_the_line(self) -> Iterator[None]:
        """Name the line at which a recipe of the user's own fails.

        Raises:
            InvalidOption: it failed.
        """
        try:
            yield
        except Exception as error:
            if not is_function(self.name):
                raise
            file = user_path(self.name.rpartition(":")[0]).resolve()
            why = f"raised {raised(error, file)}; fix it"
            raise InvalidOption(OPTIMIZER, self.name, why) from error

    def tell(self, ticket: Ticket, row: Row) -> None:
        """Tell the value of a candidate; after the last of an iteration the optimizer learns them."""
        told = self._under_way.receive(ticket, [row.value], len(self._asked))
        if told is not None:
            self._end(told)

    def _end(self, told: Sequence[Sequence[float]]) -> None:
        """Tell the optimizer the values of an iteration, and save the swarm."""
        dropped = None
        if self._dropped.any():
            dropped = self._dropped.tolist()
        self.optimizer.tell(self._asked, [value for (value,) in told], dropped)
        if self.saved is not None:
            self.saved.keep(self.optimizer)
        self._under_way.end_round()
        self.rounds += 1

    def best(self) -> Chosen:
        """The optimizer's best position."""
        return Chosen(*self.optimizer.best)

    def stop(self) -> dict[str, float]:
        """The optimizer's reasons to stop."""
        return self.optimizer.stop()


@dataclass
class AsynchronousSwarm(SwarmProposer):
    """Proposes a swarm's candidates without rounds: a particle moves as soon as its own value is
    known. The swarm is `asynchronous`, and nothing is dropped.
    """

    optimizer: pso.Swarm

    @property
    def pending(self) -> list[Ticket]:
        """The tickets without a row, oldest first."""
        return self.optimizer.pending

    def is_start(self, ticket: Ticket) -> bool:
        """Whether it belongs to the starting swarm."""
        return ticket.number < len(self.optimizer.positions)

    def ask(self, n: int) -> list[Ticket]:
        """At most so many candidates, of the particles that have waited longest."""
        with self._naming_the_line():
            return self.optimizer.ask(n)

    def tell(self, ticket: Ticket, row: Row) -> None:
        """Tell the value of a candidate, and save the swarm after as many as it has particles."""
        self.optimizer.tell(ticket, row.value)
        if self.optimizer.rounds > self.rounds:
            self.rounds = self.optimizer.rounds
            if self.saved is not None:
                self.saved.keep(self.optimizer)


def swarm_proposer(job: Job, saved: Checkpoint | None, stack: ExitStack) -> SwarmProposer:
    """The proposer that runs iterations; the stack releases its optimizer."""
    config = job.config
    optimizer = make_optimizer(
        config.optimizer,
        job.starts,
        population=config.population,
        max_iter=config.iterations,
        patience=config.patience or PATIENCE,
        seed=config.seed,
        compat="reference" if config.reference else "paper",
        settings=config.settings,
        asynchronous=config.asynchronous,
    )
    optimizer = stack.enter_context(released(optimizer))
    if config.asynchronous and isinstance(optimizer, pso.Swarm):
        return AsynchronousSwarm(optimizer, saved=saved, name=config.optimizer)
    return SwarmProposer(
        optimizer,
        config.drop_k or 0.0,
        config.drop_n or 0.0,
        config.seed,
        saved,
        config.optimizer,
    )
