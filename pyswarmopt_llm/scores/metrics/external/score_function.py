"""``--metric FILE.py:FUNCTION``: written replies scored by a Python function of the user's."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import replace
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import InvalidOption, first_line, line_in
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.accuracy import at
from pyswarmopt_llm.scores.metrics.questions.written import Chat, Written, means_of_items
from pyswarmopt_llm.scores.tasks import Item, render_prompt

if TYPE_CHECKING:
    from pyswarmopt_llm.scores.metrics.questions.sampling import Sampling

ONE, BATCH = ("prompt", "reply", "item"), ("prompts", "replies", "items")
_SHOWN = 40  # characters of a prompt in a message


class ScoreFunction:
    """A user's function of a prompt and a reply, or of all prompts and replies of a split.

    The names of its parameters say which: some of ``prompt, reply, item``, called for each reply,
    or some of ``prompts, replies, items``, called once. It returns a number, higher is better, or
    named numbers (a dict), of which the mean is taken; for a whole split a list of these.

    Args:
        spec: ``FILE.py:FUNCTION``. The file is run; it may import modules beside it.

    Raises:
        InvalidOption: no such file or function, or one with other parameters.

    Attributes:
        fingerprint: SHA-256 (hex) of the file, so that resuming notices a changed function.
    """

    def __init__(self, spec: str) -> None:
        self._spec = spec
        file, _, self._name = spec.rpartition(":")
        if not file:
            raise InvalidOption("metric", spec, "names no function; give FILE.py:FUNCTION")
        path = user_path(file)
        if not path.is_file():
            raise InvalidOption("metric", spec, "no such file; give FILE.py:FUNCTION")
        self._file, self._folder = path.resolve(), os.getcwd()
        self.fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
        self._function: Any = getattr(self._run_file(), self._name, None)
        if not callable(self._function):
            raise InvalidOption(
                "metric", spec, f"{path.name} has no function {self._name}; give FILE.py:FUNCTION"
            )
        self._parameters = self._named()

    @property
    def _of_all(self) -> bool:
        """Whether it is called once for all replies."""
        return "replies" in self._parameters

    def scores(
        self, prompts: Sequence[str], replies: Sequence[str], items: Sequence[Item]
    ) -> list[float]:
        """The value of each reply.

        Args:
            prompts: what the model was asked, without its chat template.
            replies: what it wrote.
            items: where the prompts come from: ``question``, ``choices``, ``answer``, ``meta``,
                ``id``.

        Raises:
            InvalidOption: the function raised, or returned something else; with the number of the
                prompt.
        """
        return means(self.parts(prompts, replies, items))

    def parts(
        self, prompts: Sequence[str], replies: Sequence[str], items: Sequence[Item]
    ) -> list[dict[str, float]]:
        """The named numbers of each reply; a single number is called ``""``. Arguments and errors
        as for `scores`.
        """
        returned = self._returned(prompts, replies, items)
        parts = [
            self._checked(value, self._place(prompt, item))
            for value, prompt, item in zip(returned, prompts, items, strict=True)
        ]
        for row, prompt, item in zip(parts, prompts, items, strict=True):
            if row.keys() != parts[0].keys():
                names, first = (", ".join(part) or "one number" for part in (row, parts[0]))
                why = (
                    f"returned {names}, but {first} for the first; return the same names for "
                    "every prompt"
                )
                raise InvalidOption("metric", self._spec, f"{self._place(prompt, item)}: {why}")
        return parts

    def _returned(
        self, prompts: Sequence[str], replies: Sequence[str], items: Sequence[Item]
    ) -> list[Any]:
        """The function's values, one for each reply."""
        if not self._of_all:
            return [
                self._call(dict(zip(ONE, row, strict=True)))
                for row in zip(prompts, replies, items, strict=True)
            ]
        values = self._call(dict(zip(BATCH, map(list, (prompts, replies, items)), strict=True)))
        try:
            listed = None if isinstance(values, str | Mapping) else list(values)
        except TypeError:  # a number, a tensor without dimensions
            listed = None
        if listed is None:
            raise InvalidOption(
                "metric", self._spec, f"returned {_short(values)}; return a list, a value per reply"
            )
        if len(listed) != len(replies):
            returned = counted(len(listed), "value")
            why = f"returned {returned} for {len(replies)} replies; return one for each"
            raise InvalidOption("metric", self._spec, why)
        return listed

    def _call(self, arguments: Mapping[str, Any]) -> Any:
        try:
            with self._own_place():
                value = self._function(**{name: arguments[name] for name in self._parameters})
                return list(value) if isinstance(value, Iterator) else value
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever the user's code raises
            what = f"raised {type(error).__name__} ({first_line(error)}){line_in(error, str(self._file))}"
            place = (
                "" if self._of_all else f"{self._place(arguments['prompt'], arguments['item'])}: "
            )
            raise InvalidOption("metric", self._spec, f"{place}{what}; correct it") from error

    @contextmanager
    def _own_place(self) -> Iterator[None]:
        """Where the user's code runs: it may change the working directory, which is its own, and
        print; stdout is for results, as with `json`.
        """
        with chdir(self._folder), redirect_stdout(sys.stderr):
            yield
            self._folder = os.getcwd()

    def _checked(self, value: object, place: str) -> dict[str, float]:
        """The named numbers that one value stands for."""
        named = value if isinstance(value, Mapping) else {"": value}
        parts = {str(name): _number(part) for name, part in named.items()}
        if not parts or not math.isfinite(sum(parts.values())):
            why = f"{place}: returned {_short(value)}; return a finite number, or a dict of them"
            raise InvalidOption("metric", self._spec, why)
        return parts

    def _place(self, prompt: str, item: Item) -> str:
        return f"prompt {item.id} ({_short(prompt)})"

    def _run_file(self) -> ModuleType:
        """The file as a module. Its folder is searched for what it imports, as for a script."""
        folder = str(self._file.parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        name = f"swarm_llm_score_{self.fingerprint[:12]}"
        spec = importlib.util.spec_from_file_location(name, self._file)
        if spec is None or spec.loader is None:
            raise InvalidOption("metric", self._spec, "cannot be imported; give FILE.py:FUNCTION")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where dataclasses and pickle look for it
        try:
            with self._own_place():
                spec.loader.exec_module(module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # importing runs the user's code
            what = f"{type(error).__name__}: {first_line(error)}{line_in(error, str(self._file))}"
            raise InvalidOption(
                "metric", self._spec, f"cannot be imported ({what}); correct it"
            ) from error
        return module

    def _named(self) -> tuple[str, ...]:
        """The parameters that the function is called with."""
        try:
            parameters = inspect.signature(self._function).parameters.values()
        except (TypeError, ValueError):  # compiled: without a signature
            return ONE
        names = tuple(p.name for p in parameters if p.kind in _BY_NAME and p.name in (*ONE, *BATCH))
        needed = {p.name for p in parameters if p.default is p.empty and p.kind not in _VARIADIC}
        of_one = "reply" in names and {*names} <= {*ONE}
        of_all = "replies" in names and {*names} <= {*BATCH}
        if not (of_one or of_all) or not needed <= {*names}:
            forms = " or ".join(f"def {self._name}({', '.join(form)})" for form in (ONE, BATCH))
            takes = f"takes ({', '.join(p.name for p in parameters)})"
            raise InvalidOption("metric", self._spec, f"{takes}; write {forms}")
        return names


class FunctionUtility(Written):
    """A `Utility`: replies scored by a `ScoreFunction`; the score has its named numbers, too.

    Args:
        function: scores.
        items: hold the prompts.
        chat: formats a user turn with the model's chat template.
        template: the task's prompt, see `render_prompt`.
        max_new_tokens: longest reply.
        sampling: see `Written`.
    """

    def __init__(
        self,
        function: ScoreFunction,
        items: Sequence[Item],
        chat: Chat,
        template: str | None,
        max_new_tokens: int,
        sampling: Sampling | None = None,
    ) -> None:
        super().__init__(items, self._scores, chat, template, max_new_tokens, sampling=sampling)
        self._function, self._template = function, template

    def score_samples(
        self, samples: Sequence[Sequence[str]], places: Sequence[int] | None = None
    ) -> Score:
        """See `Written`."""
        scored = [self._parts(at(self.items, places), replies) for replies in samples]
        rows = list(chain.from_iterable(scored))
        named = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0] if name}
        return replace(score_of(means_of_items([means(parts) for parts in scored])), named=named)

    def _scores(self, items: Sequence[Item], replies: Sequence[str]) -> list[float]:
        return means(self._parts(items, replies))

    def _parts(self, items: Sequence[Item], replies: Sequence[str]) -> list[dict[str, float]]:
        """The named numbers of each reply."""
        turns = [render_prompt(item, "generate", self._template) for item in items]
        return self._function.parts(turns, replies, items)


def means(parts: Sequence[Mapping[str, float]]) -> list[float]:
    """The mean of the named numbers of each reply.

    Example:
        >>> means([{"short": 1.0, "polite": 0.0}, {"short": 1.0, "polite": 1.0}])
        [0.5, 1.0]
    """
    return [sum(row.values()) / len(row) for row in parts]


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _number(value: Any) -> float:
    """A value of any library's type, as a tensor of one element, as a float; NaN if it is none.

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


def _short(value: object) -> str:
    """A value on one line, cut off where it is long.

    Example:
        >>> _short("a" * 99)
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"
    """
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
