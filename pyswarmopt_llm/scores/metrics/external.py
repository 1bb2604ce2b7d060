"""Scores from elsewhere: a user's Python function (``--metric FILE.py:FUNCTION``), and the metrics
of the Hugging Face `evaluate` library.
"""

from __future__ import annotations

import inspect
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

from pyswarmopt.base.own_file import raised
from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.own import fingerprint, own
from pyswarmopt_llm.common.statistics import LARGEST
from pyswarmopt_llm.scores.metrics.metric import Parts
from pyswarmopt_llm.scores.tasks import Item

ONE = ("prompt", "reply", "item")
BATCH = ("prompts", "replies", "items")
_SHOWN = 40  # most characters of a prompt in a message
_SHOWN_OF_REPLY = 160  # most characters of a reply, which may show what to correct


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
            columns = (list(prompts), list(replies), list(items))
            values = self._call(dict(zip(BATCH, columns, strict=True)))
            returned = self._listed(values, len(replies))
        else:
            returned = [
                self._call(dict(zip(ONE, row, strict=True)), location)
                for *row, location in zip(prompts, replies, items, locations, strict=True)
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
        whole = isinstance(values, str | Mapping) or getattr(values, "shape", None) == ()
        if whole or not hasattr(values, "__iter__"):
            raise self._refusal(f"returned {_short(values)}; return a list, a value per reply")
        listed = list(values)
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

    def _named(self, name: str) -> list[str]:
        """Names of the parameters to pass."""
        parameters = inspect.signature(self._function).parameters.values()
        known = (*ONE, *BATCH)
        names = [each.name for each in parameters if each.name in known]
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        needed = [p for p in parameters if p.default is p.empty and p.kind not in variadic]
        of_one = "reply" in names and set(names) <= set(ONE)
        of_all = "replies" in names and set(names) <= set(BATCH)
        if not (of_one or of_all) or any(each.name not in known for each in needed):
            forms = " or ".join(f"def {name}({', '.join(form)})" for form in (ONE, BATCH))
            takes = ", ".join(each.name for each in parameters)
            raise self._refusal(f"takes ({takes}); write {forms}")
        return names


def function_metric(spec: str, cache: Path | None, device: str) -> dict[str, Any]:
    """The metric ``FILE.py:FUNCTION``; see `ReplyMetric.load`."""
    function = ScoreFunction(spec)
    return {"prompted": True, "rate": function.parts, "fingerprint": function.fingerprint}


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


class EvaluateMetric:
    """An `evaluate` metric, computed item by item, so that its standard error is known.

    For a metric that is a mean over items (exact match, ROUGE, METEOR, SARI, ...) the mean equals
    the library's value. Corpus-level metrics (such as Matthews correlation) are refused. A metric
    of lists of references gets all of an item's, a metric of single references the first.

    Args:
        spec: folder with a metric's script (works offline) or hub name; ``rouge#rougeL`` selects
            one of several values (default: the value with the metric's name, or the only one).

    Raises:
        UserError: `evaluate` is not installed, or the metric cannot be loaded.
    """

    def __init__(self, spec: str) -> None:
        name, _, self._key = spec.partition("#")
        self._name = spec
        evaluate = optional("evaluate", f"`metric` evaluate:{spec}")
        path = user_path(name)
        if path.exists() and os.sep not in name:
            # Otherwise the library would run a script with that name here.
            raise self._refusal(f"there is also a {name} here; write ./{name} if you mean that")
        try:
            # A separate cache: concurrent runs would lock each other's files.
            self._cache = tempfile.TemporaryDirectory(prefix="swarm-llm-evaluate-")
            self._metric: Any = evaluate.load(
                str(path) if path.exists() else name, cache_dir=self._cache.name
            )
        except (ImportError, OSError, ValueError, RuntimeError, TypeError) as error:
            why = first_line(error).rstrip(".")
            raise self._refusal(f"{why}; give a metric's folder, or its name online") from error
        self._refuse_errors()

    def _refusal(self, why: str) -> InvalidOption:
        return InvalidOption("metric", f"evaluate:{self._name}", why)

    def _refuse_errors(self) -> None:
        """Refuse a metric that counts errors, as word error rates do: a search makes it larger.

        Raises:
            InvalidOption: a wrong reply has more than the right one.
        """
        try:
            right = self._value(["the cat sat on the mat"], "the cat sat on the mat")
            wrong = self._value(["the cat sat on the mat"], "no dogs here")
        except UserError:  # it takes other texts than these
            return
        if right < wrong:
            why = "is larger for worse replies; write a function that returns its negative"
            raise self._refusal(why)

    def __call__(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        """One value per item."""
        return [
            self._value(item.references, text.strip())
            for item, text in zip(items, texts, strict=True)
        ]

    def _value(self, references: list[str], text: str) -> float:
        # Some metrics take one reference per item, others a list, SQuAD's its own records.
        answers = {"text": references, "answer_start": [0] * len(references)}
        squad = ({"id": "1", "prediction_text": text}, {"id": "1", "answers": answers})
        for prediction, reference in ((text, references[0]), (text, references), squad):
            try:
                result = self._metric.compute(predictions=[prediction], references=[reference])
            except (ValueError, TypeError) as error:
                problem = error
                continue
            return self._number(result)
        raise self._refusal(f"does not take texts ({first_line(problem)}); use another")

    def _number(self, result: Mapping[str, Any]) -> float:
        """The value that was asked for, of those that the metric gives."""
        wanted = [self._key] if self._key else [self._metric.name, "score"]
        if not self._key and len(result) == 1:
            wanted = list(result)
        found = [key for key in wanted if key in result]
        if not found:
            names = f"gives {', '.join(result)}; say which: evaluate:{self._metric.name}#NAME"
            raise self._refusal(names)
        value = float(result[found[0]])
        if not abs(value) <= LARGEST:
            why = f"gives {value} for one example; use a metric that is a mean over examples"
            raise self._refusal(why)
        return value


def evaluate_metric(spec: str, cache: Path | None, device: str) -> dict[str, Any]:
    """The metric ``evaluate:NAME``; see `ReplyMetric.load`."""
    return {"rate": EvaluateMetric(spec.partition(":")[2])}
