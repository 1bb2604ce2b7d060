"""Two-player games given as matrices: regret matching to an equilibrium, and a leader's optimal commitment.

Payoffs are (m, n) arrays: entry [i, j] is what a player gets when the row player takes action i and the column player
action j. Strategies are probabilities over a player's own actions, float64. Everything is deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pyswarmopt_groups.context import Decide, GroupContext, Verdict, verdict_for
from pyswarmopt_groups.responses import Array
from pyswarmopt_llm.tasks import Item

DISAGREEMENT = 0.5  # of a player's belief in the delivered answer is its payoff if another was announced


def leader_and_follower(context: GroupContext) -> Decide:
    """The best member on dev leads, the mean of the others follows: see `bargain`."""
    leader = context.order[0]
    others = [k for k in range(context.n) if k != leader] or [leader]

    def decide(items: Sequence[Item]) -> list[Verdict]:
        responses = context.collect(items)
        p = context.probabilities(responses)
        verdicts = []
        for i, item in enumerate(items):
            letters = list(item.choices or {})
            plan = bargain(p[leader, i, : len(letters)], p[others, i, : len(letters)].mean(axis=0))
            verdicts.append(verdict_for(responses, i, letters[plan.response]))
        return verdicts

    return decide


@dataclass(frozen=True)
class Commitment:
    """A leader's optimal commitment and its consequences.

    Attributes:
        strategy: (m,) the leader's mixed strategy.
        response: the follower's action (column).
        leader_value: expected payoff of the leader.
        follower_value: expected payoff of the follower.
    """

    strategy: Array
    response: int
    leader_value: float
    follower_value: float


def bargain(leader: ArrayLike, follower: ArrayLike) -> Commitment:
    """The leader announces an answer (or a lottery over answers), the follower delivers one.

    Both get their own belief, (K,), in the answer delivered, and only half of it (`DISAGREEMENT`) if another was
    announced. So the leader prevails with an answer in which the follower believes at least half as much as in its own
    best; otherwise the follower's best is delivered. The payoffs are ours; solved by `stackelberg`.

    Example:
        >>> bargain([0.7, 0.2, 0.1], [0.3, 0.5, 0.2]).response, bargain([0.7, 0.2, 0.1], [0.1, 0.8, 0.1]).response
        (0, 1)
    """
    mine, theirs = (np.asarray(p, dtype=np.float64) for p in (leader, follower))
    share = np.where(np.eye(len(mine), dtype=bool), 1.0, DISAGREEMENT)
    return stackelberg(share * mine[None, :], share * theirs[None, :])


def stackelberg(leader_payoffs: ArrayLike, follower_payoffs: ArrayLike) -> Commitment:
    """The optimal mixed strategy to commit to, given a follower who best-responds.

    Source: Conitzer and Sandholm 2006, section 3: for each action of the follower the linear program of the best
    strategy to which that action is a best response; then the best of these. The follower breaks its ties in the
    leader's favour; of equally good programs the one of the lowest action counts.

    Args:
        leader_payoffs: (m, n), the leader chooses the row.
        follower_payoffs: (m, n), the follower the column.

    Raises:
        ValueError: payoffs of unequal shapes, none, or not finite.

    Example:
        >>> plan = stackelberg([[2, 4], [1, 3]], [[1, 0], [0, 1]])
        >>> plan.strategy.round(3).tolist(), plan.response, round(plan.leader_value, 3)
        ([0.5, 0.5], 1, 3.5)
    """
    from scipy.optimize import linprog

    leader, follower = _game(leader_payoffs, follower_payoffs)
    m, n = leader.shape
    best: tuple[float, int, Array] | None = None
    for response in range(n):
        # x @ follower[:, other] <= x @ follower[:, response] for every other action of the follower
        temptation = (follower - follower[:, [response]]).T
        found = linprog(-leader[:, response], A_ub=temptation, b_ub=np.zeros(n), A_eq=np.ones((1, m)), b_eq=[1.0])
        if found.status == 0 and (best is None or -found.fun > best[0] + 1e-9):
            best = -found.fun, response, np.asarray(found.x)
    if best is None:  # some action is always a best response, so this is the solver's failure
        raise ArithmeticError("the solver found no best response; scale the payoffs to about 1")
    value, response, x = best
    return Commitment(x, response, float(value), float(x @ follower[:, response]))


@dataclass(frozen=True)
class Play:
    """Average play of two regret-matching players.

    Attributes:
        row: (m,) average strategy of the row player.
        column: (n,) average strategy of the column player.
        joint: (m, n) how often each pair of actions was played.
        gap: the most that a player could have gained per iteration by one fixed action. `joint` is a coarse
            correlated equilibrium to within `gap`; in a zero-sum game (`row`, `column`) is a Nash equilibrium to
            within twice that.
    """

    row: Array
    column: Array
    joint: Array
    gap: float


def regret_matching(
    row_payoffs: ArrayLike, column_payoffs: ArrayLike | None = None, iterations: int = 10_000, tolerance: float = 1e-3
) -> Play:
    """Play in proportion to positive regret until neither player has much of it.

    Source: Hart and Mas-Colell 2000, with the floor at 0 of regret matching+ (Tammelin 2014, arXiv 1407.5042). The
    average regret falls at least as 1 / sqrt(iterations). Regrets are those of the expected payoffs, so no random
    numbers are drawn; a player without regret plays uniformly.

    Args:
        row_payoffs: (m, n) payoffs of the row player.
        column_payoffs: (m, n) payoffs of the column player; None for a zero-sum game.
        iterations: maximum number.
        tolerance: stop when `gap` is at most this share of the payoffs' range.

    Raises:
        ValueError: payoffs of unequal shapes, none, or not finite; fewer than 1 iteration; a negative tolerance.

    Example:
        >>> dilemma = [[-1, -3], [0, -2]]  # cooperate, defect
        >>> regret_matching(dilemma, [[-1, 0], [-3, -2]]).joint.round(2).tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """
    a, b = _game(row_payoffs, column_payoffs)
    if iterations < 1 or not 0 <= tolerance < np.inf:
        raise ValueError(f"{iterations} iterations to tolerance {tolerance}: give at least 1 and at least 0")
    enough = tolerance * max(np.ptp(a), np.ptp(b))
    row_regret, column_regret = np.zeros(a.shape[0]), np.zeros(a.shape[1])
    played = np.zeros(a.shape)
    for iteration in range(1, iterations + 1):
        x, y = _matched(row_regret), _matched(column_regret)
        played += np.outer(x, y)
        row_regret = np.maximum(row_regret + a @ y - x @ a @ y, 0)
        column_regret = np.maximum(column_regret + x @ b - x @ b @ y, 0)
        gap = coarse_gap(a, b, played / iteration)
        if gap <= enough:
            break
    joint = played / iteration
    return Play(joint.sum(axis=1), joint.sum(axis=0), joint, gap)


def coarse_gap(row_payoffs: ArrayLike, column_payoffs: ArrayLike, joint: ArrayLike) -> float:
    """The most that a player gains by deviating from `joint`, (m, n) probabilities, to one fixed action.

    At most 0 in a coarse correlated equilibrium, and nowhere else (Moulin and Vial 1978). For an independent joint
    distribution, np.outer(x, y), this is the Nash condition: 0 where (x, y) is a Nash equilibrium, else above.

    Raises:
        ValueError: shapes that differ, payoffs that are not finite, or a `joint` that is no distribution.

    Example:
        >>> pennies = np.array([[1.0, -1.0], [-1.0, 1.0]])
        >>> coarse_gap(pennies, -pennies, np.full((2, 2), 0.25)), coarse_gap(pennies, -pennies, [[1, 0], [0, 0]])
        (0.0, 2.0)
    """
    a, b = _game(row_payoffs, column_payoffs)
    p = np.asarray(joint, dtype=np.float64)
    if p.shape != a.shape:
        raise ValueError(f"the joint distribution has the shape {p.shape}, the payoffs {a.shape}")
    if not (p >= -1e-9).all() or abs(p.sum() - 1) > 1e-6:
        raise ValueError("the joint distribution must be probabilities that sum to 1")
    row_gain = (a @ p.sum(axis=0)).max() - (a * p).sum()
    column_gain = (p.sum(axis=1) @ b).max() - (b * p).sum()
    return float(max(row_gain, column_gain))


def _matched(regret: Array) -> Array:
    total = regret.sum()
    return regret / total if total > 0 else np.full(len(regret), 1 / len(regret))


def _game(first: ArrayLike, second: ArrayLike | None) -> tuple[Array, Array]:
    a = np.asarray(first, dtype=np.float64)
    b = -a if second is None else np.asarray(second, dtype=np.float64)
    if a.ndim != 2 or a.size == 0 or a.shape != b.shape:
        raise ValueError(f"payoffs must be two matrices of one shape (rows, columns), not {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("payoffs must be finite numbers")
    return a, b
