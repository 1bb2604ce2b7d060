"""Scores from elsewhere: a user's Python function (``--metric FILE.py:FUNCTION``), and the metrics
of the Hugging Face `evaluate` library.
"""

from __future__ import annotations

import inspect
import reprlib
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from pyswarmopt.base.own_file import raised
from pyswarmopt_llm.common.errors import InvalidOption, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.regular import user_path
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
        spec: its name in the setting, for messages.
        function: the function.

    Raises:
        UserError: the function has other parameters.
    """

    def __init__(self, spec: str, function: Any) -> None:
        self._spec = spec
        self._function = function
        parameters: Mapping[str, Any] = {}
        if callable(function):
            parameters = inspect.signature(function).parameters
        self._known = ONE
        if "replies" in parameters:
            self._known = BATCH
        needed = {name for name, each in parameters.items() if each.default is each.empty}
        self._names = [name for name in self._known if name in parameters]
        if self._known[1] not in self._names or not needed <= {*self._known}:
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
        calls: list[tuple[Sequence[Any], str]] = [
            (row, f"prompt {row[2].id}, reply {reprlib.repr(row[1])}: ")
            for row in zip(prompts, replies, items, strict=True)
        ]
        places = [place for _, place in calls]
        if self._known is BATCH:
            calls = [((list(prompts), list(replies), list(items)), "")]
        returned = [value for call in calls for value in self._called(*call)]
        if len(returned) != len(places):
            why = f"got {len(returned)} values for {len(places)} replies; return one per reply"
            raise self._refusal(why)
        parts = list(map(self._checked, returned, places))
        for row, place in zip(parts, places, strict=True):
            if row.keys() != parts[0].keys():
                raise self._refusal(
                    f"{place}got the names {', '.join(row)}; return the same names for all replies"
                )
        return parts

    def _refusal(self, why: str) -> InvalidOption:
        return InvalidOption("metric", self._spec, f": {why}")

    def _called(self, arguments: Sequence[Any], place: str) -> list[Any]:
        """The values of a call of the user's function; what it prints goes to stderr, since stdout is
        for results.

        Raises:
            InvalidOption: it raised anything but an interrupt; `place` starts the message.
        """
        given = dict(zip(self._known, arguments, strict=True))
        try:
            with redirect_stdout(sys.stderr):
                value = self._function(**{name: given[name] for name in self._names})
                if self._known is ONE:
                    return [value]
                if isinstance(value, str | Mapping):
                    raise TypeError("expected a list with one value per reply")
                return list(value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            code = getattr(self._function, "__code__", None)
            why = raised(error, Path(getattr(code, "co_filename", "")))
            raise self._refusal(f"{place}the function raised {why}; fix it") from error

    def _checked(self, value: object, place: str) -> dict[str, float]:
        """A returned value as named numbers; a one-element tensor of any library is a number."""
        named: Mapping[Any, Any] = {"": value}
        if isinstance(value, Mapping):
            named = value
        try:
            # not of a text, such as "0.5": it has no sum with 0
            parts = {str(name): float(part + 0) for name, part in named.items()}
        except (TypeError, ValueError, RuntimeError, OverflowError):
            parts = {}
        if not parts or not sum(map(abs, parts.values())) <= LARGEST:
            why = f"return a finite number (at most {LARGEST:g}) or a dict of such numbers"
            raise self._refusal(f"{place}got {reprlib.repr(value)}; {why}")
        return parts


def evaluate_metric(spec: str) -> ScoreFunction:
    """An `evaluate` metric, computed item by item, so that its standard error is known.

    For a metric that is a mean over items (exact match, ROUGE, METEOR, SARI, ...) the mean equals
    the library's value. Corpus-level metrics (such as Matthews correlation) and metrics that do not
    take texts are refused.

    Args:
        spec: folder with a metric's script (works offline) or hub name; ``rouge#rougeL`` selects
            one of several values (default: the value with the metric's name, or the only one).

    Raises:
        UserError: `evaluate` is not installed, the metric cannot be loaded, or counts errors.
    """
    setting = f"evaluate:{spec}"
    evaluate = optional("evaluate", f"`metric` {setting}")
    name, _, key = spec.partition("#")
    path = user_path(name)
    if path.exists():
        if "/" not in name:  # the library would run a script with that name here
            why = f": the current directory also contains {name}; use ./{name} if you mean that"
            raise InvalidOption("metric", setting, why)
        name = str(path)
    same = Item("", "", None, "the cat sat on the mat")
    try:
        # An experiment of its own: concurrent runs would lock each other's files.
        metric = evaluate.load(name, experiment_id=uuid.uuid4().hex)
        score = partial(_value, metric, key)
        falls = score(same.answer, same) < score("no dogs here", same)
    except (ImportError, OSError, ValueError, RuntimeError, TypeError) as error:
        why = f": {first_line(error)}; use another metric, a folder, ./NAME or a name on the hub"
        raise InvalidOption("metric", setting, why) from error
    if falls:
        why = "is higher for worse replies; write a function that returns its negative"
        raise InvalidOption("metric", setting, why)
    return ScoreFunction(setting, score)


def _value(metric: Any, key: str, reply: str, item: Item) -> float:
    """The value of an `evaluate` metric with this name, or with the metric's own, or its only one.

    A metric that takes lists of references gets all references of an item; a metric that takes one
    reference gets the first.
    """
    features = metric.features
    if isinstance(features, list):
        features = features[0]
    references: Any = item.references
    if getattr(features["references"], "dtype", None) == "string":
        references = references[0]
    result = metric.compute(predictions=[reply.strip()], references=[references])
    wanted = [key or metric.name, key or "score"]
    if not key and len(result) == 1:
        wanted = [*result]
    for name in wanted:
        if name in result:
            return float(result[name])
    why = f"it returns {', '.join(result)}; select one that is a mean over examples with NAME#VALUE"
    raise ValueError(why)
