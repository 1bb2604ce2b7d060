"""Every member answers, and a voting rule decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from pyswarmopt_groups import voting
from pyswarmopt_groups.context import GroupContext, GroupVerdict, verdict_of
from pyswarmopt_groups.members.protocol import Sampling
from pyswarmopt_groups.reading import read_ballot
from pyswarmopt_groups.responses import Responses
from pyswarmopt_groups.voting.rankings import Ranking
from pyswarmopt_llm.scores.tasks import Item, render_prompt


def by_vote(
    responses: Responses, vote: Callable[[int], voting.ElectionOutcome]
) -> list[GroupVerdict]:
    """Decide each item by a vote over all members' answers: `vote(index of the item)`."""
    return [verdict_of(vote(i), cost) for i, cost in enumerate(responses.costs)]


def majority(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """See `voting.majority`."""
    responses = context.collect(items)
    return by_vote(responses, lambda i: voting.majority(responses.ballots[i]))


def weighted(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """See `voting.weighted`; the weights are the log-odds of the members' accuracies on dev.

    An open question counts as one with two options, the correct answer and another.
    """
    accuracies = context.accuracies.tolist()
    n = len(context.dev.items)
    responses = context.collect(items)

    def vote(i: int) -> voting.ElectionOutcome:
        options = len(items[i].choices or "ab")
        return voting.weighted(responses.ballots[i], voting.log_odds(accuracies, n, options))

    return by_vote(responses, vote)


def ranked(context: GroupContext, items: Sequence[Item], rule: str) -> list[GroupVerdict]:
    """Each member ranks the options by its scores; a member without scores names only its choice."""
    responses = context.collect(items)
    return by_vote(responses, lambda i: voting.vote(rankings_of(responses, i), rule=rule))


def rankings_of(responses: Responses, i: int) -> list[Ranking]:
    """Each member's ranking of the options of item i, ties in option order; empty for an
    abstention.
    """
    rankings: list[Ranking] = []
    for row, ballot in zip(responses.answers, responses.ballots[i], strict=True):
        scores = row[i].scores
        if scores:
            rankings.append(tuple(sorted(scores, key=lambda letter: -scores[letter])))
        else:
            rankings.append(tuple(filter(None, [ballot])))
    return rankings


def confidence(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """See `voting.confidence`, with the calibrated probability of the chosen option."""
    responses = context.collect(items)
    p = context.probabilities(responses)

    def vote(i: int) -> voting.ElectionOutcome:
        letters = items[i].letters
        ballots = responses.ballots[i]
        sure = [
            0.0 if ballot is None else float(p[k, i, letters.index(ballot)])
            for k, ballot in enumerate(ballots)
        ]
        return voting.confidence(ballots, sure)

    return by_vote(responses, vote)


def self_consistency(
    context: GroupContext, items: Sequence[Item], samples: int, temperature: float
) -> list[GroupVerdict]:
    """Samples of all members, one vote each; a member's ballot is the majority of its samples.

    Source: Wang et al. 2022, arXiv 2203.11171, with independent samples. So each member has its own
    seed; with one seed, similar members would write the same texts.
    """
    turns = [render_prompt(item, "generate", context.template) for item in items]
    drawn = []
    for member in context.members:
        seed = random.Random(f"{context.seed} {member.name}").getrandbits(31)
        drawn.append(member.generate(turns, Sampling(samples, temperature, seed)))
    verdicts = []
    for i, item in enumerate(items):
        ballots = [[read_ballot(item, text) for text in row[i].texts] for row in drawn]
        # First samples first: a tie between members goes to the first-listed member, not to its
        # fifth sample.
        together = voting.majority([row[j] for j in range(samples) for row in ballots])
        votes = tuple(voting.majority(row).answer for row in ballots)
        tokens = sum(row[i].tokens for row in drawn)
        verdicts.append(replace(verdict_of(together, tokens, samples=ballots), ballots=votes))
    return verdicts
