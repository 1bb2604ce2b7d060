"""Turns of a negotiation: prompts that request an argument, and rounds in which all speakers answer
simultaneously.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_groups.reading import read_ballot
from pyswarmopt_llm.scores.tasks import Item, render_prompt
from pyswarmopt_llm.scores.tasks.types import with_options

Argument = tuple[str | None, str]  # ballot and wording


def question_of(item: Item, template: str | None) -> str:
    """The question and its options, or the task's prompt."""
    if template is None:
        return with_options(item)
    return render_prompt(item, "generate", template)


def ending_of(item: Item) -> str:
    """Requests a readable end of the answer."""
    answer = "your answer"
    if item.choices:
        answer = "the letter of the right option"
    return f'End with "The answer is" and {answer}.'


def first_turn(item: Item, template: str | None) -> str:
    """Requests an answer with its reasons."""
    return (
        f"{question_of(item, template)}\nGive your reasons in a sentence or two. {ending_of(item)}"
    )


def later_turn(item: Item, template: str | None, answer: str, others: Sequence[str]) -> str:
    """Requests a new answer after the others' answers; without any, a check of its own `answer`."""
    parts = [question_of(item, template), f"Your answer so far: {answer or 'none'}"]
    if others:
        parts += [f"Somebody else says: {text}" for text in others]
        parts.append(f"Weigh these answers against your own and answer anew. {ending_of(item)}")
    else:
        parts.append(f"Check your answer and give it anew. {ending_of(item)}")
    return "\n".join(parts)


class Debate:
    """The arguments on one item.

    Attributes:
        item: the item.
        rounds: per round one argument per speaker; an unfinished round has its arguments so far.
        tokens: cost so far.
    """

    def __init__(self, item: Item) -> None:
        self.item = item
        self.tokens = 0
        self.rounds: list[list[Argument]] = []

    @property
    def ballots(self) -> list[list[str | None]]:
        """Each speaker's ballot, per round."""
        return [[ballot for ballot, _ in arguments] for arguments in self.rounds]

    def before(self, speaker: int) -> tuple[Argument, list[Argument]]:
        """A speaker's own argument in the previous round, and the others'."""
        others = list(self.rounds[-2])
        return others.pop(speaker), others


def hold_round(
    debates: Sequence[Debate], speakers: Sequence[Member], prompt: Callable[[Debate, int], str]
) -> None:
    """One more round of each debate; `prompt` makes the user turn of speaker k; a member may speak
    several times.
    """
    for debate in debates:
        debate.rounds.append([])
    for k, member in enumerate(speakers):
        replies = member.generate([prompt(debate, k) for debate in debates])
        for debate, reply in zip(debates, replies, strict=True):
            debate.rounds[-1].append((read_ballot(debate.item, reply.text), reply.text))
            debate.tokens += reply.tokens
