"""Records of conversations in chat data sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyswarmopt_llm.common.errors import UserError

_ROLES = ("system", "user", "assistant")


def of_conversation(record: Mapping[Any, Any], location: str) -> dict[Any, Any]:
    """The values of a record with ``messages``: the prompt is the last user turn, after ``earlier``
    turns; a final assistant turn is the answer.

    Raises:
        UserError: the messages are no conversation with a last user turn.

    Example:
        >>> of_conversation({"messages": [{"role": "user", "content": "Hi"}], "id": 3}, "a.jsonl: line 1")
        {'id': 3, 'prompt': 'Hi', 'earlier': []}
    """
    turns = record["messages"]
    fine = isinstance(turns, list) and all(map(_is_turn, turns))
    said = [{"role": turn["role"], "content": turn["content"]} for turn in turns] if fine else []
    answer = said.pop() if said and said[-1]["role"] == "assistant" else None
    if not said or said[-1]["role"] != "user":
        raise UserError(
            f'{location}: "messages" must be turns with "role" (system, user, assistant) and '
            '"content", the last one the user\'s, or the answer to it'
        )
    others = {name: value for name, value in record.items() if name != "messages"}
    prompt = said.pop()["content"]
    answered = {} if answer is None else {"answer": answer["content"]}
    return {**answered, **others, "prompt": prompt, "earlier": said}


def _is_turn(turn: object) -> bool:
    return (
        isinstance(turn, Mapping)
        and isinstance(turn.get("content"), str)
        and turn.get("role") in _ROLES
    )
