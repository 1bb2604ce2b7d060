"""The consensus game: a proposer and an evaluator of candidate answers are brought to agree (equilibrium ranking)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """The players' final policies.

    Attributes:
        answer: the candidate of the highest proposer probability given "correct"; of equal ones the first-listed.
        proposer: (2, K), P(candidate | correct) and P(candidate | incorrect), rows sum to 1.
        evaluator: (2, K), P(correct | candidate) and P(incorrect | candidate), columns sum to 1.
        iterations: number of rounds played.
    """

    answer: str
    proposer: Array
    evaluator: Array
    iterations: int


def equilibrium_ranking(
    candidates: Sequence[str],
    proposer: ArrayLike,
    evaluator: ArrayLike,
    *,
    anchor: float = 0.1,
    rate: float = 0.1,
    iterations: int = 5000,
) -> Ranked:
    """Regularised regret minimisation between a proposer and an evaluator of answers.

    Source: Jacob et al. 2023, "The Consensus Game", arXiv 2310.09139 (their EQUILIBRIUM-RANKING), with their values of
    `anchor` (lambda), `rate` (eta) and `iterations`. A coin v says correct or incorrect, the proposer sends a
    candidate y for it, the evaluator guesses v from y, and both get 1 if the guess is right. Each player minimises its
    regret with a penalty lambda KL(policy || initial policy), which ties the signals to what the models said:

        Q_t(y | v) = 1 / (2 t) * sum over s <= t of evaluator_s(v | y)
        proposer_{t+1}(y | v) ~ exp((Q_t(y | v) + lambda log proposer_1(y | v)) / (1 / (eta t) + lambda))

    and the evaluator likewise. Ranks by the proposer (their ER-G); the evaluator's ranking (ER-D) is `evaluator[0]`.

    Args:
        candidates: K answers.
        proposer: (2, K) what the proposer gives each candidate when asked for a correct (row 0) and for an incorrect
            answer (row 1); above 0, each row is normalised.
        evaluator: (2, K) what the evaluator gives to "correct" (row 0) and "incorrect" (row 1) on seeing the candidate;
            above 0, each column is normalised.
        anchor: weight lambda of staying near the initial policies, above 0.
        rate: learning rate eta, above 0.
        iterations: rounds of the game.

    Raises:
        ValueError: no candidates, one named twice, tables that are not (2, K) or not above 0 and finite, a parameter
            out of its range.

    Example:
        >>> ranked = equilibrium_ranking(["4", "5"], [[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.2], [0.1, 0.8]])
        >>> ranked.answer, bool(ranked.proposer[0, 0] > 0.9)
        ('4', True)
    """
    if isinstance(candidates, str) or len(candidates) == 0 or len(set(candidates)) < len(candidates):
        raise ValueError(f"candidates {candidates!r}: give a list of at least one answer, each once")
    if not (0 < anchor < np.inf and 0 < rate < np.inf and iterations >= 1):
        raise ValueError(f"anchor {anchor}, rate {rate}, iterations {iterations}: give numbers above 0")
    first_g = _table(proposer, len(candidates), "proposer")
    first_d = _table(evaluator, len(candidates), "evaluator")
    log_g = np.log(first_g / first_g.sum(axis=1, keepdims=True))
    log_d = np.log(first_d / first_d.sum(axis=0, keepdims=True))
    g, d = np.exp(log_g), np.exp(log_d)
    sum_g, sum_d = np.zeros_like(g), np.zeros_like(d)
    for t in range(1, iterations + 1):
        sum_g += g
        sum_d += d
        heat = 1 / (rate * t) + anchor
        g = _softmax((sum_d / (2 * t) + anchor * log_g) / heat, axis=1)
        d = _softmax((sum_g / (2 * t) + anchor * log_d) / heat, axis=0)
    # Scores that differ by rounding only are ties, and those go to the first-listed candidate.
    winner = int(np.argmax(g[0] >= g[0].max() * (1 - 1e-9)))
    return Ranked(candidates[winner], g, d, iterations)


def _softmax(z: Array, axis: int) -> Array:
    weights = np.exp(z - z.max(axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def _table(values: ArrayLike, k: int, name: str) -> Array:
    table = np.asarray(values, dtype=np.float64)
    if table.shape != (2, k):
        raise ValueError(f"{name} has the shape {table.shape}: {k} candidates need (2, {k}), correct and incorrect")
    if not (np.isfinite(table) & (table > 0)).all():
        raise ValueError(f"{name} must be finite and above 0 everywhere: a probability of 0 can never be revised")
    return table


__all__ = ["Ranked", "equilibrium_ranking"]
