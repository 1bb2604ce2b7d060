"""Modules of the laboratory, whose scripts import each other by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESEARCH = Path(__file__).parents[1]


@contextmanager
def importing(*folders: str) -> Iterator[None]:
    """Import from these folders of research/ first; from none of them afterwards."""
    before = list(sys.path)
    sys.path[:0] = [str(RESEARCH / folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before
