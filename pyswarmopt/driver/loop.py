"""The loop of every search: iterate, write down, ask the callback, until there is a reason to stop."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from pyswarmopt.base import checkpoint as checkpoints
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.problem.encoding import Coding
from pyswarmopt.driver.problem.space import Space
from pyswarmopt.driver.result import FAILED, INTERRUPTED, keep_in, wants_to_stop

R = TypeVar("R")
Reasons = dict[str, float]


class Loop(ABC, Generic[R]):
    """A search with results of type R.

    Whatever ends it, the result so far is not lost: an exception takes it with it, Ctrl-C returns it.
    """

    _evaluator: Evaluator
    _problem: dict[str, Any]  # a checkpoint must have been written for the same
    _checkpoint: Path | None
    _callback: Callable[[R], bool | None] | None

    @property
    @abstractmethod
    def _found_after(self) -> int:
        """Calls that the result so far, and the checkpoint, rest on."""

    @abstractmethod
    def _iterate(self) -> None:
        """One iteration."""

    @abstractmethod
    def _reasons(self) -> Reasons:
        """Reasons to stop; empty to go on."""

    @abstractmethod
    def _result(self, stop: Reasons, final: bool = False) -> R:
        """The result so far, or at the end."""

    @abstractmethod
    def _saved(self) -> tuple[Any, ...]:
        """What a resume needs, in the order in which it is restored."""

    @abstractmethod
    def _check_objective(self, path: Path) -> None:
        """Raise ValueError where the checkpoint is that of another objective."""

    def _finish(self, stop: Reasons) -> Reasons:
        """Wait for what is still under way; the reasons to stop as they are after that."""
        return stop

    def _failed(self) -> R:
        """The result so far, with what the iteration that an exception ended has evaluated."""
        return self._result({FAILED: 1.0})

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
            self._evaluator.calls = self._found_after
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
                keep_in(error, self._failed())
            raise

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


def describe(
    coding: Coding,
    bounds: Any,
    start: Any,
    seed: Any,
    constraints: bool,
    space: Space | None,
) -> dict[str, Any]:
    """The problem as checkpoints have it."""
    return {
        "bounds": [side.tolist() for side in bounds],
        "seed": seed,
        "x0": None if start is None else start.tolist(),
        "integrality": coding.integers.tolist(),
        "categorical": coding.categories.tolist(),
        "constraints": constraints,
        **({} if space is None else {"space": space.describe()}),
    }
