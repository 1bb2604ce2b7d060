"""Optimizers of the mixing coefficients: Model Swarms as published, the search that users run, and
any other until the budget is spent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.config import (
    ALONE,
    MAX_ITER,
    MODEL_SWARMS,
    MOST_COEFFICIENTS,
    NEVERGRAD,
    PARTICLES,
    PATIENCE,
    SUMS,
)
from pyswarmopt_llm.common.errors import UndefinedModelError
from pyswarmopt_llm.common.interfaces import Patch, Space
from pyswarmopt_llm.common.optimizers import is_swarm, make_optimizer, released
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.mix.coefficients import starting_points
from pyswarmopt_llm.scores.choices import labelled
from pyswarmopt_llm.scores.metrics.combines import harmonic
from pyswarmopt_llm.searching.plan import Budget
from pyswarmopt_llm.searching.proposals import ProposingSearch
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Journal
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, Scorer
from pyswarmopt_llm.searching.surrogate import Surrogate
from pyswarmopt_llm.searching.train import Fitting, not_worse
from pyswarmopt_rivals.bench import Bench, Trial
from pyswarmopt_rivals.methods.changes import random_adapters
from pyswarmopt_rivals.methods.method import ITEM_MODEL, RANDOM, WITH_DEV, Merged, Settings
from pyswarmopt_rivals.methods.searching.by_optimizer import best_found

KIND = "modelled"  # of rows in the store
MODELLED = (ITEM_MODEL, WITH_DEV, RANDOM)
T = TypeVar("T")
UNENDING = 10**6  # rounds: the budget ends a search, or the optimizer itself


def optimizer_of(name: str) -> str:
    """The optimizer behind a method of that name.

    Example:
        >>> optimizer_of("item-model+dev"), optimizer_of("random-adapters"), optimizer_of("pycma")
        ('model-swarms', 'model-swarms', 'pycma')
    """
    return MODEL_SWARMS if name in MODELLED else name


def optimise(name: str, settings: Settings) -> Merged:
    """The best that the method of that name finds."""
    trial = settings.trial
    if name == RANDOM:
        settings = replace(settings, experts=random_adapters(settings.experts, settings.seed))
    if name != WITH_DEV:
        return Merged(_search(name, settings))
    trial.spend(training(trial.bench))
    return _trained(trial, _search(name, settings), settings.seed)


def _search(name: str, settings: Settings) -> Patch:
    """Model Swarms with update, starting points, sizes and rules to stop of the paper, the item
    model by the search of users, the others until the budget is spent.
    """
    trial, seed = settings.trial, settings.seed
    published, swarm = name == MODEL_SWARMS, is_swarm(optimizer_of(name))
    space = build_space("factor" if published else settings.space, settings.experts)
    modelled = name in MODELLED and can_model(trial.bench, space)
    count = len(space.expert_names)
    start, rounds, population = "sums" if swarm else "segments", UNENDING, count
    if published:
        start, rounds, population = "segments", MAX_ITER, max(PARTICLES, count)
    elif modelled:
        start, rounds, population = "even", 0, count + SUMS["even"]
    if name.startswith(NEVERGRAD):
        rounds = max(trial.left // population - 1, 0)
    optimizer = make_optimizer(
        optimizer_of(name),
        starting_points(space, start, population, seed),
        population=population,
        max_iter=rounds,
        patience=PATIENCE,
        seed=seed,
    )
    if not modelled:
        return best_found(optimizer, trial, space.realise)
    kind = f"{KIND} {name} {seed}" if name == RANDOM else KIND
    return space.realise(modelled_best(optimizer, trial, space, kind, population, seed))


def can_model(bench: Bench, space: Space) -> bool:
    """Whether a task's items can be predicted: options are scored, right or wrong, by few
    coefficients.
    """
    options = "dev" in bench.accuracy and bench.scoring != "generate"
    return options and space.size <= MOST_COEFFICIENTS


class BudgetedScorer(Scorer):
    """Scores positions as a search does, as far as a trial's budget goes, with the store of a
    comparison.

    What the budget does not cover has the value NaN. Rows are kept by `kind` and position: a space
    over other adapters has its own kind.
    """

    def __init__(self, trial: Trial, space: Space, kind: str) -> None:
        bench, journal = trial.bench, Journal()
        journal.store = bench.store
        utilities = {bench.task.name: bench.accuracy["dev"]}
        evaluator = Evaluator(space, bench.engine, utilities, harmonic, margins=True)
        phase = f"{bench.task.name} {kind}"
        super().__init__(journal, evaluator, phase)
        self._trial = trial

    def _stored(self, call: Any) -> Row | UndefinedModelError:
        trial, task = self._trial, self._trial.bench.task
        if trial.left < 1:
            unknown = {task.name: "?" * len(task.dev)}
            return Row("", call.iteration, call.particle, call.key, (), math.nan, 0, 0.0, unknown)
        known = (call.what, call.key) in trial.bench.store
        trial.spend(len(task.dev))
        row = super()._stored(call)
        if known and isinstance(row, Row):
            trial.bench.replayed_seconds += row.seconds
        return row


def modelled_best(
    optimizer: pso.Optimizer, trial: Trial, space: Space, kind: str, population: int, seed: int
) -> Tensor:
    """Score the positions that an optimizer begins with, then the item model's proposals.

    Returns:
        What it hands over, (D,).
    """
    bench = trial.bench
    search = ProposingSearch(
        space,
        BudgetedScorer(trial, space, kind),
        optimizer,
        Budget(None, trial.items_left),
        population=population,
        items=bench.dev_items,
        seed=seed,
        surrogate=Surrogate("items", [bench.task.name], harmonic, ALONE),
    )
    with released(optimizer):
        search.score_experts()
        search.run()
        return search.best().x


def training(bench: Bench) -> int:
    """Items that the training of a mixture on dev takes, and its scoring."""
    items = len(bench.choices)
    return labelled(items).passes(items) + bench.dev_items


def cross_fit(fitting: Fitting, score: Callable[[list[int]], Sequence[T]]) -> list[T]:
    """The outcome of each item by what was trained without its fold.

    Args:
        fitting: with folds.
        score: indices of items -> their outcomes, by the model that is loaded.
    """
    outcomes: dict[int, T] = {}
    for fold, patch in fitting.without_folds():
        fitting.engine.load(patch)
        outcomes |= zip(fold, score(fold), strict=True)
    return [outcomes[index] for index in range(len(fitting.items))]


def _trained(trial: Trial, mixture: Patch, seed: int) -> Merged:
    """A mixture after training on dev, or as it is, as `search` chooses; what that takes has been
    charged.

    On dev each item is scored by what was trained without it, on test the patch is.
    """
    bench, items = trial.bench, trial.choices
    settings = (bench.engine, mixture, items, bench.experts[0].info, seed)
    fitting = Fitting(*settings, schedule=labelled(len(items)))
    dev = bench.accuracy["dev"]
    result = score_of(cross_fit(fitting, lambda indices: dev(bench.engine, indices).per_item))
    before = bench.score(mixture, "dev")
    if not_worse(result, before):
        return Merged(fitting.whole(), dev=result)
    return Merged(mixture, dev=before)
