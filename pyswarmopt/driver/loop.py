"""The loop of every search: ask, evaluate, tell, record, call back, until there is a reason to
stop.
"""

from __future__ import annotations

import functools
import math
import os
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.judge import ByOrder, Judged
from pyswarmopt.driver.memory import Memory
from pyswarmopt.driver.options import Options, read_problem
from pyswarmopt.driver.result import EXHAUSTED, FAILED, INTERRUPTED, TIMEOUT, keep_in, wants_to_stop

if TYPE_CHECKING:
    from pathlib import Path

    from pyswarmopt.base.checkpoint import Writer

R = TypeVar("R")
IDLE = 1000  # after this many known points in a row nothing new is expected
Reasons = dict[str, float]


class Loop(ABC, Generic[R]):
    """A search with results of type R.

    The result so far is never lost: exceptions carry it, Ctrl-C returns it. Subclasses define what
    moves (`_swarm`), what calls the objective (`_evaluator`) and what keeps the best (`_judge`).

    Raises:
        ValueError: options that do not make sense.
    """

    _swarm: Any
    _evaluator: Evaluator
    _judge: ByOrder

    def __init__(self, arguments: Options) -> None:
        self._began = time.monotonic()
        self._options, self._problem = read_problem(arguments)
        timeout = self._options.timeout
        self._timeout = math.inf if timeout is None else timeout
        self._identity = self._problem.identity
        self._checkpoint: Writer | None = None
        if self._options.checkpoint is not None:
            # imported on use: it takes as long as a short search
            from pyswarmopt.base.checkpoint import Writer, checked_path

            self._checkpoint = Writer(checked_path(self._options.checkpoint))

    def _make_evaluator(self, max_evals: float, outputs: int | None = None) -> Evaluator:
        options = self._options
        evaluator = Evaluator(
            options.fun, options.vectorized, options.workers, options.on_error, max_evals, outputs,
            self._problem.constraints.returned,
        )  # fmt: skip
        if self._problem.space is not None:
            evaluator.form.settled = True  # its form is known
        if not options.noisy:
            evaluator.memory = Memory(self._problem.canonical)
            evaluator.memory.keep_all(*self._problem.known)
        evaluator.limit_time(self._began + self._timeout, options.evaluation_timeout)
        return evaluator

    def _ends(self) -> Reasons:
        """Reasons to stop common to all searches: no time, or no new points."""
        reasons: Reasons = {}
        if self._elapsed() >= self._timeout:
            reasons[TIMEOUT] = self._elapsed()
        memory = self._evaluator.memory
        knows_all = memory is not None and len(memory) >= self._problem.coding.count
        if self._evaluator.idle >= IDLE or knows_all:
            reasons[EXHAUSTED] = self._evaluator.calls
        return reasons

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    @abstractmethod
    def reasons(self) -> Reasons:
        """Reasons to stop; empty to go on."""

    def result(self) -> R:
        """The result so far."""
        return self._result(self.reasons())

    @abstractmethod
    def _result(self, stop: Reasons, final: bool = False) -> R:
        """The result so far, or the final one."""

    @abstractmethod
    def _check_objective(self, path: Path) -> None:
        """Raise ValueError if the checkpoint belongs to another objective."""

    def _saved(self) -> tuple[Any, ...]:
        """State for resuming, in the order of restoring."""
        return self._swarm, self._evaluator, self._judge

    def _finish(self, stop: Reasons) -> Reasons:
        """Wait for calls under way; return the reasons to stop afterwards."""
        return stop

    def _note(self, points: Floats, judged: Judged) -> None:
        """Record the evaluations of an iteration."""

    def _note_part(self) -> None:
        """Record the told part of an iteration ended by an exception."""

    def _show_progress(self, end: str = "") -> None:
        """Show an iteration's progress."""

    def run(self) -> R:
        """Search until there is a reason to stop, Ctrl-C included."""
        try:
            if self._checkpoint is not None and os.path.lexists(self._checkpoint.path):
                self._resume(self._checkpoint.path)
            return self._run()
        except KeyboardInterrupt:
            self._show_progress(end="\n")
            self._evaluator.calls = self._judge.best.calls
            return self._result({INTERRUPTED: 1.0})
        finally:
            if self._checkpoint is not None:
                self._checkpoint.flush()

    def _run(self) -> R:
        callback = self._options.callback
        try:
            with self._evaluator.workers:
                stop = self.reasons()
                while not stop:
                    self._iterate()
                    stop = self.reasons()
                    if callback is not None and wants_to_stop(callback, self._result(stop)):
                        stop = {**stop, "callback": 1.0}
                result = self._result(self._finish(stop), final=True)
                self._show_progress(end="\n")
                return result
        except Exception as error:
            self._note_part()
            keep_in(error, self._result({FAILED: 1.0}))
            raise

    def _ask(self) -> Any:
        """The positions of an iteration."""
        return self._swarm.ask()

    def _iterate(self) -> None:
        x = self._ask()
        points = self._problem.coding.decode(np.asarray(x))
        judged = self._judge.judge(points)
        if judged.error is not None:
            self._judge.salvage(points, judged)
            self._note(points, judged)
            raise judged.error
        self._judge.tell(x, points, judged)
        self._note(points, judged)
        self._write_down()

    def _write_down(self) -> None:
        """Save and show an iteration."""
        if self._checkpoint is not None:
            self._checkpoint.keep(self._state())
        self._show_progress()

    def _state(self) -> dict[str, Any]:
        """Everything needed for resuming."""
        state: dict[str, Any] = {"problem": self._problem_in_words}
        for part in self._saved():
            state |= part.state_dict()
        return state

    @functools.cached_property
    def _problem_in_words(self) -> str:
        import json  # imported on use, for a faster start of searches

        return json.dumps(self._identity)

    def _restore(self, saved: dict[str, Any]) -> None:
        for part in self._saved():
            part.load_state_dict(saved)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything needed for resuming."""
        from pyswarmopt.base.checkpoint import checked_path, write

        write(checked_path(path), self._state())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on from the file of a search for the same problem."""
        from pyswarmopt.base.checkpoint import checked_path, read_search, taking_over

        file = checked_path(path)
        saved = read_search(file, self._identity)
        with taking_over(file):
            self._restore(saved)

    def _resume(self, path: Path) -> None:
        self.load(path)
        self._check_objective(path)
