"""`Item`, a question with its answer; `Task`, a dev and a test set of items; `TaskForm`; and the items'
prompts, by default or from a template (`templates`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import digest

SPLITS = ("dev", "test")
DEV = 200  # default size, as in the Model Swarms reference
TEST = 1000
_PLAIN_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Item:
    """One question with its right answer; a reward, a judge or a classifier needs none.

    Example:
        >>> item = Item("1", "What is two plus two?", {"A": "four", "B": "five"}, "A")
        >>> item.answer_text
        'four'
    """

    id: str  # unique within its split
    question: str  # without a leading ``Question:``
    choices: dict[str, str] | None  # letter -> text; None for open questions
    # letter of the right choice, or the right answer; "" if there is none
    answer: str
    # further fields of the source, such as ``domain``
    meta: Mapping[str, str] = field(default_factory=dict)
    plain: bool = False  # whether the question is a complete prompt, given to the model verbatim
    location: str = field(default="", compare=False, repr=False)  # for messages

    @property
    def earlier(self) -> list[dict[str, str]]:
        """Turns of a conversation before the question, with ``role`` and ``content``."""
        turns: list[dict[str, str]] = json.loads(self.meta.get("earlier", "[]"))
        return turns

    @property
    def conversation(self) -> str:
        """Earlier turns and the question as one text; items with equal texts are the same."""
        return "\n".join([*(turn["content"] for turn in self.earlier), self.question])

    @property
    def references(self) -> list[str]:
        """All right answers: `answer_text`, then the ``answers`` of the source (a JSON list).

        Example:
            >>> Item("1", "Who wrote Faust?", None, "Goethe", {"answers": '["J. W. Goethe"]'}).references
            ['Goethe', 'J. W. Goethe']
        """
        right = [self.answer_text, *json.loads(self.meta.get("answers", "[]"))]
        return list(dict.fromkeys(filter(None, right)))

    @property
    def answer_text(self) -> str:
        """The text of the right choice, or the answer itself without choices."""
        return self.in_words(self.answer)

    @property
    def letters(self) -> list[str]:
        """The letters of the choices; none for an open question."""
        return list(self.choices or {})

    @property
    def options(self) -> list[str]:
        """The texts of the choices; none for an open question."""
        return list((self.choices or {}).values())

    def in_words(self, answer: str) -> str:
        """The text of the choice with this letter; any other answer unchanged."""
        return (self.choices or {}).get(answer, answer)


@dataclass(frozen=True)
class Task:
    """A dev set, which guides the search, and a test set, which the search never sees.

    Example:
        >>> items = tuple(Item(str(i), f"Question {i}?", None, "yes") for i in range(3))
        >>> task = Task("mine", dev=items[:2], test=items[2:])
        >>> [item.id for item in task.split("test")]
        ['2']
    """

    name: str
    dev: tuple[Item, ...]
    test: tuple[Item, ...]
    prompt: str | None = None  # template of the user turn with ``{question}`` and ``{choices}``
    source: str = ""  # the user's spec
    metric: str | None = None  # a name of `METRICS`; None: accuracy
    note: str = ""  # a sentence for the user on how dev and test were drawn
    column: str = "question"  # question column of the source
    # further dev items of the source for training, if they have no options: as many as dev has, up
    # to four times as many; not in the fingerprint
    spare: tuple[Item, ...] = ()
    drawn: bool = False  # whether dev and test were drawn from one list

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of dev and test."""
        content = {
            split: [
                [item.id, item.question, item.choices, item.answer, dict(item.meta)]
                + ["plain"] * item.plain
                for item in self.split(split)
            ]
            for split in SPLITS
        }
        return digest(content)

    def split(self, name: str) -> tuple[Item, ...]:
        """The items of ``"dev"``, ``"test"`` or ``"spare"``."""
        items: tuple[Item, ...] = getattr(self, name)
        return items


@dataclass(frozen=True)
class TaskForm:
    """How a task asks.

    Attributes:
        column: question column.
        choices: letter -> text, if all questions share their choices; None: they do not.
        prompt: template, see `render_prompt`; never None for free-form answers.
        written: whether answers are written, without choices.
    """

    column: str
    choices: Mapping[str, str] | None
    prompt: str | None
    written: bool = False


def form_of(task: Task) -> TaskForm:
    """The form of a task's questions; a task has only one.

    Example:
        >>> item = Item("1", "Lost my card!", {"A": "card", "B": "loan"}, "A")
        >>> form_of(Task("bank", (item,), (item,), column="body")).choices
        {'A': 'card', 'B': 'loan'}
        >>> form_of(Task("sums", (Item("1", "2+2?", None, "4"),), ())).prompt
        'Question: {question}'
    """
    items = (*task.dev, *task.test)
    first = items[0]
    plain = first.plain
    written = not all(item.choices for item in items)
    alike = all(item.choices == first.choices for item in items)
    prompt = task.prompt
    if written and not prompt:
        prompt = "{question}" if plain else "Question: {question}"
    column = "prompt" if plain else task.column
    return TaskForm(column, first.choices if alike else None, prompt, written)


def per_task(option: str, specs: Sequence[str], tasks: Collection[str]) -> dict[str, str]:
    """Task name -> its value of an option, from ``VALUE`` (for all tasks) and ``TASK=VALUE``.

    Raises:
        InvalidOption: a task is unknown, or has two values.

    Example:
        >>> per_task("metric", ["f1", "math=numeric"], ["math", "quiz"])
        {'math': 'numeric', 'quiz': 'f1'}
    """
    general: dict[str, str] = {}
    own: dict[str, str] = {}
    for spec in specs:
        name, equals, value = spec.partition("=")
        if equals and name in tasks:
            given = own
            found = {name: value}
        else:
            given = general
            found = dict.fromkeys(tasks, spec)
        stray = equals and name not in tasks and _PLAIN_NAME.fullmatch(name)
        if stray or given.keys() & found.keys():
            why = f": use one for all tasks, or TASK=VALUE for each of {', '.join(tasks) or 'none'}"
            raise InvalidOption(option, spec, why)
        given |= found
    return general | own


AnswerFormat = Literal["letter", "likelihood", "generate"]


def with_options(item: Item) -> str:
    """The question, and its options one per line."""
    return "\n".join(filter(None, (f"Question: {item.question}", lettered(item))))


def lettered(item: Item) -> str:
    """The options of an item, one per line."""
    return "\n".join(f"{letter}: {text}" for letter, text in (item.choices or {}).items())
