"""Model Swarms (Feng et al. 2024, arXiv 2410.11163): searching swarms of language-model experts for
a better one.

By default, a surrogate proposes mixtures to `search`, and the best mixture is trained; `paper`
is the published swarm.

The names in `__all__` are the public Python API; everything else may move between versions. Names
are loaded on first use: importing this package loads neither torch nor transformers.

Packages beside this one add names to it: `pyswarmopt_rivals` has `compare` and `merge`,
`pyswarmopt_groups` has `ensemble` and `vote`.

Example:
    >>> import pyswarmopt_llm as sl
    >>> sl.SearchConfig("base", ("a", "b"), ("questions.json",), "runs/a").space
    'auto'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyswarmopt_llm.api import resume, search
    from pyswarmopt_llm.common.config import SearchConfig
    from pyswarmopt_llm.common.errors import UserError
    from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
    from pyswarmopt_llm.common.statistics import score_of
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_llm.experts.compatibility import inspect_experts
    from pyswarmopt_llm.mix.load import adapter_patch, open_model
    from pyswarmopt_llm.scores.tasks.load import load_task
    from pyswarmopt_llm.tokens.space import open_mixture
    from pyswarmopt_llm.tools.check import check
    from pyswarmopt_llm.training.examples import TrainingOptions
    from pyswarmopt_llm.training.expert import train_expert
    from pyswarmopt_llm.use.evaluate import evaluate_model as evaluate
    from pyswarmopt_llm.use.generate import generate_text as generate
    from pyswarmopt_llm.use.predict import predict

# Public name -> its module, or "module:name" if the name differs there.
_HOME = {
    "Engine": "common.interfaces",
    "Patch": "common.interfaces",
    "Score": "common.interfaces",
    "SearchConfig": "common.config",
    "TrainingOptions": "training.examples",
    "UserError": "common.errors",
    "adapter_patch": "mix.load",
    "check": "tools.check",
    "evaluate": "use.evaluate:evaluate_model",
    "generate": "use.generate:generate_text",
    "inspect_experts": "experts.compatibility",
    "load_task": "scores.tasks.load",
    "open_mixture": "tokens.space",
    "open_model": "mix.load",
    "predict": "use.predict",
    "resolve_base": "experts.base",
    "resume": "api",
    "score_of": "common.statistics",
    "search": "api",
    "train_expert": "training.expert",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from pyswarmopt import __version__

        return __version__
    from pyswarmopt_llm.common.registry import load, plugins

    if name in _HOME:
        module, _, attribute = _HOME[name].partition(":")
        return load(f"{__name__}.{module}:{attribute or name}")
    if name in plugins("api"):
        return plugins("api")[name].load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from pyswarmopt_llm.common.registry import plugins

    return sorted({*__all__, *plugins("api")})


__all__ = [
    "Engine",
    "Patch",
    "Score",
    "SearchConfig",
    "TrainingOptions",
    "UserError",
    "adapter_patch",
    "check",
    "evaluate",
    "generate",
    "inspect_experts",
    "load_task",
    "open_mixture",
    "open_model",
    "predict",
    "resolve_base",
    "resume",
    "score_of",
    "search",
    "train_expert",
]
