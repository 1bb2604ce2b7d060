"""Other libraries, loaded on use: `pyswarmopt.interop.nevergrad`, `.optuna`, `.pycma`
and `.sklearn`.
"""

from __future__ import annotations

import importlib
from typing import Any

from pyswarmopt.base.arrays import needing_torch

__all__ = ["nevergrad", "optuna", "pycma", "sklearn"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; there is {', '.join(__all__)}"
        )
    with needing_torch(f"{__name__}.{name}"):
        return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return __all__
