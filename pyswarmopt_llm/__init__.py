"""Swarms of language-model experts: Model Swarms (Feng et al. 2024, arXiv 2410.11163) and what a user needs around it.

What stands in `__all__` is the public Python API; everything else may move between versions. Names are loaded on first
use: importing this package loads neither torch nor transformers.

Example:
    >>> import pyswarmopt_llm as sl
    >>> sl.vote(["12", "13", "The answer is 12."]).answer
    '12'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyswarmopt_llm.common.config import SearchConfig
    from pyswarmopt_llm.common.errors import UserError
    from pyswarmopt_llm.common.interfaces import Engine, Patch, Score, Space, Utility
    from pyswarmopt_llm.common.statistics import interval, score_of
    from pyswarmopt_llm.groups.config import CouncilConfig
    from pyswarmopt_llm.groups.members.load import open_members
    from pyswarmopt_llm.groups.run import decide_task as ensemble
    from pyswarmopt_llm.groups.voting.rules.voting import vote
    from pyswarmopt_llm.jobs.compare.config import CompareConfig
    from pyswarmopt_llm.jobs.compare.contest import compare
    from pyswarmopt_llm.jobs.evaluate.model import evaluate_model as evaluate
    from pyswarmopt_llm.jobs.generate import generate_text as generate
    from pyswarmopt_llm.jobs.merge import merge_experts as merge
    from pyswarmopt_llm.jobs.search.loop import resume, search
    from pyswarmopt_llm.metrics.classifiers.reward import controllability, load_reward
    from pyswarmopt_llm.metrics.questions.written import Written
    from pyswarmopt_llm.models.adapters.compatibility import inspect_experts
    from pyswarmopt_llm.models.base import resolve_base
    from pyswarmopt_llm.models.training.train import TrainingOptions, train_expert
    from pyswarmopt_llm.spaces.graph.space import open_graph
    from pyswarmopt_llm.spaces.load import adapter_patch, open_model
    from pyswarmopt_llm.spaces.mixture.space import open_mixture
    from pyswarmopt_llm.tasks.load import load_task

# Public name -> where it lives: "module" if it has the same name there, else "module:name".
_HOME = {
    "CompareConfig": "jobs.compare.config",
    "CouncilConfig": "groups.config",
    "Engine": "common.interfaces",
    "Patch": "common.interfaces",
    "Score": "common.interfaces",
    "SearchConfig": "common.config",
    "Space": "common.interfaces",
    "TrainingOptions": "models.training.train",
    "UserError": "common.errors",
    "Utility": "common.interfaces",
    "Written": "metrics.questions.written",
    "adapter_patch": "spaces.load",
    "compare": "jobs.compare.contest",
    "controllability": "metrics.classifiers.reward",
    "ensemble": "groups.run:decide_task",
    "evaluate": "jobs.evaluate.model:evaluate_model",
    "generate": "jobs.generate:generate_text",
    "inspect_experts": "models.adapters.compatibility",
    "interval": "common.statistics",
    "load_reward": "metrics.classifiers.reward",
    "load_task": "tasks.load",
    "merge": "jobs.merge:merge_experts",
    "open_graph": "spaces.graph.space",
    "open_members": "groups.members.load",
    "open_mixture": "spaces.mixture.space",
    "open_model": "spaces.load",
    "resolve_base": "models.base",
    "resume": "jobs.search.loop",
    "score_of": "common.statistics",
    "search": "jobs.search.loop",
    "train_expert": "models.training.train",
    "vote": "groups.voting.rules.voting",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, own = _HOME[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), own or name)


def __dir__() -> list[str]:
    return sorted(__all__)


def _version() -> str:
    """The installed version; `pyswarmopt/__init__.py` is the one place that states it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pyswarmopt")
    except PackageNotFoundError:  # a source tree on the path that was never installed
        return "0+unknown"


__all__ = [
    "CompareConfig",
    "CouncilConfig",
    "Engine",
    "Patch",
    "Score",
    "SearchConfig",
    "Space",
    "TrainingOptions",
    "UserError",
    "Utility",
    "Written",
    "adapter_patch",
    "compare",
    "controllability",
    "ensemble",
    "evaluate",
    "generate",
    "inspect_experts",
    "interval",
    "load_reward",
    "load_task",
    "merge",
    "open_graph",
    "open_members",
    "open_mixture",
    "open_model",
    "resolve_base",
    "resume",
    "score_of",
    "search",
    "train_expert",
    "vote",
]
