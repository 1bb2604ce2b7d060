"""``--utility module:function``: custom objectives."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import math
import numbers
import os
import sys
from typing import Any

from pyswarmopt_llm.common.errors import NotFiniteError, UserError
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of


class CallableUtility:
    """A user's function of an engine.

    The function takes the engine with a candidate loaded and returns a float or a `Score`, higher is better. Its
    parameter ``split``, if it has one, is ``"dev"`` during the search and ``"test"`` at the end; without it there is no
    test score.

    Args:
        spec: ``module:function``; the module may be in the current directory.

    Raises:
        UserError: no such module or function.

    Attributes:
        name: the function's name.
        has_test: whether it takes ``split``.
        fingerprint: SHA-256 (hex) of the module's source, so that resuming detects a changed function.
    """

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self._function = _find(spec)
        self.name = spec.partition(":")[2]
        try:
            self.has_test = "split" in inspect.signature(self._function).parameters
            source = inspect.getsource(sys.modules[spec.partition(":")[0]])
        except (TypeError, ValueError, OSError):  # compiled: no signature, or no source
            self.has_test, source = False, spec
        self.fingerprint = hashlib.sha256(source.encode()).hexdigest()

    def __call__(self, engine: Engine, split: str = "dev") -> Score:
        """The value of the loaded candidate.

        Raises:
            NotFiniteError: the result is NaN or infinite.
            UserError: it is neither a number nor a `Score`. Exceptions of the function are passed on.
        """
        found = self._function(engine, split=split) if self.has_test else self._function(engine)
        if isinstance(found, Score):
            return found
        problem = f"--utility {self.spec}: returned {found!r}; return a finite float or a Score"
        if not isinstance(found, numbers.Real):
            raise UserError(problem)
        if not math.isfinite(found):
            raise NotFiniteError(problem)
        return score_of([float(found)])


def _find(spec: str) -> Any:
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise UserError(f"--utility {spec}: not of the form module:function")
    here = os.getcwd()
    if here not in sys.path:  # as `python -m` does; a console script does not
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # importing runs the user's code
        raise UserError(f"--utility {spec}: cannot import {module} ({type(error).__name__}: {error})") from error
    if not callable(found):
        raise UserError(f"--utility {spec}: {module} has no function {name}")
    return found
