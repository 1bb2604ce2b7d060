"""Who does the work of a search. Tasks are submitted and their answers heard, alike in this process and in
several (`workers`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Protocol, TypeVar

Name = TypeVar("Name", bound=Hashable)


class Task(Protocol):
    """Work for one worker: a description that can be pickled."""

    def run(self, evaluator: Any) -> Any:
        """Do it with a worker's own `CandidateEvaluator` on dev; the answer can be pickled, too."""


class Crew(ABC):
    """Does tasks, several at once; more than `size` wait for their turn."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of tasks done at once; it may change."""

    @abstractmethod
    def submit(self, task: Task) -> int:
        """Have a task done. Returns its number, which counts from 0."""

    @abstractmethod
    def hear(self) -> tuple[int, Any]:
        """Wait for the next answer: the number of its task, and the answer.

        Raises:
            UserError: raised by the task, or no worker is left.
        """

    def map(self, tasks: Iterable[Task]) -> Iterator[Any]:
        """The answers to tasks, in order, while nothing else is under way.

        Example:
            >>> class Double:
            ...     def __init__(self, number): self.number = number
            ...     def run(self, evaluator): return 2 * self.number
            >>> list(Alone(None).map([Double(3), Double(5)]))
            [6, 10]
        """
        numbers = [self.submit(task) for task in tasks]
        answers: dict[int, Any] = {}
        for number in numbers:
            while number not in answers:
                heard, answer = self.hear()
                answers[heard] = answer
            yield answers.pop(number)

    def each(self, tasks: Mapping[Name, Task]) -> Iterator[tuple[Name, Any]]:
        """The name and answer of each task, as they come, while nothing else is under way.

        Example:
            >>> class Double:
            ...     def __init__(self, number): self.number = number
            ...     def run(self, evaluator): return 2 * self.number
            >>> dict(Alone(None).each({"a": Double(3), "b": Double(5)}))
            {'a': 6, 'b': 10}
        """
        names = {self.submit(task): name for name, task in tasks.items()}
        for _ in tasks:
            number, answer = self.hear()
            yield names[number], answer


class Alone(Crew):
    """This process, which does a task when its answer is asked for.

    Args:
        evaluator: `CandidateEvaluator` on dev.
    """

    size = 1

    def __init__(self, evaluator: Any) -> None:
        self._evaluator = evaluator
        self._numbers = count()
        self._waiting: deque[tuple[int, Task]] = deque()

    def submit(self, task: Task) -> int:
        """See `Crew.submit`."""
        number = next(self._numbers)
        self._waiting.append((number, task))
        return number

    def hear(self) -> tuple[int, Any]:
        """See `Crew.hear`."""
        number, task = self._waiting.popleft()
        return number, task.run(self._evaluator)
