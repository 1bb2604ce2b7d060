"""The competing methods: fixed rules, searching methods, ensembles, and optimizers of mixing
coefficients.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

from pyswarmopt_llm.common.config import MODEL_SWARMS, MOST_COEFFICIENTS, NEVERGRAD
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.extras import missing_extra
from pyswarmopt_llm.common.own import is_function
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.run.record import pack
from pyswarmopt_llm.scores.choices import training_passes
from pyswarmopt_llm.searching.optimizers import is_swarm, optimizer_names
from pyswarmopt_rivals.bench import Bench, BudgetedBench
from pyswarmopt_rivals.methods import ENSEMBLES, METHODS, SEARCHING
from pyswarmopt_rivals.methods.method import DELTA, ITEM_MODEL, RANDOM, WITH_DEV, Kind, Method
from pyswarmopt_rivals.methods.own import own_method
from pyswarmopt_rivals.methods.searching.optimizers import MODELLED, starting, training

ADAPTER = ":adapter"  # a fixed rule's result, cut to the LoRA that `merge` would write
# The optimizers in ``all``; other names of `optimizer_names` and any nevergrad:NAME are accepted,
# too.
OPTIMIZERS = (
    MODEL_SWARMS,
    ITEM_MODEL,
    WITH_DEV,
    "constriction",
    *(NEVERGRAD + name for name in ("CMA", "NGOpt", "DE", "TwoPointsDE", "RandomSearch")),
    RANDOM,
)
# Gradient descent on dev items.
TRAINED = (
    "gradient",
    "gradient-module",
    "finetune-dev",
    "finetune-once",
    "finetune-best",
    "finetune-best-once",
)


def known_methods() -> tuple[str, ...]:
    """All names, in the order of the documentation."""
    return (*METHODS, *SEARCHING, *ENSEMBLES, *OPTIMIZERS)


def contestant(name: str) -> Method:
    """The method with this name.

    Example:
        >>> ties = contestant("ties:adapter")
        >>> ties.kind, ties.chance
        ('rule', False)
        >>> contestant("nevergrad:PSO").kind
        'optimizer'
    """
    table = {**METHODS, **SEARCHING, **ENSEMBLES}
    if name in table:
        return table[name]
    if (rule := METHODS.get(name.removesuffix(ADAPTER))) is not None:
        return replace(rule, name=name, function="cut_to_adapter", arguments=(rule,))
    if (mine := own_method(name)) is not None:
        return mine
    known = (*MODELLED, *optimizer_names())
    if name.startswith(NEVERGRAD) or name in known or is_function(name):
        return Method(
            name,
            "",
            "optimise",
            (name,),
            spaces=DELTA,
            needs=frozenset({"dev", "seed"}),
            module=None if is_swarm(name) else "nevergrad",
            kind="optimizer",
        )
    names = known_methods()
    raise unknown("methods", name, names, f"use all, or some of: {', '.join(names)}")


def why_not(method: Method, bench: Bench, budget: int) -> str | None:
    """Why a method cannot take part with a budget of dev items; None if it can."""
    return missing_extra(method.module) or next(_reasons(method, bench, budget), None)


def _reasons(method: Method, bench: Bench, budget: int) -> Iterator[str]:
    """Everything that a method lacks."""
    name = method.name
    if name == "data-merge":
        names = [expert.info.name for expert in bench.experts]
        if lacking := [expert for expert in names if not bench.chats.get(expert)]:
            yield f"needs the training data of {', '.join(lacking)} (`data` NAME=FILE)"
    unanswered = name == "lorahub" and not all(item.answer for item in bench.task.dev)
    if unanswered or (name in TRAINED and not bench.choices):
        yield "needs the right answers of the dev examples"
    if method.kind == "ensemble":
        yield from _unanswerable(method, bench)
    yield from _too_expensive(name, bench, budget)
    if name == WITH_DEV:
        yield from _untrainable(bench, budget)


def _unanswerable(method: Method, bench: Bench) -> Iterator[str]:
    """Why an ensemble cannot answer a task."""
    if not bench.accuracy:
        yield f"needs answers that are right or wrong, but this task is scored by {bench.metric.name}"
    if method.name == "few-shot" and bench.dev_items < 2:
        yield "needs one dev example to show and another to score"
    if not method.open_questions:
        open_ones = any(item.choices is None for item in (*bench.task.dev, *bench.task.test))
        if open_ones or bench.answer_format == "generate":
            yield "needs answer choices"


def _too_expensive(name: str, bench: Bench, budget: int) -> Iterator[str]:
    """Why a budget of dev items is too small for a method."""
    experts = len(bench.experts)
    if name in ("finetune-once", "finetune-best-once"):
        needed = training_passes(len(bench.choices))
        if name == "finetune-best-once":
            needed += experts * bench.dev_items
        if budget < needed:
            yield f"training needs a budget of {needed} examples"
    modelled = name in (ITEM_MODEL, RANDOM) and experts <= MOST_COEFFICIENTS
    if modelled and budget < starting(bench, experts):
        yield f"its starting points need a budget of {starting(bench, experts)} examples"


def _untrainable(bench: Bench, budget: int) -> Iterator[str]:
    """Why a mixture cannot be trained on dev."""
    experts = len(bench.experts)
    if not bench.accuracy or bench.answer_format == "generate" or bench.dev_items < 2:
        yield "needs answer choices to train on"
    if experts > MOST_COEFFICIENTS:
        yield f"works with at most {MOST_COEFFICIENTS} experts"
    needed = training(bench) + starting(bench, experts)
    if budget < needed:
        yield f"training and scoring the experts need a budget of {needed} examples"


def run(method: Method, bench: Bench, seed: int, budget: int) -> dict[str, Any]:
    """Let a method search within a budget of dev items, and score its result on dev and test.

    Returns:
        ``dev``, ``test``: packed item values; ``items``: dev items
            evaluated in the search; ``seconds`` of the search, stored evaluations included;
            ``models`` run per item in use; ``rank`` of the weight changes, None unless it is one
            model; ``relative_error`` of truncation to that rank, else 0.
    """
    experts = bench.experts
    trial = BudgetedBench(bench, budget)
    replayed = bench.replayed_seconds
    start = time.perf_counter()
    if method.kind == "ensemble" and "dev" in method.needs:  # each expert answers dev
        trial.spend(len(experts) * bench.dev_items)
    settings = replace(method.settings(len(experts)), seed=seed, trial=trial)
    found = method.execute(experts, settings)
    seconds = time.perf_counter() - start + bench.replayed_seconds - replayed
    scores = {split: pack(found.score(bench, split).per_item) for split in bench.questions}
    return {
        **scores,
        "items": trial.spent,
        "seconds": round(seconds, 3),
        "models": found.models or len(experts),
        "rank": found.rank,
        "relative_error": found.error,
    }


def ordered(names: Sequence[str]) -> list[Method]:
    """The methods, cheapest first; ``all`` stands for `known_methods`."""
    names_in_full: list[str] = []
    for name in names:
        names_in_full += known_methods() if name == "all" else [name]
    if not names_in_full:
        raise InvalidOption("methods", None, "is missing; use all, or names separated by commas")
    methods = [contestant(name) for name in dict.fromkeys(names_in_full)]
    return sorted(methods, key=lambda method: get_args(Kind).index(method.kind))
