"""The second half of a search over graphs: the models at the nodes move too (Feng et al. 2025, weight-step).

The graph that the first half found is kept. Its models are the particles of another `Swarm` with the same recipe, on
coefficients of the experts. In each iteration they are assigned to the nodes at random, several times; a particle's
value is its JFK-score. The result is the best graph with its models seen on dev.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import PlacedSpace, StructureSpace
from pyswarmopt_llm.common.optimizers import optimizer, released
from pyswarmopt_llm.evaluation.evaluator import Evaluator
from pyswarmopt_llm.evaluation.run_directory import Checkpoint, Run
from pyswarmopt_llm.evaluation.scorer import OnRow, Scorer
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.jobs.search.selection import Choice
from pyswarmopt_llm.spaces.graph.jfk import ASSIGNMENTS, assignments, jfk_scores
from pyswarmopt_llm.tasks import Scoring

PHASE = "weights"  # of the rows in history.jsonl


def weight_step(
    job: Job,
    graphs: StructureSpace,
    run: Run,
    chosen: Choice,
    structure: Scorer,
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
    on_row: OnRow,
) -> tuple[Choice, dict[str, Any] | None]:
    """Optimise the models of the chosen graph.

    `structure` scored the graphs and says what is spent already. Returns what is handed over, and what ``result.json``
    says of it; `chosen` and None if the experts are no adapters of one base, or if the budget is spent.
    """
    if not graphs.mixable:
        text = "the experts are no adapters of one base, so the graph keeps them as they are: no weight step"
        notify(Event("note", {"text": text}))
        return chosen, None
    one = max(ASSIGNMENTS, len(graphs.expert_names)) * job.dev_items  # items of an iteration
    if job.budget.spent([structure.item_evaluations - one, structure.item_evaluations], structure.seconds):
        notify(Event("note", {"text": "the budget is spent: no weight step"}))
        return chosen, None
    space = graphs.placed(chosen.position)
    evaluator = Evaluator(space, job.engine, job.utilities("dev", scorings), job.objectives.combine)
    scorer = Scorer(run, space, evaluator, PHASE, on_row)
    notify(Event("note", {"text": f"weight step: {space.places} models of the graph, from dev {chosen.value:.3f}"}))
    experts = torch.eye(len(space.expert_names), dtype=torch.float64)
    with released(optimizer(replace(job.config, particles=len(experts)), experts)) as swarm:
        found = _loop(job, run, space, swarm, scorer, structure, notify)
    better = found["best_dev"] > chosen.value and _confirmed(job, run, space, found["position"], chosen, scorings)
    summary = {"dev_before": chosen.value, **{key: value for key, value in found.items() if key != "position"}}
    notify(Event("note", {"text": f"weight step: dev {found['best_dev']:.3f}, {'taken' if better else 'not taken'}"}))
    after = replace(chosen, position=found["position"], value=found["best_dev"], space=space) if better else chosen
    return after, {**summary, "taken": better}


def _loop(
    job: Job, run: Run, space: PlacedSpace, swarm: pso.Optimizer, scorer: Scorer, structure: Scorer, notify: OnEvent
) -> dict[str, Any]:
    """Ask for models, assign them to the nodes, tell JFK-scores, until the swarm or the budget has a reason to stop."""
    checkpoint = Checkpoint(run.path / "checkpoint" / "weights.npz")
    rng = np.random.default_rng([job.config.seed, 5])
    best, position = -np.inf, torch.empty(0)
    items = [structure.item_evaluations]
    iterations = 0
    reasons: dict[str, float] = {}
    while not reasons:
        models = swarm.ask()
        assigned = assignments(len(models), space.places, rng)
        systems = [models[torch.from_numpy(row)].flatten() for row in assigned]
        values = [row.value for row in scorer.in_full(systems, iterations)]
        for system, value in zip(systems, values, strict=True):
            if value > best:
                best, position = value, system
        swarm.tell(models, jfk_scores(assigned, values, len(models)).tolist())
        checkpoint.keep(swarm)
        notify(Event("note", {"text": f"weight step, iteration {iterations}: best dev {best:.4f}"}))
        iterations += 1
        items.append(structure.item_evaluations + scorer.item_evaluations)
        reasons = {**swarm.stop(), **job.budget.spent(items, structure.seconds + scorer.seconds)}
    return {"best_dev": best, "position": position, "iterations": iterations, "stop": reasons}


def _confirmed(
    job: Job, run: Run, space: PlacedSpace, position: Tensor, chosen: Choice, scorings: Mapping[str, Scoring]
) -> bool:
    """With ``--confirm``: whether it is better on the fresh items, too."""
    if not job.objectives.fresh:
        return True
    utilities, combine = job.utilities("fresh", scorings), job.objectives.combine
    values = []
    for where, x in ((space, position), (job.space, chosen.position)):
        scorer = Scorer(run, where, Evaluator(where, job.engine, utilities, combine), phase="confirm")
        values += [row.value for row in scorer.in_full([x], 0)]
    return values[0] > values[1]
