"""Regular expressions of adapter_config.json, as peft uses them, matched within bounded time.

An adapter comes from anywhere, and `re` can take years over ``(a+)+$``. The `regex` module reads
the same syntax and stops at a time limit; what would make it take long before that, or mean
something else than in `re`, is refused.
"""

from __future__ import annotations

import math
import re
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import regex

from pyswarmopt_llm.common.errors import UserError

# of the processor, for all matches of one adapter; those of real ones take milliseconds
SECONDS = 10.0
LONGEST = 50_000  # characters
MOST_REPEATS = 1000  # the product of all counts in braces: `regex` writes them out
_COUNT = re.compile(r"\{\d*,?\d*\}")
# fuzzy matching and POSIX classes in `regex`, plain text in `re`
_NOT_ALIKE = re.compile(r"\{(?!\d*,?\d*\})|\[:")


@dataclass
class Patterns:
    """The patterns of one file, which share a time limit.

    Args:
        path: the file, for error messages.
        seconds: the time limit.

    Example:
        >>> patterns = Patterns(Path("adapter_config.json"))
        >>> bool(patterns.compile("rank_pattern", "[qk]_proj").match("q_proj"))
        True
        >>> patterns.compile("rank_pattern", "(q_proj")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: adapter_config.json: rank_pattern has the malformed pattern '(q_proj' \
(missing ), unterminated subpattern at position 0)
    """

    path: Path
    seconds: float = field(default=SECONDS)

    def compile(self, option: str, text: str, frame: str = "{}") -> Pattern:
        """The pattern.

        Args:
            option: where it stands, for error messages.
            text: the pattern.
            frame: what peft puts around it, with ``{}`` in its place.

        Raises:
            UserError: `re` cannot compile it, or it is too long or too deeply nested.
        """
        where = f"{self.path}: {option} has the"
        if len(text) > LONGEST or _repeats(text) > MOST_REPEATS:
            raise UserError(
                f"{where} pattern {text!r}, which is too long or repeats too much; write it more "
                "simply"
            )
        if _NOT_ALIKE.search(text):
            raise UserError(
                f"{where} pattern {text!r}, which has a brace that counts nothing or '[:'; leave "
                "that out"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                re.compile(text)
                whole = frame.replace("{}", text)
                re.compile(whole)
            return Pattern(self, f"{option} {text!r}", regex.compile(whole))
        except (re.error, regex.error) as error:
            raise UserError(f"{where} malformed pattern {text!r} ({error})") from error
        except (RecursionError, OverflowError) as error:
            raise UserError(
                f"{where} pattern {text!r}, which is nested too deeply; write it more simply"
            ) from error


@dataclass(frozen=True, eq=False)
class Pattern:
    """A pattern of a file; see `Patterns.compile`."""

    owner: Patterns
    where: str
    compiled: regex.Pattern[str]

    def match(self, text: str) -> regex.Match[str] | None:
        """The match at the beginning of `text`, as of `re.match`.

        Raises:
            UserError: the file's time limit is over.
        """
        return self._within_time(self.compiled.match, text)

    def fullmatch(self, text: str) -> regex.Match[str] | None:
        """The match of the whole of `text`, as of `re.fullmatch`.

        Raises:
            UserError: the file's time limit is over.
        """
        return self._within_time(self.compiled.fullmatch, text)

    def _within_time(self, matcher: Any, text: str) -> regex.Match[str] | None:
        begun = time.thread_time()
        try:
            return matcher(text, timeout=max(self.owner.seconds, 1e-3))
        except (TimeoutError, MemoryError) as error:
            raise UserError(
                f"{self.owner.path}: {self.where} takes too long to match; write it more simply"
            ) from error
        finally:
            self.owner.seconds -= time.thread_time() - begun


def _repeats(text: str) -> int:
    """The product of a pattern's counts: how often it repeats a part at most."""
    numbers = re.findall(r"\d+", " ".join(_COUNT.findall(text)))
    return math.prod(max(int(number[:9]), 1) for number in numbers)
