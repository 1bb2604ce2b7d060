"""Adapters for other libraries, loaded on use: `pyswarmopt.interop.nevergrad`, `.optuna` and
`.sklearn`.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["nevergrad", "optuna", "sklearn"]
__dir__ = __all__.copy


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; use {', '.join(__all__)}"
        )
    return importlib.import_module(f"{__name__}.{name}")
