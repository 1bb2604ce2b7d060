"""Preset ``auto``: what a search chooses by its tasks, the best that this project's tables know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import (
    ALONE,
    LEAST_DEV,
    LEAST_DEV_BESIDE_SPARE,
    LEAST_TRAINED,
    SUMS,
)
from pyswarmopt_llm.searching.plan import ENOUGH, Plan, reason
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED

CANDIDATES = 40  # of which iterations without another limit may score as many items
WRITING = 10  # particles where replies are written, so that `CANDIDATES` are several iterations
_OF_ITERATIONS = ("optimizer", "max_iter", "patience", "settings", "drop_k", "drop_n")


def automatic(plan: Plan) -> tuple[dict[str, Any], dict[str, str]]:
    """Choices of ``auto`` by task, and why not more."""
    if plan.config.quick:
        particles = len(plan.config.experts) + 1
        chosen = {"max_iter": 0, "particles": particles, "proposals": 0, "start": "base"}
        return {**chosen, "train": "on"}, {}
    chosen, why = _rounds(plan), dict[str, str]()
    few = _too_few(plan)
    paid = any(metric.usage for metric in plan.objectives.metrics.values())
    if paid or reason("train", plan, but_for=ENOUGH):
        return chosen, why
    if not few:
        chosen["train"] = "on"
    elif plan.config.train == "auto":
        why[UNTRAINED] = few
    return chosen, why


def _too_few(plan: Plan) -> str:
    """Why ``auto`` does not train on so few dev items, and the remedy; "" if there are enough."""
    least = LEAST_DEV_BESIDE_SPARE if plan.objectives.spare else LEAST_DEV
    items = plan.distinct("dev")
    if items >= least:
        return ""
    remedy = " or give `train on`" if items >= LEAST_TRAINED else ""
    name, beside = "example", ""
    if plan.objectives.written:
        name, least = "prompt", LEAST_DEV_BESIDE_SPARE
        beside = f", or from {least} (`dev` {least}) with as many spare ones"
    return (
        f"{counted(items, f'dev {name}')}, too few to train on: `auto` trains from {LEAST_DEV} "
        f"on{beside}; add {name}s{remedy}"
    )


def _rounds(plan: Plan) -> dict[str, Any]:
    """Particles, iterations, proposals and who makes them, or a budget for iterations.

    Without a setting of iterations there are none: proposals of a model do better for fewer passes.
    What is scored then are the experts, the base, their average and sum, and the proposals.
    Iterations that nothing ends have a budget, without which they may take hours.
    """
    config, experts = plan.config, len(plan.config.experts)
    starting = experts + SUMS["even"]
    free = not any(name in plan.given for name in _OF_ITERATIONS)
    endless = config.max_iter is None and config.budget_items is None
    if not reason("surrogate", plan):
        if free or config.max_iter == 0:
            return {"max_iter": 0, "surrogate": "items", "particles": starting}
        return {"budget_items": max(CANDIDATES, config.population) * plan.items} if endless else {}
    if not (plan.objectives.writes or plan.objectives.user_scored):
        return {}
    starting = max(config.particles or 0, starting)
    if free and not reason("proposals", plan):
        most = max(CANDIDATES - starting, ALONE)
        return {"max_iter": 0, "particles": starting, "proposals": most}
    if not endless:
        return {}
    particles = config.particles or max(WRITING, experts)
    population = replace(config, particles=particles).population
    return {"particles": particles, "max_iter": max(1, CANDIDATES // population - 1)}
