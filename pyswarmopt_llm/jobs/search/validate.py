"""A search whose settings are parsed, and what can be refused of it before a model is loaded.

Every check raises `InvalidOption`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pyswarmopt_llm.common.config import TRANSFORMERS, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.optimizers import check_optimizer, is_swarm
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.evaluation.workers.spec import Workers, check_workers
from pyswarmopt_llm.metrics.objectives import Objectives
from pyswarmopt_llm.models.files import inside, refuse_unmatched
from pyswarmopt_llm.spaces.kind import SpaceKind
from pyswarmopt_llm.spaces.starts import check_start
from pyswarmopt_llm.tasks import Task

LEAST_TRAINED = 8  # dev items of an expert that is trained on them
# The settings that a preset chooses, or that say how its choice is to run.
CHOICES = (
    *(
        "preset",
        "compat",
        "space",
        "optimizer",
        "particles",
        "start",
        "max_iter",
        "patience",
        "settings",
    ),
    *(
        "grid",
        "draws",
        "proposals",
        "surrogate",
        "drop_k",
        "drop_n",
        "train",
        "budget_items",
        "budget_minutes",
    ),
)


@dataclass(frozen=True, kw_only=True)
class ResolvedSearch:
    """A search before data and models are read: every setting has a value, and what settings name
    is there.

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
    return {
        name: value
        for name, value in values.items()
        if (name == "preset" and value) or _is_given(value)
    }


def filled(config: SearchConfig, values: Mapping[str, Any]) -> SearchConfig:
    """The configuration with these values where none is given."""
    return replace(
        config,
        **{name: value for name, value in values.items() if not _is_given(getattr(config, name))},
    )


def _is_given(value: object) -> bool:
    return value not in (None, "auto", ())


def check_settings(search: ResolvedSearch) -> None:
    """Refuse settings that are out of range, unknown, or in conflict."""
    config, kind, workers = search.config, search.kind, search.workers
    refuse_unmatched(config.experts)
    if len(config.experts) < 2:
        hint = (
            "".join(inside(spec, "adapter_config.json") for spec in config.experts)
            or "; name more of them"
        )
        raise InvalidOption(
            "experts", None, f"{len(config.experts)} given, a search mixes at least 2{hint}"
        )
    check_options(config)
    check_workers(config, kind, workers)
    kind.check(config)
    check_start(config.start, kind)
    _check_engine(config, kind, workers)
    _check_sampling(config, kind)
    check_optimizer(config.optimizer, config.settings)
    _check_policy(config)


def _check_engine(config: SearchConfig, kind: SpaceKind, workers: Workers) -> None:
    """Refuse what servers cannot do."""
    engine = config.engine
    if engine == TRANSFORMERS:
        return
    if not config.served:
        raise InvalidOption("engine", engine, "unknown; use transformers or http://HOST:PORT")
    from pyswarmopt_llm.common.files.http import server_url

    server_url(engine)
    if config.mix != "auto":
        raise InvalidOption(
            "mix", config.mix, f"`engine` {engine} adds adapters at run time; remove it"
        )
    if not kind.adapters:
        raise InvalidOption(
            "engine", engine, f"takes LoRA candidates, not space {kind.name}; remove it"
        )
    if kind.name != "delta":
        raise InvalidOption(
            "space", kind.name, "a server takes candidates of space delta; give that"
        )
    if not workers.alone:
        raise InvalidOption(
            "engine", engine, "makes its own batches in one process; remove `workers`"
        )


def _check_sampling(config: SearchConfig, kind: SpaceKind) -> None:
    """Refuse sampled replies where only greedy ones are written."""
    if config.temperature and (kind.several_models or config.engine != TRANSFORMERS):
        where = f"`space` {kind.name}" if kind.several_models else f"`engine` {config.engine}"
        raise InvalidOption(
            "temperature", config.temperature, f"{where} writes greedy replies only; remove it"
        )


def _check_policy(config: SearchConfig) -> None:
    """Refuse evaluation policies that do not go with the optimizer or with each other."""
    dropout = bool(config.drop_k or config.drop_n)
    if dropout and not is_swarm(config.optimizer):
        raise InvalidOption(
            "optimizer", config.optimizer, "needs every value; remove `drop_k` and `drop_n`"
        )


def check_objectives(search: ResolvedSearch, objectives: Objectives) -> None:
    """Refuse what several workers, or several models, cannot be scored by."""
    paid = [metric.name for metric in objectives.metrics.values() if metric.usage is not None]
    if paid and not search.workers.alone:
        why = f"{paid[0]} counts and limits its requests in one process"
        raise InvalidOption("workers", search.workers.text, f"{why}; remove it")
    if search.kind.several_models and objectives.externals:
        name = next(iter(objectives.externals))
        raise InvalidOption(
            "space", search.kind.name, f"{name} scores one model, not several; give task files"
        )


def check_surrogate(search: ResolvedSearch, objectives: Objectives, size: int) -> None:
    """Refuse what a model of the items, or of the scores, cannot learn from; `size` is the dimension
    of a position.
    """
    config, kind = search.config, search.kind
    if config.surrogate not in (None, "items"):
        raise InvalidOption("surrogate", config.surrogate, "unknown; give items")
    if config.surrogate and config.iterations:
        raise InvalidOption("surrogate", "items", "goes without iterations; give `max_iter` 0")
    if config.surrogate and kind.several_models:
        why = f"`space` {kind.name} scores all items at once"
        raise InvalidOption("surrogate", "items", f"{why}; remove it")
    for why in _without_option_scores(config, objectives) if config.surrogate else ():
        raise InvalidOption("surrogate", "items", f"learns from options, {why}; remove it")
    if not config.most_proposals:
        return
    from pyswarmopt_llm.evaluation.surrogate import MOST_COEFFICIENTS

    if size > MOST_COEFFICIENTS:
        why = (
            f"a model learns from at most {MOST_COEFFICIENTS} coefficients, here a candidate "
            f"has {size}"
        )
        raise InvalidOption("proposals", config.proposals, f"{why}; give 0")


def check_train(search: ResolvedSearch, objectives: Objectives) -> None:
    """Refuse tasks and settings with which nothing can be trained on the dev items."""
    if search.config.train != "on":
        return
    check_trainable(search, objectives)
    items = sum(len(task.dev) for task in objectives.tasks.values())
    if items < LEAST_TRAINED:
        raise InvalidOption("train", "on", f"{items} dev items are too few to train on; remove it")


def check_trainable(search: ResolvedSearch, objectives: Objectives) -> None:
    """Refuse tasks and settings with which nothing can be trained, however many items there are."""
    config, kind = search.config, search.kind
    if not kind.trains:
        raise InvalidOption(
            "train", "on", f"goes with `space` delta only, not with {kind.name}; remove it"
        )
    if config.served:
        raise InvalidOption(
            "train",
            "on",
            "nothing is trained through a server, which takes no gradients; remove it",
        )
    if config.engine != TRANSFORMERS or not search.workers.alone:
        why = f"goes with one worker and `engine` {TRANSFORMERS}; remove it, or change those"
        raise InvalidOption("train", "on", why)
    for why in () if objectives.written else _without_option_scores(config, objectives):
        learns = (
            "learns from the scores of options, or where all tasks have scores of written replies"
        )
        raise InvalidOption("train", "on", f"{learns}, {why}; remove it")


def _without_option_scores(config: SearchConfig, objectives: Objectives) -> Iterator[str]:
    """The objectives that are not decided by the scores of options, and by what instead."""
    metrics = {name: metric.name for name, metric in objectives.metrics.items()}
    for name, metric in {**metrics, **dict.fromkeys(objectives.externals, "its own score")}.items():
        if metric != "accuracy":
            yield f"{name} is scored by {metric}"
        elif "generate" in objectives.scorings(name, config.scoring):
            yield f"{name} is answered by writing"


def check_budget(config: SearchConfig, tasks: Mapping[str, Task]) -> None:
    """Refuse a budget that the starting swarm alone exceeds."""
    particles, items = config.population, sum(len(task.dev) for task in tasks.values())
    if config.budget_items is not None and config.budget_items < particles * items:
        needed = f"the starting swarm alone takes {particles} x {items} = {particles * items}"
        raise InvalidOption(
            "budget_items",
            config.budget_items,
            f"{needed}; raise it, or lower `particles` or `dev`",
        )
