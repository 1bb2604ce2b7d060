"""The methods that compete: fixed rules, searching methods, ensembles, and optimizers of the mixing
coefficients.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pyswarmopt_llm.common.config import (
    EVEN_SUMS,
    MAX_ITER,
    MODEL_SWARMS,
    NEVERGRAD,
    PARTICLES,
    PATIENCE,
)
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import missing_extra
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.optimizers import is_swarm, make_optimizer, module_of, optimizer_names
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.mix import build_space, space_kind
from pyswarmopt_llm.mix.factor import require_equal_modules
from pyswarmopt_llm.mix.starts import starting_points
from pyswarmopt_llm.scores.choices import labelled, training_passes
from pyswarmopt_llm.searching.cross_fitting import Fitting, cross_fit, not_worse
from pyswarmopt_llm.searching.surrogate import MOST_COEFFICIENTS
from pyswarmopt_rivals.comparison.bench import Bench, BudgetedTrial
from pyswarmopt_rivals.comparison.groups import is_group, load_group, written_out
from pyswarmopt_rivals.comparison.modelled import KIND, can_model, modelled_best
from pyswarmopt_rivals.methods import ENSEMBLES, METHODS, SEARCHING, load_method
from pyswarmopt_rivals.methods.changes import as_adapter, random_adapters
from pyswarmopt_rivals.methods.method import Ensemble, Merged, Method, Options
from pyswarmopt_rivals.methods.searching.by_optimizer import best_found

Kind = Literal["rule", "searching", "ensemble", "optimizer"]

ITEM_MODEL = "item-model"  # candidates that a model of the items proposes, as `search` by default
WITH_DEV = f"{ITEM_MODEL}+dev"  # whose result is trained on dev; see `jobs.search.cross_fitting`
ADAPTER = ":adapter"  # what a fixed rule makes, cut to the LoRA that `merge` writes of it
RANDOM = "random-adapters"  # item-model on adapters of random factors
MODELLED = (ITEM_MODEL, WITH_DEV, RANDOM)
NOTES = {
    MODEL_SWARMS: (
        "the published update and sizes in space factor, with one set of coefficients "
        "and every item scored"
    ),
    RANDOM: f"the search of {ITEM_MODEL}, over adapters of random factors in place of the experts",
}
# The optimizers in ``all``; any other name of `optimizer_names` and any nevergrad:NAME is known,
# too.
OPTIMIZERS = (
    MODEL_SWARMS,
    ITEM_MODEL,
    WITH_DEV,
    "constriction",
    "pycma",
    *(NEVERGRAD + name for name in ("CMA", "NGOpt", "DE", "TwoPointsDE", "RandomSearch")),
    RANDOM,
)
# On dev items, by gradient descent.
TRAINED = (
    "gradient",
    "gradient-module",
    "finetune-dev",
    "finetune-once",
    "finetune-best",
    "finetune-best-once",
)
UNENDING = 10**6  # rounds: the budget ends a search, or the optimizer itself


@dataclass(frozen=True)
class Contestant:
    """One row of the table."""

    name: str  # as in ``--methods``
    kind: Kind
    chance: bool  # whether another seed can change it

    def cost(self, experts: int, dev_items: int, budget: int) -> int:
        """Roughly the dev items that it will evaluate."""
        few = {
            "best-single": experts,
            "greedy-soup": 2 * experts,
            "cbtm": experts,
            "token": experts,
            "top-k": experts,
        }
        if self.kind == "rule" or self.name == "data-merge":
            return 0
        if self.name in few or (self.kind == "ensemble" and self.name != "few-shot"):
            per_item = experts if is_group(self.name) else few.get(self.name, 0)
            return min(budget, per_item * dev_items)
        return budget


@dataclass(frozen=True)
class Outcome:
    """The result of one run of a method."""

    dev: Score
    test: Score | None  # None without such a split
    items: int  # dev items evaluated to find it
    seconds: float  # to find it, that of its evaluations included, whenever they were done
    # (items so far, best dev score so far), if candidates were scored
    trace: tuple[tuple[int, float], ...]
    models: int  # run on each item in use: 1, or as many experts as an ensemble takes
    # read and written for each item in use by all models; None: unknown
    tokens: float | None = None
    # of the weight changes: the largest LoRA rank or ``full``; None: not one model
    rank: int | str | None = None
    error: float = 0.0  # relative Frobenius error of a cut to that rank


def known_methods() -> tuple[str, ...]:
    """All names, in the order of the documentation."""
    return (*METHODS, *SEARCHING, *ENSEMBLES, *OPTIMIZERS)


def contestant(name: str) -> Contestant:
    """The contestant of that name.

    Example:
        >>> contestant("ties")
        Contestant(name='ties', kind='rule', chance=False)
        >>> contestant("nevergrad:PSO").kind
        'optimizer'
    """
    if (rule := name.removesuffix(ADAPTER)) in METHODS or name in SEARCHING:
        return Contestant(
            name, "rule" if rule in METHODS else "searching", "seed" in load_method(rule).needs
        )
    if name in ENSEMBLES or is_group(name):
        return Contestant(name, "ensemble", "seed" in _ensemble(name).needs)
    if name.startswith(NEVERGRAD) or name in (*MODELLED, *optimizer_names()):
        return Contestant(name, "optimizer", True)
    raise unknown(
        "methods", name, known_methods(), f"use all or some of: {', '.join(known_methods())}"
    )


def why_not(who: Contestant, bench: Bench, budget: int) -> str | None:
    """Why a method cannot take part under a budget of dev items; None if it can."""
    if (missing := missing_for(who)) is not None:
        return missing
    if who.name == "data-merge":
        lacking = [
            expert.info.name for expert in bench.experts if not bench.chats.get(expert.info.name)
        ]
        return (
            f"needs the training data of {', '.join(lacking)} (`data` NAME=FILE)"
            if lacking
            else None
        )
    if who.kind == "ensemble" and not bench.accuracy:
        return f"needs answers that are right or wrong, this task is scored by {bench.metric.name}"
    unanswered = who.name == "lorahub" and not all(item.answer for item in bench.task.dev)
    if unanswered or (who.name in TRAINED and not bench.choices):
        return "needs the right answers of the dev items"
    if who.name in ("finetune-once", "finetune-best-once"):
        scored = 0 if who.name == "finetune-once" else len(bench.experts)
        needed = training_passes(len(bench.choices)) + scored * bench.dev_items
        if budget < needed:
            return f"training takes {needed} items"
    if who.name == MODEL_SWARMS:
        try:
            require_equal_modules([expert.info for expert in bench.experts])
        except UserError as error:
            return f"averages LoRA factors; {error.text}"
    if who.name == WITH_DEV:
        if not bench.accuracy or bench.scoring == "generate" or bench.dev_items < 2:
            return "its result is trained on options"
        if len(bench.experts) > MOST_COEFFICIENTS:
            return f"goes with at most {MOST_COEFFICIENTS} experts"
        needed = _training(bench) + (len(bench.experts) + EVEN_SUMS) * bench.dev_items
        if budget < needed:
            return f"training and the experts alone take {needed} items"
    if who.name == "few-shot" and bench.dev_items < 2:
        return "needs a dev item to show and another one to score"
    if who.kind == "ensemble" and not _ensemble(who.name).open_questions:
        open_ones = any(item.choices is None for item in (*bench.task.dev, *bench.task.test))
        if open_ones or (bench.scoring == "generate" and not is_group(who.name)):
            return "needs items with choices"
    return None


def missing_for(who: Contestant) -> str | None:
    """The extra that a method needs and that is not installed, as a reason; None if there is
    nothing.
    """
    if who.kind == "optimizer":
        return missing_extra(module_of(optimizer_of(who.name)))
    return missing_extra(
        (_ensemble(who.name) if who.kind == "ensemble" else method_of(who.name)).module
    )


@dataclass(frozen=True)
class Entry:
    """One run of one method: on which task, with which seed and budget."""

    who: Contestant
    bench: Bench
    seed: int
    budget: int  # dev items that it may evaluate
    space: str = "delta"  # of optimizers
    # of optimizers; None: as many as experts, and the sums that the item model begins with
    particles: int | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """Task, method and seed, which tell entries of a comparison apart."""
        return self.bench.task.name, self.who.name, self.seed


def run(entry: Entry) -> Outcome:
    """Let a method find its best and score that on dev and test."""
    who, bench, trial = entry.who, entry.bench, BudgetedTrial(entry.bench, entry.budget)
    start = time.perf_counter()
    if who.kind == "ensemble":
        return _run_ensemble(entry, trial, start)
    scores: dict[str, Score] = {}
    if who.kind == "optimizer":
        patch = _optimize(entry, trial)
        if who.name == WITH_DEV:
            patch, scores["dev"] = _trained(entry, patch)
        merged = Merged(patch)
    else:
        merged = _merge(entry, trial)
    seconds = time.perf_counter() - start - trial.seconds_here + trial.seconds_known
    for split in bench.questions:
        if split not in scores:
            scores[split] = bench.score(merged.patch, split)[0]
    return Outcome(
        *(
            scores["dev"],
            scores.get("test"),
            trial.spent,
            seconds,
            tuple(trial.trace),
            1,
            bench.tokens_per_item,
        ),
        rank="full"
        if merged.patch.full_rank
        else max((len(x.a) for x in merged.patch.low_rank.values()), default=0),
        error=merged.error,
    )


def _merge(entry: Entry, trial: BudgetedTrial) -> Merged:
    """The model of a fixed rule or a searching method, at full rank; cut only for a contestant that
    says so.
    """
    who, experts = entry.who, entry.bench.experts
    method = method_of(who.name)
    settings = method.settings(len(experts), None, Options(seed=entry.seed) if who.chance else None)
    merged = method.execute(experts, replace(settings, trial=trial))
    return as_adapter(merged, experts) if who.name.endswith(ADAPTER) else merged


def method_of(name: str) -> Method:
    """The method behind a contestant that merges.

    Example:
        >>> method_of("ties:adapter").name
        'ties'
    """
    return load_method(name.removesuffix(ADAPTER))


def optimizer_of(name: str) -> str:
    """The optimizer behind a contestant of that kind.

    Example:
        >>> optimizer_of("item-model+dev"), optimizer_of("random-adapters"), optimizer_of("pycma")
        ('model-swarms', 'model-swarms', 'pycma')
    """
    return MODEL_SWARMS if name in MODELLED else name


def _optimize(entry: Entry, trial: BudgetedTrial) -> Patch:
    """The best that an optimizer of coefficients finds: Model Swarms with update, starting
    points, sizes and rules to stop of the paper, the item model by the search of users, the others
    until the budget is spent.
    """
    name, bench = entry.who.name, entry.bench
    published, swarm = name == MODEL_SWARMS, is_swarm(optimizer_of(name))
    experts = random_adapters(bench.experts, entry.seed) if name == RANDOM else bench.experts
    space = build_space("factor" if published else entry.space, experts)
    modelled = name in MODELLED and can_model(bench, space)
    if name == WITH_DEV:
        trial.spend(_training(bench))
    least = count = len(space.expert_names)
    linear = swarm and not published and space_kind(entry.space).linear
    start, rounds, population = "sums" if linear else "segments", UNENDING, count
    if published:
        start, rounds, population = "segments", MAX_ITER, PARTICLES
    elif modelled:
        start, rounds, least = "even", 0, count + EVEN_SUMS
    population = max(entry.particles or population, least)
    if name.startswith(NEVERGRAD):
        rounds = max(trial.left // population - 1, 0)
    optimizer = make_optimizer(
        optimizer_of(name),
        starting_points(space, start, population, entry.seed),
        population=population,
        max_iter=rounds,
        patience=PATIENCE,
        seed=entry.seed,
    )
    if not modelled:
        return best_found(optimizer, trial, space.realise)
    position = modelled_best(
        optimizer,
        trial,
        space,
        kind=f"{KIND} {name} {entry.seed}" if name == RANDOM else KIND,
        population=population,
        seed=entry.seed,
    )
    return space.realise(position)


def _training(bench: Bench) -> int:
    """Items that the training of a mixture on dev takes, and its scoring."""
    items = len(bench.choices)
    return labelled(items).passes(items) + bench.dev_items


def _trained(entry: Entry, mixture: Patch) -> tuple[Patch, Score]:
    """A mixture after training on dev, or as it is, as `search` chooses, and its score on dev; what
    that takes has been charged.

    On dev each item is scored by what was trained without it, on test the patch is.
    """
    bench, items = entry.bench, entry.bench.choices
    settings = (bench.engine, mixture, items, bench.experts[0].info, entry.seed)
    fitting = Fitting(*settings, schedule=labelled(len(items)))
    dev = bench.accuracy["dev"]
    result = score_of(cross_fit(fitting, lambda places: dev(bench.engine, places).per_item))
    before = bench.score(mixture, "dev")[0]
    return (fitting.whole(), result) if not_worse(result, before) else (mixture, before)


def _run_ensemble(entry: Entry, trial: BudgetedTrial, start: float) -> Outcome:
    method, bench, n = _ensemble(entry.who.name), entry.bench, len(entry.bench.experts)
    if "dev" in method.needs:
        trial.spend(n * bench.dev_items)
    ensemble = method.fit(bench.panel.with_budget(trial), bench.accuracy["dev"], entry.seed)
    seconds = time.perf_counter() - start
    scores = {split: bench.ensemble_score(ensemble, split) for split in bench.questions}
    models, tokens = ensemble.models or n, ensemble.tokens_per_item  # of test, which is scored last
    if tokens is None and bench.tokens_per_item is not None:
        tokens = models * bench.tokens_per_item
    return Outcome(scores["dev"], scores.get("test"), trial.spent, seconds, (), models, tokens)


def _ensemble(name: str) -> Ensemble:
    return load_group(name) if is_group(name) else ENSEMBLES[name]


def ordered(names: Sequence[str], experts: int, dev_items: int, budget: int) -> list[Contestant]:
    """The contestants, the cheapest first; ``all`` stands for `known_methods`."""
    names_in_full: list[str] = []
    for name in names:
        names_in_full += (
            known_methods() if name == "all" else written_out(name) if is_group(name) else [name]
        )
    if not names_in_full:
        raise InvalidOption(
            "methods", None, "none given; use all, or names with commas between them"
        )
    contestants = [contestant(name) for name in dict.fromkeys(names_in_full)]
    return sorted(contestants, key=lambda who: who.cost(experts, dev_items, budget))
