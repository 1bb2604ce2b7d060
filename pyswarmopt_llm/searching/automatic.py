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
from pyswarmopt_llm.searching.plan import ENOUGH, Plan, modelled, reason
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED

CANDIDATES = 40  # of which iterations without another limit may score as many items
WRITING = 10  # particles where replies are written, so that `CANDIDATES` are several iterations


def automatic(plan: Plan) -> tuple[dict[str, Any], dict[str, str]]:
    """Choices of ``auto`` by task, and why not more."""
    if plan.config.quick:
        quick = {"method": "items", "particles": len(plan.config.experts) + SUMS["base"]}
        return {**quick, "proposals": 0, "start": "base", "train": "on"}, {}
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
    """What proposes, its particles and proposals, or a budget for iterations.

    Without a setting of iterations there are none: proposals of a model do better for fewer passes.
    What is scored then are the experts, the base, their average and sum, and the proposals.
    Iterations that nothing ends have a budget, without which they may take hours.
    """
    config = plan.config
    method = _method(plan)
    starting = len(config.experts) + SUMS["even"]
    if method == "items":
        return {"method": method, "particles": starting}
    if method == "scores":
        starting = max(config.particles or 0, starting)
        most = max(CANDIDATES - starting, ALONE)
        return {"method": method, "particles": starting, "proposals": most}
    if config.max_iter is not None or config.budget_items is not None:
        return {"method": method}
    if not modelled("items", plan):
        return {"method": method, "budget_items": max(CANDIDATES, config.population) * plan.items}
    if not _costly(plan):
        return {"method": method}
    particles = config.particles or max(WRITING, len(config.experts))
    population = replace(config, particles=particles).population
    rounds = max(1, CANDIDATES // population - 1)
    return {"method": method, "particles": particles, "max_iter": rounds}


def _method(plan: Plan) -> str:
    """What proposes candidates: a model where one can learn, unless iterations are asked for."""
    if plan.config.method != "auto":
        return plan.config.method
    if plan.iterations_given:
        return "swarm"
    if not modelled("items", plan):
        return "items"
    return "scores" if _costly(plan) and not modelled("scores", plan) else "swarm"


def _costly(plan: Plan) -> bool:
    """Whether an evaluation writes replies, or is a user's function."""
    return plan.objectives.writes or plan.objectives.user_scored
