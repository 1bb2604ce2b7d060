"""The texts of the lesson, and the files beside this one."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

STORED = "recorded.json.gz"


def read(name: str) -> str:
    """The text of a file of this folder."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


_TEXTS = tomllib.loads(read("chapters.toml"))
CHAPTERS: list[dict[str, Any]] = _TEXTS["chapters"]
TEST: list[dict[str, Any]] = _TEXTS["test"]

__all__ = ["CHAPTERS", "STORED", "TEST", "read"]
