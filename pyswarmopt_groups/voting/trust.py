"""Trust that is learned over time: weights begin with the accuracies on dev and follow what happens after.

Nobody says which test answers were right. What a member answers is compared with what all of them together make
probable, so that one who changes (a member that was truthful on dev and lies now) loses its weight within `MEMORY`
items. Where most are wrong together, trust goes to those who are wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pyswarmopt_groups import voting
from pyswarmopt_groups.context import Decide, GroupContext, Verdict, verdict_of
from pyswarmopt_llm.tasks import Item

MEMORY = 50  # items after which what a member did counts 1 / e


def trusted(context: GroupContext) -> Decide:
    """A vote weighted by the log-odds of running accuracies, over items in their order.

    Source: Dawid and Skene 1979 (errors of observers without the truth), one step of it for each item, and the
    forgetting of Herbster and Warmuth 1998. After each item a member's accuracy moves by 1 / `MEMORY` towards the
    probability of its ballot, given all ballots and accuracies (independent errors, wrong options equally likely). An
    abstention moves nothing. An open question counts as one with two options, as in `weighted`.
    """
    start = context.accuracies.tolist()

    def decide(items: Sequence[Item]) -> list[Verdict]:
        responses, accuracies, verdicts = context.collect(items), list(start), []
        for i, item in enumerate(items):
            options = len(item.choices or "ab")
            outcome = voting.weighted(responses.ballots[i], voting.log_odds(accuracies, MEMORY, options))
            verdicts.append(verdict_of(outcome, responses.cost(i), trust=[round(p, 4) for p in accuracies]))
            probabilities = posterior(outcome.scores, options)
            for k, ballot in enumerate(outcome.ballots):
                if ballot is not None:
                    accuracies[k] += (probabilities[ballot] - accuracies[k]) / MEMORY
        return verdicts

    return decide


def posterior(scores: Mapping[str, float], options: int) -> dict[str, float]:
    """Answer -> its probability, from sums of log-odds; the options that nobody gave have a score of 0.

    Example:
        >>> {letter: round(p, 2) for letter, p in posterior({"A": math.log(3), "B": 0.0}, 4).items()}
        {'A': 0.5, 'B': 0.17}
    """
    most = max([0.0, *scores.values()])
    rest = max(options - len(scores), 0) * math.exp(-most)
    parts = {answer: math.exp(score - most) for answer, score in scores.items()}
    whole = sum(parts.values()) + rest
    return {answer: part / whole for answer, part in parts.items()}
