"""Adapters for other libraries, loaded on use: `pyswarmopt.interop.nevergrad`, `.optuna` and
`.sklearn`.
"""

from __future__ import annotations

import importlib
from typing import Any

from pyswarmopt.base.arrays import needing

_NEEDS = {
    "nevergrad": ("nevergrad", "install the extra 'nevergrad'"),
    "optuna": ("optuna", "pip install optuna"),
    "sklearn": ("sklearn", "install the extra 'scikit-learn'"),
}

__all__ = ["nevergrad", "optuna", "sklearn"]
__dir__ = __all__.copy


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; use {', '.join(__all__)}"
        )
    package, cure = _NEEDS[name]
    with needing(package, f"pyswarmopt.interop.{name}", cure):
        return importlib.import_module(f"{__name__}.{name}")
