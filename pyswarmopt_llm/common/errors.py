"""The one exception that means "the user can mend this": shown as a single line, exit code 2."""

from __future__ import annotations

from pyswarmopt.cli.terminal import one_line


class UserError(Exception):
    """Bad input: says what is wrong, where, and what to do, in one line.

    The command line prints the message and exits with code 2; nothing has been written by then. Whatever the message
    quotes from outside, it is shown as one line without control characters, long values cut.

    Example:
        >>> raise UserError("tasks/mine.json: line 3: unexpected end of the list; close it with ]")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: tasks/mine.json: line 3: unexpected end of the list; close it with ]
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its class where there is none: to quote other libraries by.

    Example:
        >>> first_line(ValueError("no such file\\ntry another")), first_line(KeyError())
        ('no such file', 'KeyError')
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class NotFiniteError(UserError):
    """A score is not a number, or infinite."""


class NoRoomError(UserError):
    """Not even a single item fits into memory."""
