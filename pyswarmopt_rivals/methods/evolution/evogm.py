"""EvoGM: two networks learn from scored mixtures how to make better ones.

Jiang et al. 2026, arXiv 2605.29295, "EvoGM: Learning to Merge LLMs via Evolutionary Generative Optimization"; structure
and constants as in the authors' released code. A candidate is dW = sum l_i dW_i with l in [-1, 1]^n.

- A round begins with the current experts, their average and uniform random coefficients, `POPULATION` in all.
- An iteration splits all that the round has scored into winners, the best 30%, and losers. Two networks, lose2win and
  win2lose, are trained for `EPOCHS` steps on 100 times the cycle losses |win2lose(lose2win(l)) - l|^2 and
  |lose2win(win2lose(w)) - w|^2 (mean squares) plus the distance of lose2win(l) from the winners' mean. Then lose2win
  maps the whole population, the images are scored, and the best `POPULATION` of both survive. Each round has new
  networks.
- Basis shift: the best n mixtures of a round are the experts of the next one, and its coefficients are of theirs.

The released configuration has two rounds of three iterations: 160 candidates. With a smaller budget the population is
an eighth of it here, but at least all experts and their average, and a round ends when its share of the budget is
spent; with a larger one there are more rounds. Known mixtures, as all new experts are, are not charged again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.spaces import build_space
from pyswarmopt_rivals.methods.method import Merged, Settings, Trial

ROUNDS, ITERATIONS, POPULATION = 2, 3, 20
WINNERS = 0.3
WIDTHS = (128, 256, 256, 256, 128)
EPOCHS, RATE = 200, 1e-4
CYCLE = 100.0


def network(size: int) -> nn.Sequential:
    """A multilayer perceptron from coefficients to coefficients in [-1, 1]."""
    layers: list[nn.Module] = []
    for into, out in zip((size, *WIDTHS[:-1]), WIDTHS, strict=True):
        layers += [nn.Linear(into, out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTHS[-1], size), nn.Tanh())


class Generators:
    """The two networks of a round and their optimizer; `seed` is that of the weights and of the rows a step sees."""

    def __init__(self, size: int, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.lose2win, self.win2lose = network(size), network(size)
        self._generator = torch.Generator().manual_seed(seed)
        parameters = [*self.lose2win.parameters(), *self.win2lose.parameters()]
        self._optimizer = torch.optim.Adam(parameters, lr=RATE)

    def train(self, winners: Tensor, losers: Tensor) -> None:
        """`EPOCHS` steps, each on as many winners as losers."""
        winners, losers = winners.float(), losers.float()
        fewer = min(len(winners), len(losers))
        for _ in range(EPOCHS if fewer else 0):
            self._optimizer.zero_grad()
            self.loss(self._some(winners, fewer), self._some(losers, fewer)).backward()
            self._optimizer.step()

    def loss(self, winners: Tensor, losers: Tensor) -> Tensor:
        """Cycle consistency, and how far improved losers are from the winners' mean."""
        better, worse = self.lose2win(losers), self.win2lose(winners)
        cycles = mse_loss(self.win2lose(better), losers) + mse_loss(self.lose2win(worse), winners)
        return CYCLE * cycles + mse_loss(better, winners.mean(0, keepdim=True).expand_as(better))

    def improved(self, population: Tensor) -> Tensor:
        """The population as lose2win maps it, (N, n) float64."""
        with torch.no_grad():
            return self.lose2win(population.float()).double()

    def _some(self, rows: Tensor, count: int) -> Tensor:
        return rows[torch.randperm(len(rows), generator=self._generator)[:count]] if len(rows) > count else rows


class Scored:
    """Dev scores of mixtures of the original experts."""

    def __init__(self, space: Space, trial: Trial) -> None:
        self._space, self._trial = space, trial
        self._evaluated: dict[bytes, tuple[float, Tensor]] = {}

    def of(self, coefficients: Tensor) -> float | None:
        """The score of a mixture, (n,) float64; None when the budget is spent."""
        key = coefficients.numpy().tobytes()
        if key not in self._evaluated:
            if self._trial.left < 1:
                return None
            self._evaluated[key] = (self._trial.score(self._space.realise(coefficients)).value, coefficients)
        return self._evaluated[key][0]

    @property
    def best(self) -> Tensor:
        """Coefficients of the best mixture so far, the first on a tie."""
        return max(self._evaluated.values(), key=lambda pair: pair[0])[1]


class Round:
    """A search over coefficients of the rows of a basis, (n, n) float64, each row a mixture of the original experts.

    `history` and `scores` are everything scored in the round, (N, n) and (N,).
    """

    def __init__(self, basis: Tensor, scored: Scored, population: int, rng: np.random.Generator) -> None:
        n = len(basis)
        self.basis, self._scored, self._size = basis, scored, population
        random = torch.from_numpy(rng.uniform(-1, 1, size=(max(0, population - n - 1), n)))
        first = torch.cat([torch.eye(n, dtype=torch.float64), torch.full((1, n), 1 / n, dtype=torch.float64), random])
        self.history, self.scores = self._judged(first)
        self.population, self._current = self.history, self.scores

    def iterate(self, generators: Generators) -> None:
        """Train, improve the population, keep the best."""
        order = ranked(self.scores)
        winners = max(1, int(WINNERS * len(order)))
        generators.train(self.history[order[:winners]], self.history[order[winners:]])
        images, values = self._judged(generators.improved(self.population))
        self.history, self.scores = torch.cat([self.history, images]), torch.cat([self.scores, values])
        everyone, scores = torch.cat([self.population, images]), torch.cat([self._current, values])
        stay = ranked(scores)[: self._size]
        self.population, self._current = everyone[stay], scores[stay]

    def shifted(self) -> Tensor:
        """The basis of the next round: the best mixtures of this one; the old basis where they are too few."""
        n = len(self.basis)
        if len(self.history) < n:
            return self.basis
        # Row by row, as they were scored: one product may round otherwise, and they would be paid for again.
        return torch.stack([self.history[k] @ self.basis for k in ranked(self.scores)[:n]])

    def _judged(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The rows that the budget covers, and their scores."""
        values = [self._scored.of(row @ self.basis) for row in rows]
        covered = [k for k, value in enumerate(values) if value is not None]
        return rows[covered], torch.tensor([values[k] for k in covered], dtype=torch.float64)


def ranked(scores: Tensor) -> Tensor:
    """Indices from the best score to the worst, stable on ties."""
    return scores.argsort(descending=True, stable=True)


def population_for(experts: int, candidates: int) -> int:
    """Coefficients per round for a budget of so many candidates; see the module.

    Example:
        >>> population_for(12, 400), population_for(12, 80), population_for(3, 40)
        (20, 13, 5)
    """
    return max(experts + 1, min(POPULATION, candidates // (ROUNDS * (1 + ITERATIONS))))


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Search until the budget is spent."""
    trial, rng = settings.need_trial(), np.random.default_rng(settings.seed)
    space = build_space(settings.space, experts)
    scored, basis = Scored(space, trial), space.vertices()
    size, share = population_for(len(experts), trial.left), trial.left // ROUNDS
    while trial.left > 0:
        before = trial.left
        search = Round(basis, scored, size, rng)
        generators = Generators(len(experts), int(rng.integers(2**31)))
        for _ in range(ITERATIONS):
            search.iterate(generators)
            if trial.left < 1 or before - trial.left >= share:
                break
        if trial.left == before:  # all of it was known
            break
        basis = search.shifted()
    return Merged(space.realise(scored.best))
