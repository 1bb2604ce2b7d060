"""Optimizers of the mixing coefficients: Model Swarms as published, the search that users run, and
any other until the budget is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from torch import Tensor

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
from pyswarmopt_llm.common.interfaces import Patch, Space
from pyswarmopt_llm.common.optimizers import is_swarm, make_optimizer
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.mix.coefficients import starting_points
from pyswarmopt_llm.scores.choices import labelled
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.explore import explore
from pyswarmopt_llm.searching.fitting import Fitting, not_worse
from pyswarmopt_llm.searching.item_model import ItemModel
from pyswarmopt_llm.searching.race import begin, draw_shares
from pyswarmopt_llm.searching.scoring.run_directory import Journal
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, Scorer
from pyswarmopt_llm.searching.work import Budget
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
    trial = settings.trial
    seed = settings.seed
    published = name == MODEL_SWARMS
    space = build_space("factor" if published else settings.space, settings.experts)
    if name in MODELLED and can_model(trial.bench, space):
        kind = f"{KIND} {name} {seed}" if name == RANDOM else KIND
        best = modelled_best(trial, space, kind, seed, choosy=name == WITH_DEV)
        return space.realise(best)
    count = len(space.expert_names)
    start = "sums" if is_swarm(optimizer_of(name)) else "segments"
    rounds = UNENDING
    population = count
    if published:
        start = "segments"
        rounds = MAX_ITER
        population = max(PARTICLES, count)
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
    return best_found(optimizer, trial, space.realise)


def can_model(bench: Bench, space: Space) -> bool:
    """Whether a task's items can be predicted: options are scored, right or wrong, by few
    coefficients.
    """
    options = "dev" in bench.accuracy and bench.scoring != "generate"
    return options and space.size <= MOST_COEFFICIENTS


def modelled_best(trial: Trial, space: Space, kind: str, seed: int, choosy: bool) -> Tensor:
    """The position, (D,), that the default search finds within a trial's budget.

    Scores are in the store of the comparison, by `kind` and position: a space over other adapters
    has its own kind.

    Args:
        trial: the task and what is left of its budget, which pays for at least one expert.
        space: over the experts.
        kind: begins the name of the scores.
        seed: seed of the search.
        choosy: see `ItemModel`; a search that trains what it finds is.
    """
    bench = trial.bench
    task = bench.task.name
    journal = Journal()
    journal.store = bench.store
    journal.begin()
    evaluator = Evaluator(
        space, bench.engine, {task: bench.accuracy["dev"]}, harmonic, margins=True
    )
    scorer = Scorer(journal, evaluator, phase=f"{task} {kind}")
    count = len(space.expert_names)
    starts = starting_points(space, "even", count + SUMS["even"], seed)[: trial.left]
    shares = draw_shares({task: bench.dev_items}, seed)
    start = begin(scorer, space.vertices()[: trial.left], starts, shares)
    proposer = ItemModel(
        starts=starts[list(start.numbers)],
        numbers=start.numbers,
        experts=space.expert_names,
        tasks=[task],
        combine=harmonic,
        most=0 if start.decided else ALONE,
        seed=seed,
        floor=start.value,
        choosy=choosy,
    )
    explore(proposer, scorer, Budget(None, trial.items_left))
    trial.spend(scorer.item_evaluations)
    bench.replayed_seconds += journal.replayed_seconds
    return proposer.best().x


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
