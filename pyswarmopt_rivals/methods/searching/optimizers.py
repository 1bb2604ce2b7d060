"""Optimizers of mixing coefficients: Model Swarms as published, the default search, and any other
until the budget is spent.
"""

from __future__ import annotations

from dataclasses import replace

from pyswarmopt_llm.common.config import (
    ALONE,
    MAX_ITER,
    MODEL_SWARMS,
    MOST_COEFFICIENTS,
    PARTICLES,
    PATIENCE,
    SUMS,
    SearchConfig,
)
from pyswarmopt_llm.common.interfaces import MixtureSpace
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.mix.coefficients import starting_points
from pyswarmopt_llm.mix.kind import Pool
from pyswarmopt_llm.run.directory import RunJournal
from pyswarmopt_llm.scores.choices import MOST_STARTS, fold_passes, training_passes
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.scores.tasks import AnswerFormat
from pyswarmopt_llm.searching.find import explored
from pyswarmopt_llm.searching.optimizers import is_swarm, make_optimizer
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scorer import Scorer
from pyswarmopt_llm.searching.train_on_labels import train_on_labels
from pyswarmopt_rivals.bench import Bench
from pyswarmopt_rivals.methods.changes import random_adapters
from pyswarmopt_rivals.methods.method import ITEM_MODEL, RANDOM, WITH_DEV, Merged, Settings
from pyswarmopt_rivals.methods.searching.by_optimizer import best_found

KIND = "modelled"  # prefix of names in the store
MODELLED = (ITEM_MODEL, WITH_DEV, RANDOM)
UNENDING = 10**6  # rounds: the search ends by its budget or its optimizer


def optimise(name: str, settings: Settings) -> Merged:
    """The best result of a method within the budget.

    Model Swarms uses the paper's update, starting points, sizes and stopping rules, on weight
    changes, with one set of coefficients where the paper takes the best of a grid; a small budget
    ends it before its patience does. The item model is the default search; with written replies it
    models the scores. The others run until the budget is spent, in rounds of as many candidates as
    there are experts.
    """
    trial = settings.trial
    seed = settings.seed
    kind = KIND
    if name == RANDOM:
        settings = replace(settings, experts=random_adapters(settings.experts, seed))
        kind = f"{KIND} {name} {seed}"
    space = build_space(settings.space, settings.experts)
    if name in MODELLED and space.size <= MOST_COEFFICIENTS:
        return searched(settings, space, kind, trains=name == WITH_DEV)
    count = len(space.expert_names)
    start = "segments"
    rounds = UNENDING
    population = count
    if name == MODEL_SWARMS:
        rounds = MAX_ITER
        population = max(PARTICLES, count)
    elif is_swarm(name):
        start = "sums"
    else:
        rounds = max(trial.left // population - 1, 0)
    optimizer = make_optimizer(
        MODEL_SWARMS if name in MODELLED else name,
        starting_points(space, start, population, seed),
        population=population,
        max_iter=rounds,
        patience=PATIENCE,
        seed=seed,
    )
    return Merged(best_found(optimizer, trial, space.realise))


def searched(settings: Settings, space: MixtureSpace, kind: str, trains: bool) -> Merged:
    """The default search's result within a trial's budget.

    Scores are kept in the comparison's store, by `kind` and position: a space over other adapters
    has its own kind.

    Args:
        settings: settings of the method; the budget covers the starting points.
        space: space over the experts.
        kind: prefix of the scores' names.
        trains: whether the result is trained on dev, as far as the budget allows.
    """
    trial = settings.trial
    bench = trial.bench
    task = bench.task.name
    most = 0
    budget = trial.items_left
    if trains:
        most = most_trained(bench, budget, len(space.expert_names))
        budget -= most * training(bench)
    job = job_of(settings, space, budget, trains)
    journal = RunJournal()
    journal.store = bench.store
    answer_formats: dict[str, AnswerFormat] = {task: bench.answer_format}
    scorer = Scorer(journal, job.evaluator("dev", answer_formats), phase=f"{task} {kind}")
    found = explored(job, scorer, answer_formats)
    result = Merged(space.realise(found.chosen.position))
    spent = 0
    if trains:
        trained = train_on_labels(job, found, most=most)
        spent = trained.passes + most * bench.dev_items
        best = trained.best
        dev = None if best.dev is None else best.dev.tasks[task]
        result = Merged(best.realise(space), dev=dev)
    trial.spend(scorer.item_evaluations + spent)
    bench.replayed_seconds += journal.replayed_seconds
    return result


def job_of(settings: Settings, space: MixtureSpace, budget: int, trains: bool) -> Job:
    """The job of the default search on a trial's task and experts.

    Args:
        settings: settings of the method.
        space: space over the experts.
        budget: items to score.
        trains: whether the result is trained.
    """
    bench = settings.trial.bench
    task = bench.task
    method = "scores"
    proposals = budget // bench.dev_items
    if (
        "dev" in bench.accuracy and bench.answer_format != "generate"
    ):  # right or wrong by its options
        method = "items"
        proposals = ALONE
    config = SearchConfig(
        base=bench.base.spec,
        experts=space.expert_names,
        tasks=(task.name,),
        out="",
        method=method,
        space=space.name,
        particles=len(space.expert_names) + SUMS["even"],
        start="even",
        proposals=proposals,
        train="on" if trains else "off",
        budget_items=budget,
        seed=settings.seed,
        scoring=bench.answer_format,
        no_rivals=True,  # baselines are methods of their own
    )
    objectives = Objectives({task.name: task}, {task.name: bench.metric}, {}, harmonic)
    pool = Pool(space, {}, experts=[expert.info for expert in settings.experts])
    return Job(config, objectives, pool=pool, engine=bench.engine)


def starting(bench: Bench, experts: int) -> int:
    """Items needed for the starting points of `experts` experts."""
    return (experts + SUMS["even"]) * bench.dev_items


def training(bench: Bench) -> int:
    """Items needed to train one model on dev, and to score it before and after."""
    items = len(bench.choices)
    return training_passes(items) + fold_passes(items) + 2 * bench.dev_items


def most_trained(bench: Bench, budget: int, experts: int) -> int:
    """The most models whose training a budget covers, besides the starting points."""
    return min(MOST_STARTS, (budget - starting(bench, experts)) // training(bench))
