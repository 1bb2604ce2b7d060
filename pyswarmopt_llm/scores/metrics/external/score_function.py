"""A user's Python functions that score written replies (``--metric FILE.py:FUNCTION``), or an
engine (`SearchConfig.utilities`, each ``module:function``).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import math
import numbers
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import InvalidOption, NotFiniteError, UserError, first_line
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.own import fingerprint, here
from pyswarmopt_llm.common.statistics import LARGEST, score_of
from pyswarmopt_llm.scores.metrics.accuracy import at
from pyswarmopt_llm.scores.metrics.written import Written, means_of_items
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.stated import without_thoughts

ONE = ("prompt", "reply", "item")
BATCH = ("prompts", "replies", "items")
_SHOWN = 40  # most characters of a prompt in a message
_SHOWN_OF_REPLY = 160  # most characters of a reply, which may show what to correct
_GIVE = "give FILE.py:FUNCTION"
Parts = list[dict[str, float]]


class ScoreFunction:
    """A user's function of a prompt and a reply, or of all prompts and replies of a split.

    Its parameter names decide: some of ``prompt, reply, item`` for a call per reply, or some of
    ``prompts, replies, items`` for a single call. It returns a number, higher is better, or named
    numbers (a dict), which are averaged; for a whole split a list of these.

    Args:
        spec: ``FILE.py:FUNCTION``, whose file is executed and may import modules beside it; or the
            name of a function in this process or in a package, see `own.here`.

    Raises:
        InvalidOption: no such file or function, or it has other parameters.

    Attributes:
        fingerprint: SHA-256 (hex) of the file and what it imports from beside it, so that resuming
            notices a changed function.
    """

    def __init__(self, spec: str) -> None:
        self._spec = spec
        file, _, name = spec.rpartition(":")
        self._folder = os.getcwd()
        self._function: Any = here("metric", spec)
        remedy = _GIVE
        self.fingerprint = fingerprint(spec)
        if self._function is None:
            self._file = self._found(file)
            module = self._run_file()
            self._function = getattr(module, name, None)
            remedy = _nearest(name, module)
        else:
            code = getattr(self._function, "__code__", None)
            self._file = Path(getattr(code, "co_filename", ""))
        if not callable(self._function):
            raise self._refusal(f"{self._file.name} has no function {name}; {remedy}")
        self._parameters = self._named(name)

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

    def _found(self, file: str) -> Path:
        """The file that contains the function."""
        if not file:
            raise self._refusal(f"names no function; {_GIVE}")
        path = user_path(file)
        if not path.is_file():
            raise self._refusal(f"no such file; {_GIVE}")
        return path.resolve()

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
        with self._own_code(location):
            value = self._function(**{name: arguments[name] for name in self._parameters})
            return list(value) if isinstance(value, Iterator) else value

    @contextmanager
    def _own_code(self, location: str | None) -> Iterator[None]:
        """Run the user's code. It may print and change its own working directory; its output goes
        to stderr, since stdout is for results. `location` starts messages; None: an import.

        Raises:
            InvalidOption: the code raised anything but an interrupt.
        """
        try:
            with chdir(self._folder), redirect_stdout(sys.stderr):
                yield
                self._folder = os.getcwd()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            kind = type(error).__name__
            line = _line_in(error, str(self._file))
            what = f"{location}raised {kind} ({first_line(error)}){line}"
            remedy = "correct it"
            if location is None:
                what = f"cannot be imported ({kind}: {first_line(error)}{line})"
            elif location:
                remedy = "correct it, or return 0.0 for a reply that cannot be read"
            raise self._refusal(f"{what}; {remedy}") from error

    def _checked(self, value: object, location: str) -> dict[str, float]:
        """A returned value as named numbers."""
        named = value if isinstance(value, Mapping) else {"": value}
        parts = {str(name): _number(part) for name, part in named.items()}
        if not parts or not sum(map(abs, parts.values())) <= LARGEST:
            returned = f"{location}returned {_short(value)}"
            remedy = f"return a finite number (at most {LARGEST:g}), or a dict of them"
            raise self._refusal(f"{returned}; {remedy}")
        return parts

    def _run_file(self) -> ModuleType:
        """The file as a module; as for a script, imports are searched in its folder."""
        folder = str(self._file.parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        name = f"swarm_llm_score_{self.fingerprint[:12]}"
        spec = importlib.util.spec_from_file_location(name, self._file)
        if spec is None or spec.loader is None:
            raise self._refusal(f"cannot be imported; {_GIVE}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pickle look for it here
        with self._own_code(None):
            spec.loader.exec_module(module)
        return module

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


class CallableUtility:
    """A user's function of an engine.

    The function takes the engine with a candidate loaded and returns a float or a `Score`, higher
    is better. An optional parameter ``split`` is ``"dev"`` during the search and ``"test"`` at the
    end; without it there is no test score.

    Args:
        spec: ``module:function``; the module may be in the current directory.

    Raises:
        UserError: no such module or function.

    Attributes:
        name: name of the function.
        has_test: whether the function takes ``split``.
        fingerprint: SHA-256 (hex) of the module's source, so that resuming detects a changed
            function.
    """

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self._function = here("utilities", spec) or _find(spec)
        self.name = spec.partition(":")[2]
        self.has_test = self._takes_split()
        module = sys.modules.get(spec.partition(":")[0])
        try:
            source = inspect.getsource(self._function if module is None else module)
        except (TypeError, OSError):  # compiled
            source = spec
        self.fingerprint = hashlib.sha256(source.encode()).hexdigest()

    def __call__(self, engine: Engine, split: str = "dev") -> Score:
        """The value of the loaded candidate.

        Raises:
            NotFiniteError: the result is NaN or infinite.
            UserError: the result is neither a number nor a `Score`. The function's exceptions are
                passed on.
        """
        with redirect_stdout(sys.stderr):  # stdout is for results, as with `json`
            value = self._function(engine, **({"split": split} if self.has_test else {}))
        if isinstance(value, Score):
            return value
        problem = f"`utility` {self.spec}: returned {value!r}; return a finite float (at most {LARGEST:g}) or a Score"
        if not isinstance(value, numbers.Real):
            raise UserError(problem)
        if not abs(cast(float, value)) <= LARGEST:
            raise NotFiniteError(problem)
        return score_of([float(value)])

    def _takes_split(self) -> bool:
        """Whether the function has a parameter ``split``.

        Raises:
            UserError: the function cannot be called with an engine.
        """
        try:
            signature = inspect.signature(self._function)
        except (TypeError, ValueError):  # compiled functions may have no signature
            return False
        takes = "split" in signature.parameters
        try:
            signature.bind("engine", **({"split": "dev"} if takes else {}))
        except TypeError as error:
            remedy = f'write def {self.name}(engine, split="dev")'
            raise InvalidOption(
                "utility", self.spec, f"takes {signature}, not an engine alone; {remedy}"
            ) from error
        return takes


def _find(spec: str) -> Any:
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise InvalidOption("utility", spec, "not of the form module:function")
    here = os.getcwd()
    if here not in sys.path:  # as `python -m` does; a console script does not
        sys.path.insert(0, here)
    try:
        with redirect_stdout(sys.stderr):
            function = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # importing executes the user's code
        raise InvalidOption(
            "utility", spec, f"cannot import {module} ({type(error).__name__}: {error})"
        ) from error
    if not callable(function):
        raise InvalidOption("utility", spec, f"{module} has no function {name}")
    return function


def _nearest(name: str, module: ModuleType) -> str:
    """What to give instead of a function that a file does not have."""
    functions = [key for key, value in vars(module).items() if callable(value)]
    return did_you_mean(name, functions, _GIVE)


def _line_in(error: BaseException, file: str | None) -> str:
    """The line of a user's file in an exception's traceback, to end a clause; "" if there is none."""
    if isinstance(error, SyntaxError):
        return f" in line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f" in line {lines[-1]} of {os.path.basename(file)}" if file and lines else ""
