"""Tasks are numbered, done in turn in this process, and their answers sorted where they come as they please."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.crew import Alone, Crew

NOBODY: Any = None  # the evaluator of tasks that need none


@dataclass(frozen=True)
class Halved:
    """Half of an even number."""

    number: int

    def run(self, evaluator: Any) -> int:
        if self.number % 2:
            raise UserError("odd")
        return self.number // 2


class Backwards(Alone):
    """The latest task is done first."""

    size = 9

    def hear(self) -> tuple[int, Any]:
        self._waiting.rotate()
        return super().hear()


@pytest.mark.parametrize("crew", [Alone(NOBODY), Backwards(NOBODY)])
def test_the_answers_of_a_map_are_in_the_order_of_its_tasks(crew: Crew) -> None:
    assert [*crew.map(map(Halved, (2, 4, 6)))] == [1, 2, 3]
    assert [*crew.map(map(Halved, (8, 2)))] == [4, 1]
    assert [*crew.map([])] == []


def test_an_answer_comes_with_the_number_of_its_task() -> None:
    crew = Backwards(NOBODY)
    numbers = [crew.submit(Halved(number)) for number in (2, 4, 6)]
    assert numbers == [0, 1, 2]
    assert [crew.hear() for _ in numbers] == [(2, 3), (1, 2), (0, 1)]
    assert crew.submit(Halved(10)) == 3


def test_what_a_task_raises_is_raised_when_it_is_heard() -> None:
    crew = Alone(NOBODY)
    crew.submit(Halved(2))
    crew.submit(Halved(3))
    assert crew.hear() == (0, 1)
    with pytest.raises(UserError, match="odd"):
        crew.hear()
