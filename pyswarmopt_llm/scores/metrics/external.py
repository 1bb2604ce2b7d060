"""Scores from elsewhere: a user's Python function (``--metric FILE.py:FUNCTION``), and the metrics
of the Hugging Face `evaluate` library.
"""

from __future__ import annotations

import inspect
import reprlib
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

from pyswarmopt.base.own_file import raised
from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.common.statistics import LARGEST
from pyswarmopt_llm.scores.metrics.metric import Named, Parts
from pyswarmopt_llm.scores.metrics.model import ScoredModel
from pyswarmopt_llm.scores.tasks import Item

ONE = ("prompt", "reply", "item")
BATCH = ("prompts", "replies", "items", "engine")


class ScoreFunction:
    """A user's function of a prompt and a reply, of all prompts and replies of a split, or of the
    model itself.

    Its parameter names decide: some of ``prompt, reply, item`` for a call per reply, or some of
    ``prompts, replies, items, engine`` for a single call. It returns a number, higher is better, or
    named numbers (a dict), which are averaged. A single call returns as many of these as there are
    items, a dict of lists, or one number (or a dict of numbers) for all items together.

    Args:
        spec: its name in the setting, for messages.
        function: the function.

    Attributes:
        reads_replies: whether it needs the model's replies.
        reads_model: whether it needs the model.

    Raises:
        UserError: the function has other parameters.
    """

    def __init__(self, spec: str, function: Any) -> None:
        self._spec = spec
        self._function = function
        parameters: Mapping[str, Any] = {}
        if callable(function):
            parameters = inspect.signature(function).parameters
        self._known: tuple[str, ...] = ONE
        if not parameters.keys().isdisjoint(("replies", "engine")):
            self._known = BATCH
        needed = {name for name, each in parameters.items() if each.default is each.empty}
        self._names = [name for name in self._known if name in parameters]
        self.reads_model = "engine" in self._names
        self.reads_replies = self._known[1] in self._names
        if not (self.reads_model or self.reads_replies) or not needed <= {*self._known}:
            name = spec.rpartition(":")[2]
            forms = " or ".join(f"def {name}({', '.join(form)})" for form in (ONE, BATCH))
            raise self._refusal(f"unsupported parameters ({', '.join(parameters)}); use {forms}")

    def rated(
        self,
        prompts: Sequence[str],
        replies: Sequence[str],
        items: Sequence[Item],
        engine: Engine | None = None,
    ) -> Parts | Named:
        """The named numbers of each item, or of all items together; a single number has the name
        ``""``.

        Args:
            prompts: user turns, without chat template.
            replies: replies, without thoughts; empty if the function does not read them.
            items: items of the prompts: ``question``, ``choices``, ``answer``, ``meta``, ``id``.
            engine: engine with the model loaded; None if the function does not read it.

        Raises:
            InvalidOption: the function raised, or returned something else; names the prompt's
                number and the reply.
        """
        if self._known is ONE:
            return self._one_by_one(prompts, replies, items)
        model = None if engine is None else ScoredModel(engine)
        returned = self._called((list(prompts), list(replies), list(items), model), "")
        if _is_number(returned):
            return self._checked(returned, "")
        if isinstance(returned, Mapping):
            if all(map(_is_number, returned.values())):
                return self._checked(returned, "")
            names = list(returned)
            columns = [self._values(returned[name], len(items)) for name in names]
            returned = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        places = [f"prompt {item.id}: " for item in items]
        if replies:
            places = list(map(_place, replies, items))
        return self._parts(self._values(returned, len(items)), places)

    def _one_by_one(
        self, prompts: Sequence[str], replies: Sequence[str], items: Sequence[Item]
    ) -> Parts:
        """The named numbers of each reply, from a call for each."""
        places = list(map(_place, replies, items))
        rows = zip(prompts, replies, items, strict=True)
        returned = [self._called(row, place) for row, place in zip(rows, places, strict=True)]
        return self._parts(returned, places)

    def _parts(self, values: Sequence[object], places: Sequence[str]) -> Parts:
        """The checked numbers of each item."""
        parts = list(map(self._checked, values, places))
        for row, place in zip(parts, places, strict=True):
            if row.keys() != parts[0].keys():
                raise self._refusal(
                    f"{place}got the names {', '.join(row)}; return the same names for all replies"
                )
        return parts

    def _values(self, returned: Any, count: int) -> list[Any]:
        """What the function returned, as a list with a value for each item."""
        values = None
        if not isinstance(returned, str):
            with suppress(TypeError):
                values = list(returned)
        if values is None:
            why = "return a list with one value per reply, or one number for all replies"
            raise self._refusal(f"got {reprlib.repr(returned)}; {why}")
        if len(values) != count:
            why = f"got {len(values)} values for {count} replies; return one per reply, or one number for all"
            raise self._refusal(why)
        return values

    def _refusal(self, why: str) -> InvalidOption:
        return InvalidOption("metric", self._spec, f": {why}")

    def _called(self, arguments: Sequence[Any], place: str) -> Any:
        """What a call of the user's function returns; what it prints goes to stderr, since stdout is
        for results.

        Raises:
            InvalidOption: it raised anything but an interrupt or an error of the model; `place`
                starts the message.
        """
        given = dict(zip(self._known, arguments, strict=True))
        try:
            with redirect_stdout(sys.stderr):
                value = self._function(**{name: given[name] for name in self._names})
                return list(value) if isinstance(value, Iterator) else value
        except (KeyboardInterrupt, UserError):
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


def _place(reply: str, item: Item) -> str:
    """The beginning of a message about a reply."""
    return f"prompt {item.id}, reply {reprlib.repr(reply)}: "


def _is_number(value: Any) -> bool:
    """Whether a value is one number: of Python, or an array or tensor without dimensions."""
    return isinstance(value, Real) or getattr(value, "shape", None) == ()


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
