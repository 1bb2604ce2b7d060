"""Prompts of a negotiation, which invite an argument before the answer."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.tasks import Item, render_prompt


def question_of(item: Item, template: str | None) -> str:
    """The question and its options, or the task's own prompt."""
    if template is not None:
        return render_prompt(item, "generate", template)
    options = "".join(f"\n{letter}: {text}" for letter, text in (item.choices or {}).items())
    return f"Question: {item.question}{options}"


def wanted(item: Item) -> str:
    """How to end an answer so that it is readable."""
    return f'End with "The answer is" and {"the letter of the right option" if item.choices else "your answer"}.'


def first_turn(item: Item, template: str | None) -> str:
    """Requests an answer with its reasons."""
    return f"{question_of(item, template)}\nGive your reasons in a sentence or two. {wanted(item)}"


def later_turn(item: Item, template: str | None, own: str, others: Sequence[str]) -> str:
    """Requests a new answer given the others' answers; without any, a check of the own answer."""
    parts = [question_of(item, template), f"Your answer so far: {own or 'none'}"]
    if others:
        parts += [f"Somebody else says: {text}" for text in others]
        parts.append(f"Weigh these answers against your own and answer anew. {wanted(item)}")
    else:
        parts.append(f"Check your answer and give it anew. {wanted(item)}")
    return "\n".join(parts)


__all__ = ["first_turn", "later_turn", "question_of", "wanted"]
