"""Presets ``paper`` and ``reference``: the published procedure, and that of the authors' scripts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyswarmopt_llm.common.config import MODEL_SWARMS, SearchConfig, with_defaults
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.searching.plan import PUBLISHED

# The authors' four shell scripts call search.py with a restart patience of .67 times its patience
# (a particle goes back after 6 evaluations without a new best, which `restart_patience` 7 is under
# ``compat`` reference) and draw the other coefficients from the paper's grid; search.py has these
# values for them, and at most 200 iterations.
_OF_SCRIPTS = {"restart_patience": "7"}
_OF_SEARCH_PY = {"inertia": "0.4", "cognitive": "0.3", "social": "0.3", "repel": "0.3", "step": "1"}
_MOST_RELEASED = 200


def published(config: SearchConfig) -> SearchConfig:
    """The settings as the paper, or the authors' scripts, have them."""
    their_optimizer = config.optimizer in ("auto", MODEL_SWARMS)
    choices: dict[str, Any] = {
        "compat": config.preset,
        "method": "swarm",
        "start": "segments",
        "grid": "paper" if their_optimizer else "given",
    }
    if config.preset == "paper" or not their_optimizer:
        return with_defaults(config, choices)
    config = with_defaults(config, {**choices, "max_iter": _MOST_RELEASED})
    values = _OF_SCRIPTS if config.grid == "paper" else {**_OF_SEARCH_PY, **_OF_SCRIPTS}
    names = {setting.partition("=")[0].replace("-", "_") for setting in config.settings}
    added = tuple(f"{name}={value}" for name, value in values.items() if name not in names)
    return replace(config, settings=(*added, *config.settings))


def with_compat(config: SearchConfig) -> SearchConfig:
    """The settings with the preset that `compat` stands for, with one set of coefficients.

    Raises:
        InvalidOption: `compat` and `preset` contradict each other.
    """
    compat, preset = config.compat, config.preset or "auto"
    if config.preset is None and compat in PUBLISHED:
        return with_defaults(replace(config, preset=compat), {"grid": "given"})
    if preset not in ("none", "auto" if compat == "none" else compat):
        why = f"contradicts `preset` {preset}; remove one of them"
        raise InvalidOption("compat", compat, why)
    return config
