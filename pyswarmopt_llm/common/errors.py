"""The exception for errors that the user can fix: shown as a single line, exit code 2."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import add

from pyswarmopt.base.words import one_line


class UserError(Exception):
    """Invalid input; one line says what is wrong, where, and what to do.

    The command line prints the message and exits with code 2; nothing has been written. Quoted
    input is shown as one line without control characters, with long values truncated. Settings are
    named by field, in backticks; only the command line shows them as options.

    Example:
        >>> raise UserError("runs/a already contains a run; choose another `out`")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: runs/a already contains a run; choose another out
    """

    @property
    def text(self) -> str:
        """The message with settings in backticks, for quoting in another message."""
        return super().__str__()

    def __str__(self) -> str:
        return one_line(spell(self.text, add))


def first_line(error: BaseException) -> str:
    """The first line of another library's error, or its class if the message is empty.

    Its backticks become quotes, since a `UserError` has backticks only around our settings.

    Example:
        >>> first_line(ValueError("no such `device`\\ntry another")), first_line(KeyError())
        ("no such 'device'", 'KeyError')
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__).replace("`", "'")


class InvalidOption(UserError):
    """An option with an invalid value, or one that conflicts with other options.

    Args:
        field: field of the configuration, or argument.
        value: its value; None, True and "" are not shown.
        why: fault and remedy, which names other options in backticks. It continues the sentence,
            or begins with a colon.

    Example:
        >>> raise InvalidOption("drop_k", 0.5, "needs iterations; remove it, or change `optimizer`")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.InvalidOption: drop_k 0.5 needs iterations; remove it, or change optimizer
    """

    def __init__(self, field: str, value: object, why: str) -> None:
        super().__init__(field, value, why)
        self.field = field
        self.value = value
        self.why = why

    @property
    def text(self) -> str:
        """The message with its settings in backticks."""
        value = str(self.value).replace("`", "'")
        if isinstance(self.value, float):
            value = f"{self.value:g}"
        if self.value is None or self.value is True:
            value = ""
        option = f"{self.field} {value}".rstrip()
        gap = "" if self.why.startswith(":") else " "
        return f"`{option}`{gap}{self.why}"


def spell(text: str, name: Callable[[str, str], str]) -> str:
    """A text with its options in backticks (possibly with values) spelled by `name`.

    Example:
        >>> spell("`max_iter 3` needs `dev`", "<{}{}>".format)
        '<max_iter 3> needs <dev>'
    """
    return re.sub(r"`(\w+)( [^`]+)?`", lambda match: name(match[1], match[2] or ""), text)


class NotFiniteError(UserError):
    """A score that is not finite."""


class UndefinedModelError(NotFiniteError):
    """A model's log-probabilities are not numbers."""


class NoRoomError(UserError):
    """Not even a single item fits in memory."""

    def __init__(
        self,
        text: str = "out of memory with a single example in the batch; use a smaller base model or shorter examples",
    ) -> None:
        super().__init__(text)
