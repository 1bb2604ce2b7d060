"""Votes over corrected answers: without position bias or repetitions, or with unreadable answers requested again."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pyswarmopt_llm.groups.context import Decide, GroupContext, Verdict, verdict_of
from pyswarmopt_llm.groups.responses import Array, Responses, read_ballot
from pyswarmopt_llm.groups.voting.rules import voting
from pyswarmopt_llm.groups.voting.votes import deciding
from pyswarmopt_llm.tasks import Item, render_prompt

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")


def debiased(context: GroupContext) -> Decide:
    """A majority vote after each member's position bias is removed from its scores.

    A member without option scores votes unchanged.
    """
    on_dev = [context.dev.scores(k) for k in range(context.n)]
    biases = [None if scores is None else position_bias(scores) for scores in on_dev]

    def ballot(responses: Responses, i: int, k: int) -> str | None:
        scores, bias = responses.answers[k][i].scores, biases[k]
        if bias is None or not scores:
            return responses.ballots[i][k]
        letters = list(responses.items[i].choices or {})
        # A position that no dev item has gets the bias of the last one.
        own = np.append(bias, np.full(max(len(letters) - len(bias), 0), bias[-1]))[: len(letters)]
        return letters[int((np.array([scores[letter] for letter in letters]) - own).argmax())]

    return deciding(context, lambda responses, i: voting.majority([ballot(responses, i, k) for k in range(context.n)]))


def position_bias(scores: Array) -> Array:
    """log of the mean over items of softmax(scores), by the position of an option: (most options,).

    Source: Zhou et al. 2023, arXiv 2309.17249 (batch calibration): the mean probability of a position is due to the
    prompt, and its log is subtracted from an item's log-probabilities. Uses no labels.

    Args:
        scores: (items, most options), -inf past an item's last option; the mean is over items with that position.
    """
    p = voting.calibrated(scores, 1.0)
    there = np.isfinite(scores)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p.sum(axis=0) / np.maximum(there.sum(axis=0), 1)))


def condensed(context: GroupContext) -> Decide:
    """A majority vote over the answers without what they repeat: see `without_repetition`."""

    def vote(responses: Responses, i: int) -> voting.Outcome[str | None]:
        texts = [without_repetition(row[i].text) for row in responses.answers]
        return voting.majority([read_ballot(responses.items[i], text) for text in texts])

    return deciding(context, vote)


def without_repetition(text: str) -> str:
    """A text with each sentence or line once, where it first stands, and without a loop at its end.

    Small models that decode greedily fall into loops; what they said before is their answer. Words at the end are a
    loop if they stand there three times in a row, or twice if there are four of them or more.

    Example:
        >>> without_repetition("Paris. It is old. Paris.")
        'Paris. It is old.'
        >>> without_repetition("the red car the red car the red car"), without_repetition("bye bye")
        ('the red car', 'bye bye')
    """
    once: dict[str, str] = {}
    for sentence in _SENTENCE_END.split(text.strip()):
        once.setdefault(sentence.casefold(), sentence)
    words = " ".join(once.values()).split()
    for size in range(1, len(words) // 2 + 1):
        times = 1
        while words[-size:] == words[-(times + 1) * size : -times * size]:
            times += 1
        if times >= (2 if size >= 4 else 3):
            return " ".join(words[: len(words) - (times - 1) * size])
    return text if words == text.split() else " ".join(words)


def repaired(context: GroupContext) -> Decide:
    """A majority vote; a member without a readable answer is queried once more, for the answer alone."""

    def decide(items: Sequence[Item]) -> list[Verdict]:
        responses = context.collect(items)
        ballots = [list(row) for row in responses.ballots]
        tokens = [responses.cost(i) for i in range(len(items))]
        for k, member in enumerate(context.members):
            unread = [i for i in range(len(items)) if ballots[i][k] is None]
            again = member.generate([_retry(items[i], responses.answers[k][i].text, context.template) for i in unread])
            for i, reply in zip(unread, again, strict=True):
                ballots[i][k] = read_ballot(items[i], reply.texts[0])
                tokens[i] += reply.tokens
        return [verdict_of(voting.majority(row), cost) for row, cost in zip(ballots, tokens, strict=True)]

    return decide


def _retry(item: Item, text: str, template: str | None) -> str:
    wanted = "with the letter of one option, and nothing else" if item.choices else "in a few words"
    said = f"\nYou wrote: {text}\nThat cannot be read as an answer." if text else ""
    return f"{render_prompt(item, 'generate', template)}{said}\nAnswer {wanted}."
