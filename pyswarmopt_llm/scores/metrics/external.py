"""Scores from elsewhere: a user's Python function (``--metric FILE.py:FUNCTION``), and the metrics
of the Hugging Face `evaluate` library.
"""

from __future__ import annotations

import inspect
import math
import reprlib
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from pyswarmopt.base.own_file import raised
from pyswarmopt_llm.common.errors import InvalidOption, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.own import fingerprint, own
from pyswarmopt_llm.common.statistics import LARGEST
from pyswarmopt_llm.scores.metrics.metric import Parts
from pyswarmopt_llm.scores.tasks import Item

ONE = ("prompt", "reply", "item")
BATCH = ("prompts", "replies", "items")


class ScoreFunction:
    """A user's function of a prompt and a reply, or of all prompts and replies of a split.

    Its parameter names decide: some of ``prompt, reply, item`` for a call per reply, or some of
    ``prompts, replies, items`` for a single call. It returns a number, higher is better, or named
    numbers (a dict), which are averaged; for a whole split as many of these as replies.

    Args:
        spec: ``FILE.py:FUNCTION``, whose file is executed and may import modules beside it.

    Raises:
        UserError: there is no such file or function, or the function has other parameters.

    Attributes:
        fingerprint: see `own.fingerprint`; resuming notices a changed function by it.
    """

    def __init__(self, spec: str) -> None:
        self._spec = spec
        self._function: Any = own("metric", spec)
        self.fingerprint = fingerprint(spec)
        parameters: Mapping[str, Any] = {}
        if callable(self._function):
            parameters = inspect.signature(self._function).parameters
        self._names = [name for name in parameters if name in (*ONE, *BATCH)]
        needed = [name for name, each in parameters.items() if each.default is each.empty]
        known = ONE
        if "replies" in self._names:
            known = BATCH
        if known[1] not in self._names or not {*needed, *self._names} <= {*known}:
            name = spec.rpartition(":")[2]
            forms = " or ".join(f"def {name}({', '.join(form)})" for form in (ONE, BATCH))
            raise self._refusal(f"unsupported parameters ({', '.join(parameters)}); use {forms}")

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
        rows = list(zip(prompts, replies, items, strict=True))
        places = [f"prompt {item.id}, reply {reprlib.repr(reply)}: " for _, reply, item in rows]
        if "replies" in self._names:
            columns = dict(zip(BATCH, map(list, (prompts, replies, items)), strict=True))
            returned = self._called(columns, "", _listed)
        else:
            returned = [
                self._called(dict(zip(ONE, row, strict=True)), place)
                for row, place in zip(rows, places, strict=True)
            ]
        if len(returned) != len(rows):
            raise self._refusal(
                f"got {len(returned)} values for {len(rows)} replies; return one per reply"
            )
        parts = list(map(self._checked, returned, places))
        for row, place in zip(parts, places, strict=True):
            if row.keys() != parts[0].keys():
                raise self._refusal(
                    f"{place}got the names {', '.join(row)}; return the same names for all replies"
                )
        return parts

    def _refusal(self, why: str) -> InvalidOption:
        return InvalidOption("metric", self._spec, f": {why}")

    def _called(
        self, arguments: Mapping[str, Any], place: str, read: Any = lambda value: value
    ) -> Any:
        """The value of the user's function; what it prints goes to stderr, since stdout is for results.

        Raises:
            InvalidOption: it raised anything but an interrupt; `place` starts the message.
        """
        try:
            with redirect_stdout(sys.stderr):
                return read(self._function(**{name: arguments[name] for name in self._names}))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            code = getattr(self._function, "__code__", None)
            why = raised(error, Path(getattr(code, "co_filename", "")))
            raise self._refusal(f"{place}the function raised {why}; fix it") from error

    def _checked(self, value: object, place: str) -> dict[str, float]:
        """A returned value as named numbers."""
        named: Mapping[Any, object] = {"": value}
        if isinstance(value, Mapping):
            named = value
        parts = {str(name): _number(part) for name, part in named.items()}
        if not parts or not sum(map(abs, parts.values())) <= LARGEST:
            why = f"return a finite number (at most {LARGEST:g}) or a dict of such numbers"
            raise self._refusal(f"{place}got {reprlib.repr(value)}; {why}")
        return parts


def _listed(values: Any) -> list[Any]:
    if isinstance(values, str | Mapping):
        raise TypeError("expected a list with one value per reply")
    return list(values)


def _number(value: Any) -> float:
    """A value, or a one-element tensor of any library, as a float; NaN if it is none.

    Example:
        >>> _number(True), _number("0.5"), _number(10**400)
        (1.0, nan, nan)
    """
    try:
        if isinstance(value, str | bytes):
            return math.nan
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return math.nan


class EvaluateMetric:
    """An `evaluate` metric, computed item by item, so that its standard error is known.

    For a metric that is a mean over items (exact match, ROUGE, METEOR, SARI, ...) the mean equals
    the library's value. Corpus-level metrics (such as Matthews correlation) and metrics that do not
    take texts are refused. A metric that takes lists of references gets all references of an item; a
    metric that takes one reference gets the first.

    Args:
        spec: folder with a metric's script (works offline) or hub name; ``rouge#rougeL`` selects
            one of several values (default: the value with the metric's name, or the only one).

    Raises:
        UserError: `evaluate` is not installed, the metric cannot be loaded, or counts errors.
    """

    def __init__(self, spec: str) -> None:
        name, _, self._key = spec.partition("#")
        self._name = spec
        evaluate = optional("evaluate", f"`metric` evaluate:{spec}")
        path = user_path(name)
        if path.exists() and "/" not in name:  # the library would run a script with that name here
            raise self._refusal(
                f": the current directory also contains {name}; use ./{name} if you mean that"
            )
        if path.exists():
            name = str(path)
        try:
            # An experiment of its own: concurrent runs would lock each other's files.
            self._metric: Any = evaluate.load(name, experiment_id=uuid.uuid4().hex)
        except (ImportError, OSError, ValueError, RuntimeError, TypeError) as error:
            raise self._refusal(
                f": {first_line(error)}; use a folder, ./NAME or a name on the hub"
            ) from error
        features: Any = self._metric.features
        if isinstance(features, list):
            features = features[0]
        self._single = getattr(features["references"], "dtype", None) == "string"
        same = "the cat sat on the mat"
        if self._value([same], same) < self._value([same], "no dogs here"):
            why = "is higher for worse replies; write a function that returns its negative"
            raise self._refusal(why)

    def _refusal(self, why: str) -> InvalidOption:
        return InvalidOption("metric", f"evaluate:{self._name}", why)

    def __call__(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        """One value per item."""
        pairs = zip(items, texts, strict=True)
        return [self._value(item.references, text.strip()) for item, text in pairs]

    def _value(self, references: list[str], text: str) -> float:
        reference = references[0] if self._single else references
        try:
            result = self._metric.compute(predictions=[text], references=[reference])
        except (ValueError, TypeError) as error:
            why = f"does not accept text ({first_line(error)}); use another one"
            raise self._refusal(why) from error
        return self._number(result)

    def _number(self, result: Mapping[str, Any]) -> float:
        """The value that was asked for, of those that the metric gives."""
        wanted = [self._metric.name, "score"]
        if len(result) == 1:
            wanted += result
        if self._key:
            wanted = [self._key]
        value = next((float(result[key]) for key in wanted if key in result), math.nan)
        if not abs(value) <= LARGEST:
            why = f"returns {', '.join(result)}; select one that is a mean over examples with NAME#VALUE"
            raise self._refusal(why)
        return value
