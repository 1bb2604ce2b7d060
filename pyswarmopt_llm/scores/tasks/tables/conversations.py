"""Rows that hold a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyswarmopt_llm.common.errors import UserError


def from_messages(raw: Mapping[Any, Any], where: str) -> Mapping[Any, Any]:
    """A record whose ``messages`` are a conversation as one whose prompt is the last user's turn,
    after ``earlier`` turns; an assistant's turn at the end is the answer.

    Raises:
        UserError: they are no conversation that a user's turn ends.
    """
    turns = raw["messages"]
    fine = isinstance(turns, list) and all(
        isinstance(turn, Mapping) and isinstance(turn.get("content"), str) for turn in turns
    )
    roles = [str(turn.get("role")) for turn in turns] if fine else []
    answered = roles[-1:] == ["assistant"]
    if not {*roles} <= {"system", "user", "assistant"} or roles[-1 - answered :][:1] != ["user"]:
        raise UserError(
            f'{where}: "messages" must be turns with "role" (system, user, assistant) and '
            '"content", the last one the user\'s, or the answer to it'
        )
    rest = {name: value for name, value in raw.items() if name != "messages"}
    if answered:
        rest = {"answer": turns[-1]["content"], **rest}
    earlier = [{"role": turn["role"], "content": turn["content"]} for turn in turns]
    last = len(turns) - 1 - answered
    return {**rest, "prompt": earlier[last]["content"], "earlier": earlier[:last]}
