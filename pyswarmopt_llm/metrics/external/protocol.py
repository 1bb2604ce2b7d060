"""Objectives without items: Python functions and tasks of lm-evaluation-harness."""

from __future__ import annotations

from typing import Protocol

from pyswarmopt_llm.common.interfaces import Engine, Score


class External(Protocol):
    """An objective that scores an engine by itself.

    Attributes:
        name: name in tables and journals.
        fingerprint: changes if the questions or their scoring change.
    """

    name: str
    fingerprint: str

    @property
    def has_test(self) -> bool:
        """Whether there is a held-out split."""

    def __call__(self, engine: Engine, split: str = "dev") -> Score:
        """The score of the loaded candidate on ``dev`` or ``test``."""
