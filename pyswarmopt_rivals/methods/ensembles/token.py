"""Token swarm: the experts' next-token distributions, mixed with weights that a swarm finds on dev.

Feng et al. 2024, arXiv 2410.11163, token-probability arithmetic: P(token) = sum_i c_i P_i(token).
Each expert scores each option once; a particle is then arithmetic on a small array. The swarm has
one set of coefficients, while the paper takes the best of a grid, and a negative c_i counts as 0,
which the paper leaves open.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyswarmopt_llm.common.config import MAX_ITER, MODEL_SWARMS, PARTICLES, PATIENCE
from pyswarmopt_llm.searching.optimizers import make_optimizer
from pyswarmopt_llm.tokens.mixing import mixing_weights
from pyswarmopt_rivals.methods.ensembles.answerer import LikelihoodAnswerer
from pyswarmopt_rivals.methods.method import Settings


def fit(settings: Settings) -> LikelihoodAnswerer:
    """Let a swarm maximise accuracy on dev."""
    panel = settings.trial.bench.panel
    dev = settings.trial.bench.labelled

    def mixed(position: Tensor) -> LikelihoodAnswerer:
        weights = mixing_weights(position)
        return LikelihoodAnswerer(lambda pairs: panel.table(pairs).loglikelihood(weights))

    def value(position: Tensor) -> float:
        return sum(dev.judge(mixed(position).answers(dev))) / len(dev.items)

    swarm = make_optimizer(
        MODEL_SWARMS,
        torch.eye(panel.n, dtype=torch.float64),
        population=max(PARTICLES, panel.n),
        max_iter=MAX_ITER,
        patience=PATIENCE,
        seed=settings.seed,
    )
    while not swarm.stop():
        positions = swarm.ask()
        swarm.tell(positions, [value(x) for x in positions])
    return mixed(swarm.best.x)
