"""The settings that a search chooses itself: ``--preset``.

``auto`` is the best that this project's tables know for a task: weight changes (``delta``),
candidates that a swarm finds in a model of the items' margins in place of iterations, and training
on dev at the end. ``paper`` is the published procedure, ``reference`` that of the authors' released
scripts, ``none`` the plain default of every setting. Settings that are given win, also those that
equal a default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import (
    ALONE,
    EVEN_SUMS,
    LEAST_DEV,
    LEAST_DEV_BESIDE_SPARE,
    MAX_ITER,
    MODEL_SWARMS,
    PARTICLES,
    PATIENCE,
    SearchConfig,
)
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import option_name, options_of
from pyswarmopt_llm.evaluation.workers.spec import parse_workers, threads_of
from pyswarmopt_llm.jobs.search.validate import (
    LEAST_TRAINED,
    ResolvedSearch,
    check_surrogate,
    check_train,
    check_trainable,
    filled,
    given_settings,
)
from pyswarmopt_llm.metrics.external.permission import is_function
from pyswarmopt_llm.metrics.objectives import Objectives
from pyswarmopt_llm.spaces import space_kind

CANDIDATES = 40  # of which iterations without another limit may score as many items
WRITING = 10  # particles where replies are written, so that `CANDIDATES` are several iterations
PUBLISHED = ("paper", "reference")
_PLAIN: dict[str, Any] = {
    **{"space": "factor", "optimizer": MODEL_SWARMS, "particles": PARTICLES, "max_iter": MAX_ITER},
    **{"patience": PATIENCE, "train": "off", "grid": "given", "drop_k": 0.0, "drop_n": 0.0},
}
# The authors' four shell scripts call search.py with a restart patience of .67 times its patience
# (a particle goes back after 6 evaluations without a new best, which `restart_patience` 7 is under
# ``compat`` reference) and draw the other coefficients from the paper's grid; search.py has these
# values for them, and at most 200 iterations.
_OF_SCRIPTS = {"restart_patience": "7"}
_OF_SEARCH_PY = {"inertia": "0.4", "cognitive": "0.3", "social": "0.3", "repel": "0.3", "step": "1"}
_MOST_RELEASED = 200
_OF_ITERATIONS = ("optimizer", "max_iter", "patience", "settings", "drop_k", "drop_n")


def resolve(config: SearchConfig, objectives: Objectives | None = None) -> ResolvedSearch:
    """The search with a concrete value for every setting that a preset chooses, but for `start`.

    Its `compat` is ``paper`` only if what runs is the published algorithm, and ``none`` if that is
    another one.

    Args:
        config: what is given.
        objectives: of its tasks; without them, what ``auto`` chooses by task is as if no item could be
            predicted.

    Raises:
        InvalidOption: settings that contradict each other.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r")
        >>> paper = resolve(replace(auto, preset="paper", particles=8)).config
        >>> resolve(auto).config.space, paper.space, paper.particles, paper.max_iter
        ('delta', 'factor', 8, 50)
    """
    before, config = given_settings(config), _with_preset(config)
    if config.preset in PUBLISHED:
        config = _published(config)
    auto = config.preset == "auto"
    config = filled(
        config, {"space": ("delta" if config.base else "token") if auto else _PLAIN["space"]}
    )
    kind, workers = space_kind(config.space), parse_workers(config.workers)
    search = ResolvedSearch(config=config, given=before, kind=kind, workers=workers)
    if auto and objectives is not None:
        search = _by_task(search, objectives)
    search = search.filled({**_PLAIN, "threads": threads_of(workers)})
    config = search.config
    if config.draws is not None and not config.is_grid:
        raise InvalidOption(
            "draws", config.draws, "nothing to draw from; add `grid` paper, or several values"
        )
    return search.changed(compat=_compat(search))


def _with_preset(config: SearchConfig) -> SearchConfig:
    """The configuration with its preset: `compat` stands for one, with one set of coefficients.

    Raises:
        InvalidOption: `compat` and `preset` contradict each other.
    """
    if config.compat == "auto":
        return replace(config, preset=config.preset or "auto")
    if config.preset is None and config.compat in PUBLISHED:
        return filled(replace(config, preset=config.compat), {"grid": "given"})
    preset = config.preset or "auto"
    agrees = (
        preset not in PUBLISHED if config.compat == "none" else preset in (config.compat, "none")
    )
    if not agrees:
        raise InvalidOption(
            "compat", config.compat, f"contradicts `preset` {preset}; remove one of them"
        )
    return replace(config, preset=preset)


def _published(config: SearchConfig) -> SearchConfig:
    """The configuration as the paper, or the authors' scripts, have it."""
    published = config.optimizer in ("auto", MODEL_SWARMS)
    choices: dict[str, Any] = {
        "compat": config.preset,
        "start": "segments",
        "grid": "paper" if published else "given",
    }
    if config.preset == "paper" or not published:
        return filled(config, choices)
    config = filled(config, {**choices, "max_iter": _MOST_RELEASED})
    values = _OF_SCRIPTS if config.grid == "paper" else {**_OF_SEARCH_PY, **_OF_SCRIPTS}
    names = {setting.partition("=")[0].replace("-", "_") for setting in config.settings}
    added = tuple(f"{name}={value}" for name, value in values.items() if name not in names)
    return replace(config, settings=(*added, *config.settings))


def _by_task(search: ResolvedSearch, objectives: Objectives) -> ResolvedSearch:
    """The search with what ``auto`` chooses by task."""
    items = sum(len(task.dev) for task in objectives.tasks.values())
    if (
        items >= (LEAST_DEV_BESIDE_SPARE if objectives.spare else LEAST_DEV)
        and not objectives.paid
        and _goes(check_train, search.changed(train="on"), objectives)
    ):
        search = search.filled({"train": "on"})
    by_items = search.changed(surrogate="items", max_iter=0)
    if _goes(check_surrogate, by_items, objectives, len(search.config.experts)):
        return _proposing(search, items)
    return _few(search, objectives) if objectives.writes or objectives.user_scored else search


def untrained(search: ResolvedSearch, objectives: Objectives) -> str:
    """The reason why ``auto`` does not train on replies, and the remedy, where that is too few dev
    prompts; else "".
    """
    config = search.config
    chosen = config.preset == "auto" and config.train == "off" and "train" not in search.given
    if not (chosen and objectives.written and not objectives.paid):
        return ""
    if not _goes(check_trainable, search, objectives):
        return ""
    dev = sum(len(task.dev) for task in objectives.tasks.values())
    remedy = " or give `train` on" if dev >= LEAST_TRAINED else ""
    return (
        f"{counted(dev, 'dev prompt')}, too few to train on: `auto` trains from {LEAST_DEV} on, or "
        f"from {LEAST_DEV_BESIDE_SPARE} (`dev` {LEAST_DEV_BESIDE_SPARE}) with as many spare ones; "
        f"add prompts{remedy}"
    )


def _few(search: ResolvedSearch, objectives: Objectives) -> ResolvedSearch:
    """With `CANDIDATES` evaluations, unless iterations or a budget are given: each writes all
    replies, or more.

    A model of the scores proposes those that the experts, the base, their average and sum leave.
    """
    if not _unending(search.config):
        return search
    starting = max(search.config.particles or 0, len(search.config.experts) + EVEN_SUMS)
    modelled = search.changed(proposals=ALONE)
    goes = _goes(check_surrogate, modelled, objectives, len(search.config.experts))
    if goes and not any(name in search.given for name in _OF_ITERATIONS):
        most = max(CANDIDATES - starting, ALONE)
        return search.filled({"max_iter": 0, "particles": starting, "proposals": most})
    search = search.filled({"particles": max(WRITING, len(search.config.experts))})
    return search.filled({"max_iter": max(1, CANDIDATES // search.config.population - 1)})


def _proposing(search: ResolvedSearch, items: int) -> ResolvedSearch:
    """Without iterations, unless a setting of theirs is given: the item model's proposals do better
    for fewer passes.

    What is scored: the experts, the base, their average and sum, and the proposals. Iterations
    that nothing ends have a budget, without which they may take hours.
    """
    if not any(name in search.given for name in _OF_ITERATIONS):
        particles = len(search.config.experts) + EVEN_SUMS
        search = search.filled({"max_iter": 0, "particles": particles})
    if not search.config.iterations:
        return search.changed(surrogate="items")
    if _unending(search.config):
        return search.changed(budget_items=max(CANDIDATES, search.config.population) * items)
    return search


def _unending(config: SearchConfig) -> bool:
    """Whether no number of iterations or items is given, which would ask for iterations."""
    return config.max_iter is None and config.budget_items is None


def _compat(search: ResolvedSearch) -> str:
    """Whose algorithm runs."""
    if search.config.optimizer != MODEL_SWARMS:
        return "none"
    if search.config.compat == "reference":
        return "reference"
    return "none" if search.kind.departures(asdict(search.config)) else "paper"


def _goes(check: Callable[..., None], *arguments: Any) -> bool:
    try:
        check(*arguments)
    except InvalidOption:
        return False
    return True


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


def in_words(
    config: SearchConfig, before: Mapping[str, Any], training: str = "training on the dev items"
) -> str:
    """The settings that the preset chose and those that were given, in a line.

    Args:
        config: as the search runs it.
        before: what was given; see `given_settings`.
        training: how the mixture that is found is trained, if it is.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r", preset="auto", space="delta", max_iter=0)
        >>> auto = replace(auto, surrogate="items")
        >>> in_words(auto, {})
        'preset auto: space delta, 6 candidates proposed by a model of the items (`max_iter` N: iterations first)'
        >>> in_words(replace(auto, preset="paper", surrogate=None, grid="paper", optimizer="model-swarms"), {"seed": 3})
        'preset paper: space delta; given: seed 3'
    """
    typed = list(_as_typed({name: value for name, value in before.items() if name != "preset"}))
    line = f"preset {config.preset}: {', '.join(_parts(config, training))}"
    return f"{line}; given: {', '.join(typed)}" if typed else line


def _parts(config: SearchConfig, training: str) -> Iterable[str]:
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
    elif config.most_proposals:
        model = config.surrogate or "scores"
        yield (
            f"{config.most_proposals} candidates proposed by a model of the {model} (`max_iter` "
            "N: iterations first)"
        )
    if config.train == "on":
        yield f"then {training}"


def _as_typed(values: Mapping[str, Any]) -> Iterable[str]:
    """Settings as the command line calls them."""
    options = options_of(SearchConfig)
    for name, value in values.items():
        shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
        yield f"{option_name(name, options.get(name))} {shown}"


def own_score(config: SearchConfig) -> list[str]:
    """Notes on a search for the user's own score; none for other searches.

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
    training = "expert iteration at the end" if config.train == "on" else "nothing is trained"
    return [f"score of your own: {training}; {cost}"]
