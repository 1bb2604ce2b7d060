"""Candidates that the model of the items proposes, and the choice of one by its margins.

Counts of right answers are noisy and stepped; margins are neither. Their *width* at a candidate is
the mean over items of the logistic function of the closest rival's margin, in units of `SOFTNESS`
times the margins' standard deviation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt_llm.common.optimizers import maximise
from pyswarmopt_llm.evaluation.surrogate.screening import Floats, Screening

SOFTNESS = 0.4
_PARTICLES, _ITERATIONS, _PATIENCE = 40, 100, 10  # of the swarm that maximises the width


def proposals(
    screening: Screening, seed: int, count: int, least_gain: float = -np.inf
) -> Iterator[Tensor]:
    """`proposal`, `count` times with one seed after the other; learn from each before the next is
    taken. Where experts are harmful, the sum of the others comes first.

    Args:
        screening: what was learnt.
        seed: of the first.
        count: at most so many.
        least_gain: standard errors that the model has to expect the first to be ahead of the best;
            else there is none.
    """
    screening.leave_out_harmful()
    if screening.left_out:
        count -= 1
        yield screening.rest.sum
    for number in range(count):
        position = proposal(screening, seed + number)
        if position is None or (not number and gain(screening, position) < least_gain):
            return
        yield position


def gain(screening: Screening, position: Tensor) -> float:
    """How far the model expects a candidate, (D,), to be ahead of the best that was scored in full,
    in standard errors of that one's accuracy.
    """
    best = screening.best
    error = np.sqrt(max(best * (1 - best), 1e-12) / sum(screening.items.values()))
    right = screening.model().right(position.numpy()[None]).mean()
    return float((right - best) / error)


def proposal(screening: Screening, seed: int) -> Tensor | None:
    """Where a swarm finds the greatest expected width; no item is scored.

    Swarms on scores have to feel their way; this one sees a smooth function and can look at it
    thousands of times.

    Args:
        screening: what was learnt.
        seed: of the swarm.

    Returns:
        The position, (D,) float64; None where nothing was scored in full.
    """
    scored = screening.in_full
    if not scored:
        return None
    spread = float(screening.closest(scored).std())
    model, rest = screening.model(), screening.rest

    def width(part: Tensor) -> Tensor:
        return torch.from_numpy(_width(model.margins(rest.whole(part).numpy()), spread))

    scored_before = torch.from_numpy(rest.of(screening.positions))
    start = scored_before[width(scored_before).argsort(descending=True, stable=True)[:_PARTICLES]]
    recipe = replace(
        pso.recipes.constriction(), stop=(Patience(_PATIENCE), MaxIter(_ITERATIONS)), restart=()
    )
    swarm = pso.Swarm(
        positions=start,
        population=_PARTICLES,
        recipe=recipe,
        maximize=True,
        seed=seed,
        dtype=start.dtype,
    )
    return rest.whole(maximise(swarm, lambda part: width(part).tolist()).x)


def widest(screening: Screening, floor: float = -np.inf) -> Tensor | None:
    """Of the candidates scored in full that are about as good as the best, that of greatest width.

    About as good is within a standard error of the best value (the rule of Breiman et al. 1984,
    section 3.4.3). What won many comparisons on the same items owes part of that to luck on items
    that were nearly lost; margins tell more than right and wrong.

    Args:
        screening: what was learnt.
        floor: the widest is of no lower value.

    Returns:
        Its position, (D,) float64; None where nothing of that value was scored in full.
    """
    scored = screening.in_full
    if not scored:
        return None
    best = screening.best
    error = np.sqrt(max(best * (1 - best), 0.0) / sum(screening.items.values()))
    closest = screening.closest(scored)
    width = _width(closest, closest.std())
    near = [i for i, (_, value) in enumerate(scored) if value >= max(best - error, floor)]
    if not near:
        return None
    return torch.from_numpy(scored[max(near, key=lambda i: width[i])][0].position.copy())


def _width(closest: Floats, spread: float) -> Floats:
    """(N,) from the (N, I) closest rivals' margins; items of which nothing is known are left
    out.
    """
    widths: Floats = np.nanmean(expit(closest / (SOFTNESS * (spread or 1.0))), axis=1)
    return widths
