"""The one exception that means "the user can mend this": shown as a single line, exit code 2."""

from __future__ import annotations


class UserError(Exception):
    """Bad input: says what is wrong, where, and what to do, in one line.

    The command line prints the message and exits with code 2; nothing has been written by then.

    Example:
        >>> raise UserError("tasks/mine.json: line 3: unexpected end of the list; close it with ]")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: tasks/mine.json: line 3: unexpected end of the list; close it with ]
    """


class NotFiniteError(UserError):
    """A score is not a number, or infinite."""


class NoRoomError(UserError):
    """Not even a single item fits into memory."""
