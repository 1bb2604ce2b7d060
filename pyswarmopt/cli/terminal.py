r"""Everything that the commands print as text passes through here.

File names, option values and what models answer come from outside. Written to a terminal as they are, their control
characters could move the cursor, change the title or hide what stands in a line, so they are shown as escapes
(``\x1b``); messages show at most `LIMIT` characters of any one value.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

LIMIT = 200  # characters of one value in a message
_WHOLE = 1000  # characters of a message

# Control characters but newline and tab, line separators, halves of surrogate pairs, and what reorders or hides text
# (https://www.unicode.org/reports/tr36, section 2.5; the joiners of scripts and emoji stay).
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_LONG_WORD = re.compile(rf"\S{{{LIMIT + 10},}}")  # a value and the punctuation around it
_LONG_QUOTE = re.compile(rf"""(?<!\w)(?P<mark>['"])((?!(?P=mark)).){{{LIMIT + 1},}}(?P=mark)(?!\w)""")


def visible(text: str) -> str:
    r"""The text with its unsafe characters as escapes; newlines and tabs stay.

    Example:
        >>> visible("a\x1b[2Jb" + chr(0xDC80))
        'a\\x1b[2Jb\\udc80'
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def cut(text: str, limit: int = LIMIT) -> str:
    """The beginning of a long text, with dots.

    Example:
        >>> cut("a long text", 8)
        'a lon...'
    """
    return text if len(text) <= limit else text[: limit - 3] + "..."


def one_line(text: str, values: Iterable[str] = ()) -> str:
    """A message as one line: unsafe characters as escapes, long values cut.

    Args:
        text: the message.
        values: long values that may stand in it, such as those of the command line. Words and quoted texts of more
            than `LIMIT` characters are found without that.

    Example:
        >>> one_line("--split " + 5000 * "x" + ": unknown;\\n use dev or test").replace("x", "")
        '--split ...: unknown; use dev or test'
    """
    for value in sorted((value for value in values if len(value) > LIMIT), key=len, reverse=True):
        text = text.replace(value, cut(value))
    text = visible(" ".join(text.split()))
    text = _LONG_WORD.sub(_cut_word, _LONG_QUOTE.sub(lambda found: _in_quotes(found[0]), text))
    return text if len(text) <= _WHOLE else f"{text[: _WHOLE // 2]} ... {text[-(_WHOLE // 2 - 5) :]}"


def _in_quotes(text: str) -> str:
    return f"{text[0]}{cut(text[1:-1])}{text[-1]}"


def _cut_word(found: re.Match[str]) -> str:
    """A word without its middle; the punctuation behind it belongs to the message."""
    word = found[0]
    end = re.search(r"""[:;,.)'"]*$""", word)
    tail = word[end.start() :][:4] if end else ""
    return cut(word.removesuffix(tail)) + tail


def echo(text: str = "", err: bool = False, end: str = "\n") -> None:
    """Print text on stdout, or stderr, its unsafe characters as escapes."""
    stream = sys.stderr if err else sys.stdout
    stream.write(visible(text) + end)
    stream.flush()


def complain(text: str, arguments: Sequence[str] = ()) -> int:
    """Print the one line that says what is wrong with the input, long values of the command line cut; the exit code."""
    values = [part for argument in arguments for part in (argument, argument.partition("=")[2])]
    echo(f"error: {one_line(text, values)}", err=True)
    return 2


def unreadable(arguments: Sequence[str]) -> str | None:
    """What is wrong with a command line that is not text, or None.

    Example:
        >>> unreadable(["run", "sphere"]), unreadable(["run", "caf" + chr(0xDCE9)])
        (None, "argument 2 ('caf\\\\udce9'): not UTF-8 text; rename the file, or write it in UTF-8")
    """
    for number, argument in enumerate(arguments, start=1):
        if re.search("[\ud800-\udfff]", argument):
            return f"argument {number} ('{visible(argument)}'): not UTF-8 text; rename the file, or write it in UTF-8"
    return None


class _Warnings(logging.Handler):
    """Log records as single lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        echo(one_line(record.getMessage()), err=True)


def tame_warnings() -> None:
    """Show log messages of level WARNING and above like all other messages, where nobody else handles them."""
    logging.lastResort = _Warnings(logging.WARNING)


def open_console(**options: Any) -> Console:
    """A Rich console that shows unsafe characters as escapes, in tables and progress displays, too."""
    from rich.console import Console, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class Visible(Console):
        def render_str(self, text: str, **more: Any) -> Text:
            return super().render_str(visible(text), **more)

        def render(self, renderable: RenderableType, options: Any = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(visible(segment.text), segment.style)

    return Visible(**options)
