"""Objectives that bring their own questions: a user's function, a task of lm-evaluation-harness."""

from __future__ import annotations

from typing import Protocol

from pyswarmopt_llm.common.interfaces import Engine, Score


class External(Protocol):
    """Scores an engine without items of ours.

    Attributes:
        name: in tables and journals.
        fingerprint: changes when the questions or their scoring change.
    """

    name: str
    fingerprint: str

    @property
    def has_test(self) -> bool:
        """Whether there is a held-out split."""

    def __call__(self, engine: Engine, split: str = "dev") -> Score:
        """The score of what is loaded, on ``dev`` or ``test``."""
