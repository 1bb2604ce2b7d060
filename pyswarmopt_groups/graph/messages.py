"""Prompts of the models in a graph (the messages of others, then the question), and the graph in words."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.common.interfaces import Node
from pyswarmopt_llm.models.engines.transformers import TransformersEngine

_LEAD = "Others have answered the question below. They may be wrong.\n"


def with_messages(question: str, messages: Sequence[str]) -> str:
    """A user turn: the messages as a list, then the question as it was.

    Example:
        >>> print(with_messages("Question: What is two plus two?", ["four", "five"]))
        Others have answered the question below. They may be wrong.
        - four
        - five
        Question: What is two plus two?
        >>> with_messages("Question: What is two plus two?", [])
        'Question: What is two plus two?'
    """
    said = [" ".join(message.split()) for message in messages]
    lines = "".join(f"- {message}\n" for message in said if message)
    return f"{_LEAD}{lines}{question}" if lines else question


def in_words(graph: Sequence[Node], names: Sequence[str]) -> str:
    """Who reads whom, in the order of calling.

    Example:
        >>> in_words([Node((1.0, 0.0)), Node((0.0, 1.0), (0,))], ["ant", "bee"])
        'ant; bee reads ant and answers'
    """
    called = [" + ".join(_term(c, name) for c, name in zip(node.model, names, strict=True) if c) for node in graph]
    lines = [
        name + (f" reads {', '.join(called[k] for k in node.reads)}" if node.reads else "")
        for name, node in zip(called, graph, strict=True)
    ]
    return "; ".join(lines) + (" and answers" if graph[-1].reads else " answers")


def _term(coefficient: float, name: str) -> str:
    return name if coefficient == 1.0 else f"{coefficient:.2f} {name}"


def fitting_turn(engine: TransformersEngine, question: str, messages: Sequence[str], new: int) -> str:
    """`with_messages` for a model's context window, with `new` tokens to spare: messages are halved until they fit.

    The question itself is never cut; what is too long without any message is the engine's to refuse.
    """
    said = list(messages)
    while True:
        turn = with_messages(question, said)
        if not any(said) or engine.window is None:
            return turn
        if len(engine.encode_prompt(engine.chat(turn))) + new <= engine.window:
            return turn
        said = [message[: len(message) // 2] for message in said]
