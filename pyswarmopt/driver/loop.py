"""The loop of every search: ask, evaluate, tell, write down, ask the callback, until there is a reason
to stop.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from pyswarmopt.base import checkpoint as checkpoints
from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.judge import ByOrder, Judged
from pyswarmopt.driver.options import Options, in_coordinates
from pyswarmopt.driver.problem.constraints import Constraints
from pyswarmopt.driver.problem.encoding import check_inside, make_coding
from pyswarmopt.driver.result import FAILED, INTERRUPTED, keep_in, wants_to_stop
from pyswarmopt.driver.start import starting_points
from pyswarmopt.parts.bounds import read_bounds

R = TypeVar("R")
Reasons = dict[str, float]


class Loop(ABC, Generic[R]):
    """A search with results of type R.

    Whatever ends it, the result so far is not lost: an exception takes it with it, Ctrl-C returns it.
    Subclasses say what moves (`_swarm`), what calls the objective (`_evaluator`) and what keeps the
    best (`_judge`).

    Raises:
        ValueError: options that do not make sense.
    """

    _swarm: Any
    _evaluator: Evaluator
    _judge: ByOrder

    def __init__(self, arguments: Options) -> None:
        options, self._space = in_coordinates(arguments)
        path = options.checkpoint
        self._options, self._callback = options, options.callback
        self._checkpoint = None if path is None else checkpoints.place(path)
        start = None if options.x0 is None else starting_points(options.x0)
        bounds = read_bounds(options.bounds, None if start is None else start.shape[1])
        if start is not None:
            check_inside(start, *bounds)
        self._constraints = Constraints(options.constraints, len(bounds[0]))
        self._coding = make_coding(bounds, options.integrality, options.categorical)
        self._start = None if start is None else self._coding.encode(start)
        # a checkpoint must have been written for the same
        self._problem: dict[str, Any] = {
            "bounds": [side.tolist() for side in bounds],
            "seed": options.seed,
            "x0": None if start is None else start.tolist(),
            "integrality": self._coding.integers.tolist(),
            "categorical": self._coding.categories.tolist(),
            "constraints": bool(self._constraints),
            **({} if self._space is None else {"space": self._space.describe()}),
        }

    def _make_evaluator(self, max_evals: float, outputs: int | None = None) -> Evaluator:
        options = self._options
        evaluator = Evaluator(
            options.fun, options.vectorized, options.workers, options.on_error, max_evals, outputs
        )
        if self._space is not None:
            evaluator.tensors = False  # known, like vectorized: no trial is needed
        return evaluator

    @abstractmethod
    def _reasons(self) -> Reasons:
        """Reasons to stop; empty to go on."""

    @abstractmethod
    def _result(self, stop: Reasons, final: bool = False) -> R:
        """The result so far, or at the end."""

    @abstractmethod
    def _check_objective(self, path: Path) -> None:
        """Raise ValueError where the checkpoint is that of another objective."""

    def _saved(self) -> tuple[Any, ...]:
        """What a resume needs, in the order in which it is restored."""
        return self._swarm, self._evaluator, self._judge

    def _finish(self, stop: Reasons) -> Reasons:
        """Wait for what is still under way; the reasons to stop as they are after that."""
        return stop

    def _note(self, points: Floats, judged: Judged) -> None:
        """Note what an iteration has evaluated."""

    def _note_part(self) -> None:
        """Note what was evaluated of an iteration that an exception has ended."""
        if self._judge.part is not None:
            self._note(*self._judge.part)

    def _show_progress(self, end: str = "") -> None:
        """What is on the screen after an iteration."""

    def run(self) -> R:
        """Search until there is a reason to stop; Ctrl-C is one."""
        try:
            if self._checkpoint is not None and os.path.lexists(self._checkpoint):
                self._resume(self._checkpoint)
            return self._run()
        except KeyboardInterrupt:
            self._show_progress(end="\n")
            self._evaluator.calls = self._judge.found.calls
            return self._result({INTERRUPTED: 1.0})

    def _run(self) -> R:
        try:
            with self._evaluator.workers:
                stop = self._reasons()
                while not stop:
                    self._iterate()
                    stop = self._reasons()
                    if self._callback is not None and wants_to_stop(
                        self._callback, self._result(stop)
                    ):
                        stop = {**stop, "callback": 1.0}
                result = self._result(self._finish(stop), final=True)
                self._show_progress(end="\n")
                return result
        except Exception as error:
            if self._evaluator.calls:
                self._note_part()
                keep_in(error, self._result({FAILED: 1.0}))
            raise

    def _iterate(self) -> None:
        x = self._swarm.ask()
        points = self._coding.decode(np.asarray(x))
        judged = self._judge.judge(points)
        self._judge.tell(x, points, judged)
        self._judge.part = None
        self._note(points, judged)
        self._write_down()

    def _write_down(self) -> None:
        """What is on disk and on the screen after an iteration."""
        if self._checkpoint is not None:
            state = {"problem": json.dumps(self._problem)}
            for part in self._saved():
                state |= part.state_dict()
            checkpoints.write(self._checkpoint, state)
        self._show_progress()

    def _restore(self, saved: dict[str, Any]) -> None:
        for part in self._saved():
            part.load_state_dict(saved)

    def _resume(self, path: Path) -> None:
        saved = checkpoints.read_search(path, self._problem)
        with checkpoints.taking_over(path):
            self._restore(saved)
        self._check_objective(path)
