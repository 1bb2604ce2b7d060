r"""Text of messages: plurals, single lines without control characters, and limits of options.

File names, values and models' answers come from outside. Control characters in them could move the
terminal's cursor, change its title or hide parts of a line, so they are shown as escapes
(``\x1b``).
"""

from __future__ import annotations

import re

LIMIT = 200  # most characters of a value in a message
_WHOLE = 500  # most characters of a message

# Control characters except newline and tab, line separators, surrogate halves, and characters that
# reorder or hide text (https://www.unicode.org/reports/tr36, section 2.5; joiners of scripts and
# emoji stay).
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

# The largest value of each integer setting: beyond it nothing would run, and arithmetic would
# overflow.
COUNT = 10**9  # items, iterations, evaluations, tokens
SEED = 2**63 - 1
_OTHERS = {
    "particles": 10**6,
    "threads": 4096,
    "rank": 2**16,
    "output_rank": 2**16,
    "max_new_tokens": 10**6,
    "seeds": 10**6,
    "agents": 10**4,
    "rounds": 10**6,
    "seed": SEED,
}


def counted(number: int, noun: str) -> str:
    """A number and its noun, with a plural in s.

    Example:
        >>> counted(1, "expert"), counted(1200, "item")
        ('1 expert', '1,200 items')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def largest(option: str) -> int:
    """The largest value of an option, by parameter name.

    Example:
        >>> largest("threads"), largest("max_iter")
        (4096, 1000000000)
    """
    return _OTHERS.get(option, COUNT)


def visible(text: str) -> str:
    r"""The text with unsafe characters as escapes; newlines and tabs stay.

    Example:
        >>> visible("a\x1b[2Jb" + chr(0xDC80))
        'a\\x1b[2Jb\\udc80'
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def without_addresses(text: str) -> str:
    """The text without memory addresses, which differ between processes.

    Example:
        >>> without_addresses("[<function f at 0x7f3c2b1d>]")
        '[<function f>]'
    """
    return _ADDRESS.sub("", text)


def cut(text: str, limit: int = LIMIT) -> str:
    """The start of a long text, followed by dots.

    Example:
        >>> cut("a long text", 10) == "a long ...", cut("a long text", 11)
        (True, 'a long text')
    """
    if len(text) <= limit:
        return text
    return text[: limit - 3] + "..."


def one_line(text: str) -> str:
    """A message as one line: unsafe characters as escapes, the middle of a long one cut out.

    Example:
        >>> one_line("--split " + 5000 * "x" + ": unknown;\\n use dev or test").replace("x", "")
        '--split  ... : unknown; use dev or test'
    """
    text = visible(" ".join(text.split()))
    if len(text) <= _WHOLE:
        return text
    return f"{text[: _WHOLE // 2]} ... {text[-_WHOLE // 2 :]}"
