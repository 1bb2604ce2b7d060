"""Stackelberg games: a leader commits to a strategy, a follower responds.

Payoffs are (m, n) arrays: entry [i, j] is a player's payoff for row action i and column action j.
Strategies are probabilities over a player's own actions, float64. Everything is deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pyswarmopt.base.arrays import Floats
from pyswarmopt_groups.context import GroupContext, GroupVerdict, verdicts_for
from pyswarmopt_llm.scores.tasks import Item

# share of a player's belief in the delivered answer as its payoff, if another was announced
DISAGREEMENT = 0.5


def leader_and_follower(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """The best member on dev leads, the mean of the others follows: see `bargain`."""
    leader = context.order[0]
    others = [k for k in range(context.n) if k != leader] or [leader]
    responses = context.collect(items)
    p = context.probabilities(responses)
    answers = []
    for i, item in enumerate(items):
        letters = item.letters
        plan = bargain(p[leader, i, : len(letters)], p[others, i, : len(letters)].mean(axis=0))
        answers.append(letters[plan.response])
    return verdicts_for(responses, answers)


@dataclass(frozen=True)
class Commitment:
    """A leader's optimal commitment and its consequences.

    Attributes:
        strategy: (m,) the leader's mixed strategy.
        response: the follower's action (column).
        leader_value: expected payoff of the leader.
    """

    strategy: Floats
    response: int
    leader_value: float


def bargain(leader: ArrayLike, follower: ArrayLike) -> Commitment:
    """The leader announces an answer (or a lottery over answers), the follower delivers one.

    Both get their own belief, (K,), in the delivered answer, but only half of it (`DISAGREEMENT`)
    if another was announced. So the leader prevails with an answer in which the follower believes
    at least half as much as in its own best; otherwise the follower's best is delivered. The
    payoffs are our own.

    Example:
        >>> bargain([0.7, 0.2, 0.1], [0.3, 0.5, 0.2]).response, bargain([0.7, 0.2, 0.1], [0.1, 0.8, 0.1]).response
        (0, 1)
    """
    leads = np.asarray(leader, dtype=np.float64)
    follows = np.asarray(follower, dtype=np.float64)
    share = np.where(np.eye(len(leads), dtype=bool), 1.0, DISAGREEMENT)
    return stackelberg(share * leads[None, :], share * follows[None, :])


def stackelberg(leader_payoffs: ArrayLike, follower_payoffs: ArrayLike) -> Commitment:
    """The optimal mixed strategy to commit to, given a follower who best-responds.

    Source: Conitzer and Sandholm 2006, section 3: for each action of the follower, a linear program
    finds the best strategy to which that action is a best response; then the best of these is
    taken. The follower breaks ties in the leader's favour; among equal optima the lowest action
    wins.

    Args:
        leader_payoffs: (m, n), the leader chooses the row.
        follower_payoffs: (m, n), the follower the column.

    Example:
        >>> plan = stackelberg([[2, 4], [1, 3]], [[1, 0], [0, 1]])
        >>> plan.strategy.round(3).tolist(), plan.response, round(plan.leader_value, 3)
        ([0.5, 0.5], 1, 3.5)
    """
    from scipy.optimize import linprog

    leader = np.asarray(leader_payoffs, dtype=np.float64)
    follower = np.asarray(follower_payoffs, dtype=np.float64)
    m, n = leader.shape
    plans = []
    for response in range(n):
        # x @ follower[:, other] <= x @ follower[:, response] for every other action of the follower
        temptation = (follower - follower[:, [response]]).T
        solved = linprog(
            -leader[:, response],
            A_ub=temptation,
            b_ub=np.zeros(n),
            A_eq=np.ones((1, m)),
            b_eq=[1.0],
        )
        if solved.status == 0:
            plans.append(Commitment(np.asarray(solved.x), response, -float(solved.fun)))
    # Values that differ only by rounding are equal.
    return max(plans, key=lambda plan: round(plan.leader_value, 9))
