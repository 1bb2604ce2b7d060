"""Optional dependencies, imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pyswarmopt_llm.common.errors import UserError


def optional(module: str, who: str, package: str, extra: str) -> Any:
    """The imported module of an optional dependency.

    Args:
        module: dotted name.
        who: what needs it, for the message.
        package: name of the distribution.
        extra: of `pyswarmopt` that installs it.

    Raises:
        UserError: it is not installed.

    Example:
        >>> optional("nowhere", "--metric nowhere", "nowhere-lib", "llm")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: --metric nowhere needs nowhere-lib: pip install "pyswarmopt[llm]"
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(f'{who} needs {package}: pip install "pyswarmopt[{extra}]"') from error
