"""The race of the experts: they are scored on growing shares of the items, and losers drop out.

After each share a candidate drops out if, on the items so far, it is behind the leader by more than
`ERRORS` standard errors of the paired differences. The errors are those of sampling without
replacement: once most items are scored, few are left to turn the race. A race is decided if one is
left before all items are scored; it ends where the first share drops nobody. Of a pool too large
for a model it leaves as many experts as the model can take. Racing is due to Maron & Moore 1994
("Hoeffding races", NIPS 6), the paired test to Moore & Lee 1994 ("Efficient algorithms for
minimizing cross validation error", ICML).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.config import MOST_COEFFICIENTS
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Scorer, Share

FIRST = 16  # items of the first share; each later one is twice as large
ERRORS = 3.0


@dataclass(frozen=True)
class Start:
    """The beginning of a search.

    Attributes:
        experts: a row for each expert, complete unless it dropped out of a decided race.
        numbers: starting points to score on all items.
        decided: whether one expert is so far ahead that nothing is proposed.
        dropped: numbers of the experts of a large pool that are in no proposal.
    """

    experts: Sequence[Row]
    numbers: Sequence[int]
    decided: bool = False
    dropped: Sequence[int] = ()

    @property
    def single(self) -> int:
        """The number of the best expert."""
        complete = [number for number, row in enumerate(self.experts) if row.complete]
        return max(complete, key=lambda number: self.experts[number].value)

    @property
    def value(self) -> float:
        """The value of the best expert."""
        return self.experts[self.single].value

    def remarks(self, names: Sequence[str]) -> list[str]:
        """What the race dropped, in words, given the experts' names."""
        if self.dropped:
            kept = len(names) - len(self.dropped)
            return [f"of {len(names)} experts a race left {kept}; mixtures of these are proposed"]
        if self.decided:
            ahead = f"{names[self.single]} is ahead of every other expert by more than {ERRORS:g}"
            return [f"{ahead} standard errors: they drop out, and no mixture is proposed"]
        return []


def begin(scorer: Scorer, experts: Tensor, starts: Tensor, shares: Sequence[Share]) -> Start:
    """Score the experts, and choose the starting points to score on all items.

    Where the experts' race is decided, the other starting points race against the winner. Otherwise
    all are scored, as without a race; of a pool too large for a model, those without the experts
    that it leaves out.

    Args:
        scorer: dev scorer.
        experts: (n, D).
        starts: (N, D), the experts first.
        shares: shares of the items; empty: no race.
    """
    rows, left = race(scorer, experts, shares)
    decided = len(left) == 1
    if len(experts) > MOST_COEFFICIENTS and shares:
        left = _best(rows, left)
    elif not decided:
        left = list(range(len(experts)))
    rows |= dict(zip(left, scorer.score([experts[n] for n in left], 0, left), strict=True))
    ordered = [rows[number] for number in range(len(experts))]
    if decided:
        return Start(ordered, race(scorer, starts, shares)[1], decided=True)
    dropped = sorted({*range(len(experts))} - {*_best(rows, left)})
    without = ~starts[:, dropped].any(dim=1)
    return Start(ordered, without.nonzero()[:, 0].tolist(), dropped=dropped)


def _best(rows: Mapping[int, Row], numbers: Sequence[int]) -> list[int]:
    """The numbers of the best candidates, as many as a model can take, in order."""
    order = sorted(numbers, key=lambda number: -rows[number].value)
    return sorted(order[:MOST_COEFFICIENTS])


def race(
    scorer: Scorer, positions: Tensor, shares: Sequence[Share]
) -> tuple[dict[int, Row], list[int]]:
    """Score candidates, (n, D), on one share of the items after another, until one is left, or
    the first share has dropped nobody.

    Returns:
        Candidate number -> its row, without shares empty; and the numbers of the survivors.
    """
    rows: dict[int, Row] = {}
    racing = list(range(len(positions)))
    for share in shares:
        scored = scorer.score([positions[n] for n in racing], 0, racing, share)
        latest = dict(zip(racing, scored, strict=True))
        rows |= latest
        racing = survivors(latest, share)
        if len(racing) in (1, len(positions)):
            break
    return rows, racing


def draw_shares(items: Mapping[str, int], seed: int) -> list[Share]:
    """The nested shares of the items after which candidates may drop out.

    Args:
        items: task name -> number of items. Each share has the same fraction of every task.
        seed: seed of the items' order.

    Returns:
        The shares; none if there are few items.

    Example:
        >>> shares = draw_shares({"a": 40, "b": 20}, seed=0)
        >>> [{name: int(chosen.sum()) for name, chosen in share.items()} for share in shares]
        [{'a': 11, 'b': 6}, {'a': 22, 'b': 11}]
    """
    draws = np.random.default_rng([seed, 7])
    ranks = {name: np.argsort(draws.permutation(count)) for name, count in items.items()}
    shares = list[Share]()
    part = FIRST / sum(items.values())
    while part <= 2 / 3:  # a larger share would hardly save anything
        shares.append({n: rank < math.ceil(part * rank.size) for n, rank in ranks.items()})
        part *= 2
    return shares


def survivors(rows: Mapping[int, Row], share: Share) -> list[int]:
    """Numbers of the candidates that survive a share, given their rows."""
    values = {}
    for number, row in rows.items():
        parts = [np.array(row.item_values(name))[wanted] for name, wanted in share.items()]
        values[number] = np.concatenate(parts)
    leader = max(values.values(), key=np.mean)
    total = sum(chosen.size for chosen in share.values())
    return [number for number, own in values.items() if not eliminated(own, leader, total)]


def eliminated(values: Floats, leader: Floats, total: int) -> bool:
    """Whether a candidate is so far behind the leader that it drops out.

    An added item, with the largest difference, keeps a few agreeing items from deciding.

    Args:
        values: values on the items so far, (n,).
        leader: the leader's values on the same items.
        total: number of all items.
    """
    difference = leader - values
    n = difference.size
    variance = (((difference - difference.mean()) ** 2).sum() + 1.0) / (n + 1)
    error = math.sqrt(variance / n * max(1 - n / total, 0.0))
    return bool(difference.mean() > ERRORS * error)
