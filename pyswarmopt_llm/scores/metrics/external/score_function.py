"""A user's Python functions that score written replies (``--metric FILE.py:FUNCTION``)."""

from __future__ import annotations

import inspect
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from pyswarmopt.base.own_file import raised
from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.own import fingerprint, own
from pyswarmopt_llm.common.statistics import LARGEST, score_of
from pyswarmopt_llm.scores.metrics.accuracy import at
from pyswarmopt_llm.scores.metrics.written import Written, means_of_items
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.stated import without_thoughts

ONE = ("prompt", "reply", "item")
BATCH = ("prompts", "replies", "items")
_SHOWN = 40  # most characters of a prompt in a message
_SHOWN_OF_REPLY = 160  # most characters of a reply, which may show what to correct
Parts = list[dict[str, float]]


class ScoreFunction:
    """A user's function of a prompt and a reply, or of all prompts and replies of a split.

    Its parameter names decide: some of ``prompt, reply, item`` for a call per reply, or some of
    ``prompts, replies, items`` for a single call. It returns a number, higher is better, or named
    numbers (a dict), which are averaged; for a whole split a list of these.

    Args:
        spec: ``FILE.py:FUNCTION``, whose file is executed and may import modules beside it; or the
            name of a function in a package, see `own`.

    Raises:
        UserError: no such file or function, or it has other parameters.

    Attributes:
        fingerprint: see `own.fingerprint`; resuming notices a changed function by it.
    """

    def __init__(self, spec: str) -> None:
        self._spec = spec
        self._function: Any = own("metric", spec)
        if not callable(self._function):
            raise self._refusal("is not a function; use FILE.py:FUNCTION")
        code = getattr(self._function, "__code__", None)
        self._file = Path(getattr(code, "co_filename", ""))
        self.fingerprint = fingerprint(spec)
        self._parameters = self._named(spec.rpartition(":")[2])

    def parts(self, prompts: Sequence[str], replies: Sequence[str], items: Sequence[Item]) -> Parts:
        """The named numbers of each reply; a single number has the name ``""``.

        Args:
            prompts: user turns, without chat template.
            replies: replies, without thoughts.
            items: items of the prompts: ``question``, ``choices``, ``answer``, ``meta``, ``id``.

        Raises:
            InvalidOption: the function raised, or returned something else; names the prompt's
                number and the reply.
        """
        locations = [
            f"prompt {item.id} ({_short(prompt)}), reply {_short(reply, _SHOWN_OF_REPLY)}: "
            for prompt, reply, item in zip(prompts, replies, items, strict=True)
        ]
        if "replies" in self._parameters:
            columns = map(list, (prompts, replies, items))
            returned = self._listed(
                self._call(dict(zip(BATCH, columns, strict=True))), len(replies)
            )
        else:
            rows = zip(prompts, replies, items, strict=True)
            returned = [
                self._call(dict(zip(ONE, row, strict=True)), location)
                for row, location in zip(rows, locations, strict=True)
            ]
        parts = list(map(self._checked, returned, locations))
        for row, location in zip(parts, locations, strict=True):
            if row.keys() != parts[0].keys():
                names, first = (", ".join(part) or "one number" for part in (row, parts[0]))
                raise self._refusal(
                    f"{location}returned {names}, but {first} for the first; return the same names "
                    "for every prompt"
                )
        return parts

    def _refusal(self, why: str) -> InvalidOption:
        return InvalidOption("metric", self._spec, why)

    def _listed(self, values: Any, count: int) -> list[Any]:
        """The values returned for all replies, as a list."""
        try:
            listed = None if isinstance(values, str | Mapping) else list(values)
        except TypeError:  # a number, or a tensor without dimensions
            listed = None
        if listed is None:
            raise self._refusal(f"returned {_short(values)}; return a list, a value per reply")
        if len(listed) != count:
            returned = counted(len(listed), "value")
            raise self._refusal(f"returned {returned} for {count} replies; return one for each")
        return listed

    def _call(self, arguments: Mapping[str, Any], location: str = "") -> Any:
        """Call the user's function, which may print and change its working directory: its output
        goes to stderr, since stdout is for results.

        Raises:
            InvalidOption: it raised anything but an interrupt; `location` starts the message.
        """
        given = {name: arguments[name] for name in self._parameters}
        try:
            with chdir(os.getcwd()), redirect_stdout(sys.stderr):
                value = self._function(**given)
                return list(value) if isinstance(value, Iterator) else value
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            remedy = "correct it"
            if location:
                remedy = "correct it, or return 0.0 for a reply that cannot be read"
            why = f"{location}raised {raised(error, self._file)}; {remedy}"
            raise self._refusal(why) from error

    def _checked(self, value: object, location: str) -> dict[str, float]:
        """A returned value as named numbers."""
        named = value if isinstance(value, Mapping) else {"": value}
        parts = {str(name): _number(part) for name, part in named.items()}
        if not parts or not sum(map(abs, parts.values())) <= LARGEST:
            returned = f"{location}returned {_short(value)}"
            remedy = f"return a finite number (at most {LARGEST:g}), or a dict of them"
            raise self._refusal(f"{returned}; {remedy}")
        return parts

    def _named(self, name: str) -> tuple[str, ...]:
        """Names of the parameters to pass."""
        try:
            parameters = inspect.signature(self._function).parameters.values()
        except (TypeError, ValueError):  # compiled functions may have no signature
            return ONE
        names = tuple(p.name for p in parameters if p.kind in _BY_NAME and p.name in (*ONE, *BATCH))
        needed = {p.name for p in parameters if p.default is p.empty and p.kind not in _VARIADIC}
        of_one = "reply" in names and {*names} <= {*ONE}
        of_all = "replies" in names and {*names} <= {*BATCH}
        if not (of_one or of_all) or not needed <= {*names}:
            forms = " or ".join(f"def {name}({', '.join(form)})" for form in (ONE, BATCH))
            takes = f"takes ({', '.join(p.name for p in parameters)})"
            raise self._refusal(f"{takes}; write {forms}")
        return names


class FunctionReplies(Written):
    """A `Utility`: replies scored by `ScoreFunction.parts`; its score includes the named numbers."""

    def score_samples(
        self, samples: Sequence[Sequence[str]], indices: Sequence[int] | None = None
    ) -> Score:
        """See `Written`."""
        scored = [self._parts(replies, indices) for replies in samples]
        rows = list(chain.from_iterable(scored))
        named = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0] if name}
        return replace(score_of(means_of_items([means(parts) for parts in scored])), named=named)

    def judge(self, answers: Sequence[str], indices: Sequence[int] | None = None) -> list[float]:
        """The value of each answer."""
        return means(self._parts(answers, indices))

    def marks(self, answers: Sequence[str]) -> list[dict[str, float]]:
        """See `Written`."""
        parts = self._parts(answers, None)
        return [{name: value for name, value in row.items() if name} for row in parts]

    def _parts(self, replies: Sequence[str], indices: Sequence[int] | None) -> Parts:
        said = list(map(without_thoughts, replies))
        parts: Parts = self._score(at(self.turns, indices), said, at(self.items, indices))
        return parts


def function_metric(spec: str, cache: Path | None, device: str) -> dict[str, Any]:
    """The metric ``FILE.py:FUNCTION``; see `ReplyMetric.load`."""
    function = ScoreFunction(spec)
    return {
        "replies": FunctionReplies,
        "rate": function.parts,
        "fingerprint": function.fingerprint,
    }


def means(parts: Sequence[Mapping[str, float]]) -> list[float]:
    """The mean of each reply's named numbers.

    Example:
        >>> means([{"short": 1.0, "polite": 0.0}, {"short": 1.0, "polite": 1.0}])
        [0.5, 1.0]
    """
    return [sum(row.values()) / len(row) for row in parts]


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _number(value: Any) -> float:
    """A value, or a one-element tensor of any library, as a float; NaN if it is none.

    Example:
        >>> _number(True), _number("0.5"), _number(10**400)
        (1.0, nan, nan)
    """
    if isinstance(value, str | bytes):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return math.nan


def _short(value: object, most: int = _SHOWN) -> str:
    """A value on one line, cut to `most` characters.

    Example:
        >>> _short("a" * 99)
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"
    """
    if isinstance(value, str):
        return repr(value if len(value) <= most else f"{value[:most]}...")
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[:most]}..."
