"""Every member answers, and a rule of `collective.voting` decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pyswarmopt_llm.groups.context import Room, Verdict, verdict_of
from pyswarmopt_llm.groups.responses import Sheet
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.groups.voting.rules import voting
from pyswarmopt_llm.groups.voting.rules.outcome import Outcome
from pyswarmopt_llm.groups.voting.rules.rankings import Ranking, Rankings
from pyswarmopt_llm.tasks import Item, render_prompt


def majority(room: Room) -> Decide:
    """See `voting.majority`."""
    return _deciding(room, lambda sheet: [voting.majority(ballots) for ballots in sheet.ballots])


def weighted(room: Room) -> Decide:
    """See `voting.weighted`; the weights are the log-odds of the members' accuracies on dev.

    Of an open question two answers are supposed, the right one and another.
    """
    accuracies, items = room.accuracies.tolist(), len(room.dev.items)

    def vote(sheet: Sheet) -> list[Outcome[str | None]]:
        return [
            voting.weighted(ballots, voting.log_odds(accuracies, items, len(item.choices or "ab")))
            for item, ballots in zip(sheet.items, sheet.ballots, strict=True)
        ]

    return _deciding(room, vote)


def confidence(room: Room) -> Decide:
    """See `voting.confidence`: with choices, the calibrated probability of the chosen option; of a text `_surety`."""
    if room.dev.items[0].choices is None:
        return _confidence_of_texts(room)

    def vote(sheet: Sheet) -> list[Outcome[str | None]]:
        p = room.probabilities(sheet)
        outcomes = []
        for i, (item, ballots) in enumerate(zip(sheet.items, sheet.ballots, strict=True)):
            letters = list(item.choices or {})
            own = [0.0 if b is None else float(p[k, i, letters.index(b)]) for k, b in enumerate(ballots)]
            outcomes.append(voting.confidence(ballots, own))
        return outcomes

    return _deciding(room, vote)


def ranked(rule: Callable[[Rankings], Outcome[Ranking]]) -> Callable[[Room], Decide]:
    """Each member ranks the options by its scores; one without scores names its choice alone."""

    def fit(room: Room) -> Decide:
        return _deciding(room, lambda sheet: [rule(rankings) for rankings in rankings_of(sheet)])

    return fit


def rankings_of(sheet: Sheet) -> list[list[Ranking]]:
    """Per item each member's ranking, best first; empty for an abstention. Of equal scores the first option leads."""
    found = []
    for i, ballots in enumerate(sheet.ballots):
        rankings: list[Ranking] = []
        for row, ballot in zip(sheet.answers, ballots, strict=True):
            scores = row[i].scores
            best_first = sorted(scores, key=lambda letter: -scores[letter])
            rankings.append(tuple(best_first) if scores else () if ballot is None else (ballot,))
        found.append(rankings)
    return found


def _deciding(room: Room, vote: Callable[[Sheet], Sequence[Outcome]]) -> Decide:
    def decide(items: Sequence[Item]) -> list[Verdict]:
        sheet = room.ask(items)
        return [verdict_of(found, sheet.tokens[:, i].sum()) for i, found in enumerate(vote(sheet))]

    return decide


def _confidence_of_texts(room: Room) -> Decide:
    logits, _ = _surety(room, room.dev)
    temperatures = [
        voting.fit_temperature(own, [0 if right else 1 for right in row])
        for own, row in zip(logits, room.dev.right, strict=True)
    ]

    def decide(items: Sequence[Item]) -> list[Verdict]:
        sheet = room.ask(items)
        logits, cost = _surety(room, sheet)
        p = [voting.calibrated(own, t)[:, 0] for own, t in zip(logits, temperatures, strict=True)]
        return [
            verdict_of(
                voting.confidence(ballots, [0.0 if b is None else float(p[k][i]) for k, b in enumerate(ballots)]),
                sheet.tokens[:, i].sum() + cost[i],
            )
            for i, ballots in enumerate(sheet.ballots)
        ]

    return decide


def _surety(room: Room, sheet: Sheet) -> tuple[list[list[list[float]]], list[int]]:
    """Per member and item [log p, log(1 - p)], p the geometric mean of its answer's byte probabilities; and the cost.

    Per byte, as everywhere here, so that neither length nor tokenizer matters; what p is worth, the temperature says.
    """
    found, cost = [], [0] * len(sheet.items)
    for k, member in enumerate(room.members):
        texts = [sheet.answers[k][i].text or " " for i in range(len(sheet.items))]
        turns = [render_prompt(item, "generate", room.template) for item in sheet.items]
        rows = []
        for i, said in enumerate(member.likelihoods(list(zip(turns, texts, strict=True)))):
            log_p = min(said.logprob / len(texts[i].encode()), -1e-6)
            rows.append([log_p, math.log1p(-math.exp(log_p))])
            cost[i] += said.tokens
        found.append(rows)
    return found, cost


__all__ = ["confidence", "majority", "ranked", "rankings_of", "weighted"]
