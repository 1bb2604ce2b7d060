"""Token swarm: the experts' next-token distributions, mixed with weights that a swarm finds on dev.

Feng et al. 2024, arXiv 2410.11163, token-probability arithmetic: P(token) = sum_i c_i P_i(token).
Each expert scores each option once; from then on a particle is arithmetic on a small array.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyswarmopt_llm.common.optimizers import make_optimizer, maximise
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.tokens.mixing import OptionTable, mixing_weights
from pyswarmopt_rivals.methods.ensembles.panel import LikelihoodAnswerer, Pairs, Panel

PARTICLES, ROUNDS, PATIENCE = 20, 50, 10  # the paper's N, K and c


class PanelMixture:
    """The experts of a panel, mixed by one set of weights; evaluated once for each list of
    pairs.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self.weights = torch.full((panel.n,), 1 / panel.n, dtype=torch.float64)
        self._tables: dict[tuple[tuple[str, str], ...], OptionTable] = {}

    def loglikelihood(self, pairs: Pairs) -> list[float]:
        """Sum over tokens of log sum_i w_i P_i(token | all before it)."""
        key = tuple(pairs)
        if key not in self._tables:
            rows = self._panel.token_logprobs(pairs)
            owner = torch.tensor(
                [k for k, row in enumerate(rows) for _ in range(row.shape[1])], dtype=torch.int64
            )
            table = torch.cat([row.double().T for row in rows])
            self._tables[key] = OptionTable(table, owner, len(rows))
        return self._tables[key].loglikelihood(self.weights)


def fit(panel: Panel, dev: Accuracy, seed: int) -> LikelihoodAnswerer:
    """Let a swarm maximise accuracy on dev."""
    mixture = PanelMixture(panel)
    mixed = LikelihoodAnswerer(mixture.loglikelihood)

    def value(position: Tensor) -> float:
        mixture.weights = mixing_weights(position)
        return sum(dev.judge(mixed.answers(dev))) / len(dev.items)

    swarm = make_optimizer(
        "model-swarms",
        torch.eye(panel.n, dtype=torch.float64),
        population=max(PARTICLES, panel.n),
        max_iter=ROUNDS,
        patience=PATIENCE,
        seed=seed,
    )
    best = maximise(swarm, lambda positions: [value(x) for x in positions])
    mixture.weights = mixing_weights(best.x)
    return mixed
