"""Votes over answers that are put right first: freed of a bias towards options, or asked for again where unreadable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.groups.context import Room, Verdict, verdict_of
from pyswarmopt_llm.groups.responses import Sheet, read_ballot
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.groups.voting.rules import voting
from pyswarmopt_llm.tasks import Item, render_prompt

Array = NDArray[np.float64]


def debiased(room: Room) -> Decide:
    """A majority vote in which each member's liking for an option's place is taken out of its scores.

    A member without option scores votes as ever.
    """
    room.need_choices(room.dev)
    likings = [None if (scores := room.dev.scores(k)) is None else liking(scores) for k in range(room.n)]

    def decide(items: Sequence[Item]) -> list[Verdict]:
        sheet = room.ask(items)
        rows = [_corrected(sheet, k, likings[k]) for k in range(room.n)]
        return [
            verdict_of(voting.majority([row[i] for row in rows]), sheet.tokens[:, i].sum()) for i in range(len(items))
        ]

    return decide


def liking(scores: Array) -> Array:
    """log of the mean over items of softmax(scores), by the place of an option: (most options,).

    Source: Zhou et al. 2023, arXiv 2309.17249 (batch calibration): what is given to a place whatever the question is
    the prompt's doing, and is subtracted from an item's log-probabilities. No labels are looked at.

    Args:
        scores: (items, most options), -inf behind an item's last option; a place is averaged over items that have it.
    """
    p = voting.calibrated(scores, 1.0)
    there = np.isfinite(scores)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p.sum(axis=0) / np.maximum(there.sum(axis=0), 1)))


def repaired(room: Room) -> Decide:
    """A majority vote; who gave no readable answer is asked once more, for the answer alone, and else abstains."""

    def decide(items: Sequence[Item]) -> list[Verdict]:
        sheet = room.ask(items)
        ballots = [list(row) for row in sheet.ballots]
        tokens = sheet.tokens.sum(axis=0)
        for k, member in enumerate(room.members):
            lost = [i for i in range(len(items)) if ballots[i][k] is None]
            again = member.generate([_again(items[i], sheet.answers[k][i].text, room.template) for i in lost])
            for i, said in zip(lost, again, strict=True):
                ballots[i][k] = read_ballot(items[i], said.texts[0])
                tokens[i] += said.tokens
        return [verdict_of(voting.majority(row), cost) for row, cost in zip(ballots, tokens, strict=True)]

    return decide


def _corrected(sheet: Sheet, k: int, bias: Array | None) -> list[str | None]:
    """A member's choices after its liking is taken out; of equal options the first."""
    scores = sheet.scores(k)
    if scores is None or bias is None:
        return [row[k] for row in sheet.ballots]
    found: list[str | None] = []
    for i, item in enumerate(sheet.items):
        letters = list(item.choices or {})
        # A place that no dev item has is liked as the last one that some have.
        own = np.append(bias, np.full(max(len(letters) - len(bias), 0), bias[-1]))[: len(letters)]
        found.append(letters[int((scores[i, : len(letters)] - own).argmax())] if sheet.ballots[i][k] else None)
    return found


def _again(item: Item, text: str, template: str | None) -> str:
    wanted = "with the letter of one option, and nothing else" if item.choices else "in a few words"
    said = f"\nYou wrote: {text}\nThat cannot be read as an answer." if text else ""
    return f"{render_prompt(item, 'generate', template)}{said}\nAnswer {wanted}."


__all__ = ["debiased", "liking", "repaired"]
