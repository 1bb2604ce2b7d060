"""A search whose settings are parsed and chosen, and how it tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import MODEL_SWARMS, SearchConfig
from pyswarmopt_llm.common.options import option_name, options_of
from pyswarmopt_llm.evaluation.workers.spec import Workers
from pyswarmopt_llm.metrics.external.permission import is_function
from pyswarmopt_llm.spaces import SpaceKind

# The settings that a preset chooses, or that say how its choice is to run.
CHOICES = (
    *("preset", "compat", "space", "optimizer", "particles", "start", "max_iter", "patience", "settings"),
    *("grid", "draws", "proposals", "screen", "drop_k", "drop_n", "train", "budget_items", "budget_minutes"),
)


@dataclass(frozen=True, kw_only=True)
class ResolvedSearch:
    """A search before data and models are read: every setting has a value, and what settings name is there.

    Attributes:
        config: the configuration with all that was chosen for it.
        given: the settings of `CHOICES` that were not chosen; see `given_settings`.
        kind: of the space.
        workers: who scores.
    """

    config: SearchConfig
    given: Mapping[str, Any]
    kind: SpaceKind
    workers: Workers

    def changed(self, **values: Any) -> Self:
        """The search with other values of these settings."""
        return replace(self, config=replace(self.config, **values))

    def filled(self, values: Mapping[str, Any]) -> Self:
        """The search with these values where none is given."""
        return replace(self, config=filled(self.config, values))


def given_settings(config: SearchConfig) -> dict[str, Any]:
    """The settings of `CHOICES` that are given: neither None nor ``auto``.

    Example:
        >>> given_settings(SearchConfig("b", ("x", "y"), ("t",), "r", particles=20, seed=3))
        {'particles': 20}
    """
    values = {name: getattr(config, name) for name in CHOICES}
    return {name: value for name, value in values.items() if (name == "preset" and value) or _is_given(value)}


def filled(config: SearchConfig, values: Mapping[str, Any]) -> SearchConfig:
    """The configuration with these values where none is given."""
    return replace(config, **{name: value for name, value in values.items() if not _is_given(getattr(config, name))})


def _is_given(value: object) -> bool:
    return value not in (None, "auto", ())


def chosen_by_preset(before: Mapping[str, Any], config: SearchConfig) -> dict[str, Any]:
    """The settings that the preset chose, for ``run.json``.

    Args:
        before: what was given; see `given_settings`.
        config: as the search runs it.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r", seed=3)
        >>> chosen_by_preset(given_settings(auto), replace(auto, space="delta", max_iter=0, dtype="bfloat16"))
        {'space': 'delta', 'max_iter': 0}
    """
    return {name: value for name, value in given_settings(config).items() if name not in before}


def in_words(config: SearchConfig, before: Mapping[str, Any], items: int | None = None) -> str:
    """What the preset chose and what was given, in a line.

    Args:
        config: as the search runs it.
        before: what was given; see `given_settings`.
        items: on dev.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r", preset="auto", space="delta", screen=0.05, max_iter=0)
        >>> in_words(auto, {})
        'preset auto: space delta, 6 candidates proposed by a model of the items (`max_iter` N: iterations first)'
        >>> in_words(replace(auto, preset="paper", screen=None, grid="paper", optimizer="model-swarms"), {"seed": 3})
        'preset paper: space delta; given: seed 3'
    """
    typed = list(_as_typed({name: value for name, value in before.items() if name != "preset"}))
    line = f"preset {config.preset}: {', '.join(_parts(config, items))}"
    return f"{line}; given: {', '.join(typed)}" if typed else line


def _parts(config: SearchConfig, items: int | None) -> Iterable[str]:
    yield f"space {config.space}"
    if config.iterations:
        if config.optimizer != MODEL_SWARMS:
            yield config.optimizer
        yield counted(config.population, "particle")
        yield f"at most {counted(config.iterations, 'iteration')}"
        if config.budget_items is not None:
            yield f"at most {config.budget_items:,} items"
        if config.is_grid:
            yield "grid of coefficients"
        if config.screen is not None:
            yield f"items screened at {config.screen:g}"
    elif config.most_proposals:
        model = "items" if config.screen is not None else "scores"
        yield f"{config.most_proposals} candidates proposed by a model of the {model} (`max_iter` N: iterations first)"
    if config.train == "on":
        yield "then training on the dev items" if items is None else f"then training on the {items} dev items"


def _as_typed(values: Mapping[str, Any]) -> Iterable[str]:
    """Settings as the command line calls them."""
    options = options_of(SearchConfig)
    for name, value in values.items():
        shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
        yield f"{option_name(name, options.get(name))} {shown}"


def own_score(config: SearchConfig) -> list[str]:
    """What a search for a score of one's own does, and does not; nothing for other searches.

    Args:
        config: as the search runs it.

    Example:
        >>> own_score(SearchConfig("b", ("x", "y"), (), "r", metrics=("mine.py:style",), max_iter=0, proposals=20))
        ['score of your own: nothing is trained; 40 evaluations, 20 of them proposed by a model of the scores']
    """
    if not (config.utilities or any(map(is_function, config.metrics))):
        return []
    cost = f"{config.planned:,} evaluations"
    if config.iterations:
        most = counted(config.iterations, "iteration")
        cost = f"a swarm of {config.population}, at most {most}, {cost}"
    if config.most_proposals:
        cost += f", {config.most_proposals} of them proposed by a model of the scores"
    return [f"score of your own: nothing is trained; {cost}"]
