"""Objectives without items: functions of an engine, and harness tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pyswarmopt_llm.common.config import LM_EVAL, SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.scores.metrics.external.score_function import CallableUtility


class External(Protocol):
    """An objective that scores an engine without items; its fingerprint covers all its questions."""

    name: str
    fingerprint: str

    @property
    def has_test(self) -> bool:
        """Whether there is a held-out split."""

    def __call__(self, engine: Engine, split: str = "dev") -> Score:
        """The score of the loaded candidate on ``dev`` or ``test``."""


def harness_task(spec: str, dev: int | None, test: int | None) -> External:
    """A task of lm-evaluation-harness, ``lm-eval:NAME``.

    Raises:
        UserError: the harness is missing, or has no such task supported here.
    """
    from pyswarmopt_llm.published.lm_eval import LmEvalTask

    return LmEvalTask(spec.removeprefix(LM_EVAL), dev, test)


def load_externals(config: SearchConfig, harness: Sequence[str]) -> dict[str, External]:
    """Name -> objective, for harness tasks and a configuration's functions.

    Raises:
        UserError: an objective is wrong, or two have the same name.
    """
    externals: dict[str, External] = {}
    for spec in [*harness, *config.utilities]:
        external = (
            harness_task(spec, config.dev, config.test or None)
            if spec in harness
            else CallableUtility(spec)
        )
        if external.name in externals:
            raise UserError(f"{spec}: another objective is also called {external.name}; rename one")
        externals[external.name] = external
    return externals
