"""Linear algebra on one thread: small matrices lose more time by waiting than threads save."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

BUNDLED = ("numpy", "scipy")  # their wheels bring OpenBLAS along, in a folder beside the package
NAMES = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")

_lock = threading.Lock()
_inside = 0  # uses of `one_thread` at the moment, in all Python threads
_before: list[tuple[Any, int]] = []  # what sets a library's threads, and how many it had before


@contextmanager
def one_thread() -> Iterator[None]:
    """Let the OpenBLAS libraries of NumPy and SciPy use one thread in this block.

    Other builds of NumPy are left as they are.

    Example:
        >>> import numpy as np
        >>> with one_thread():
        ...     np.linalg.inv(np.eye(2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    global _inside, _before
    with _lock:
        if not _inside:
            _before = [(set_threads, get_threads()) for get_threads, set_threads in _libraries()]
            for set_threads, _ in _before:
                set_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                for set_threads, count in _before:
                    set_threads(count)


def _libraries() -> list[tuple[Any, Any]]:
    """The functions that return and set the number of threads, of each library that is loaded."""
    loaded = [package for package in BUNDLED if package in sys.modules]
    return [functions for package in loaded for functions in _openblas(package)]


@cache
def _openblas(package: str) -> list[tuple[Any, Any]]:
    file = sys.modules[package].__file__
    if file is None:
        return []
    folder = Path(file).parent
    of_mac = folder.glob(".dylibs/*openblas*")
    for path in [*folder.parent.glob(f"{package}.libs/*openblas*"), *of_mac]:
        library = ctypes.CDLL(str(path))
        for name in NAMES:
            if hasattr(library, name.format("set_num_threads")):
                get_threads = getattr(library, name.format("get_num_threads"))
                return [(get_threads, getattr(library, name.format("set_num_threads")))]
    return []
