"""Functions that score the engine: `SearchConfig.utilities`, each ``module:function``."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import math
import numbers
import os
import sys
import time
from contextlib import redirect_stdout
from typing import Any

from pyswarmopt_llm.common.errors import (
    InvalidOption,
    NotFiniteError,
    UserError,
    first_line,
    line_in,
)
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of


class CallableUtility:
    """A user's function of an engine.

    The function takes the engine with a candidate loaded and returns a float or a `Score`, higher
    is better. Its parameter ``split``, if it has one, is ``"dev"`` during the search and ``"test"``
    at the end; without it there is no test score.

    Args:
        spec: ``module:function``; the module may be in the current directory.

    Raises:
        UserError: no such module or function.

    Attributes:
        name: the function's name.
        has_test: whether it takes ``split``.
        fingerprint: SHA-256 (hex) of the module's source, so that resuming detects a changed
            function.
    """

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self._function = _find(spec)
        self.name = spec.partition(":")[2]
        self.has_test = self._takes_split()
        try:
            source = inspect.getsource(sys.modules[spec.partition(":")[0]])
        except (TypeError, OSError):  # compiled
            source = spec
        self.fingerprint = hashlib.sha256(source.encode()).hexdigest()

    def __call__(self, engine: Engine, split: str = "dev") -> Score:
        """The value of the loaded candidate.

        Raises:
            NotFiniteError: the result is NaN or infinite.
            UserError: it is neither a number nor a `Score`. Exceptions of the function are passed
                on.
        """
        with redirect_stdout(sys.stderr):  # stdout is for results, as with `json`
            value = self._function(engine, **({"split": split} if self.has_test else {}))
        if isinstance(value, Score):
            return value
        problem = f"`utility` {self.spec}: returned {value!r}; return a finite float or a Score"
        if not isinstance(value, numbers.Real):
            raise UserError(problem)
        if not math.isfinite(value):
            raise NotFiniteError(problem)
        return score_of([float(value)])

    def try_once(self, engine: Engine) -> float:
        """Seconds that one call takes, with a candidate loaded.

        Raises:
            UserError: what the function raised, and where.
        """
        start = time.perf_counter()
        try:
            self(engine)
        except UserError:
            raise
        except Exception as error:  # whatever the user's code raises
            file = getattr(sys.modules[self.spec.partition(":")[0]], "__file__", None)
            what = f"raised {type(error).__name__} ({first_line(error)}){line_in(error, file)}"
            raise InvalidOption(
                "utility", self.spec, f"{what}; it is called as {self._call}"
            ) from error
        return time.perf_counter() - start

    @property
    def _call(self) -> str:
        return f'{self.name}(engine, split="dev")' if self.has_test else f"{self.name}(engine)"

    def _takes_split(self) -> bool:
        """Whether the function has a parameter ``split``.

        Raises:
            UserError: it cannot be called with an engine.
        """
        try:
            signature = inspect.signature(self._function)
        except (TypeError, ValueError):  # compiled: without a signature
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
    except Exception as error:  # importing runs the user's code
        raise InvalidOption(
            "utility", spec, f"cannot import {module} ({type(error).__name__}: {error})"
        ) from error
    if not callable(function):
        raise InvalidOption("utility", spec, f"{module} has no function {name}")
    return function
