"""Checks that members can answer a task, before the first item is evaluated."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.groups.members.endpoint import EndpointMember
from pyswarmopt_llm.groups.members.local import LocalMember
from pyswarmopt_llm.groups.members.protocol import Member
from pyswarmopt_llm.metrics.questions.context_window import check_askable
from pyswarmopt_llm.tasks import Task

_PROBE = "Reply with the word: ready"


def check_members(members: Sequence[Member], task: Task | None, scoring: str, tolerant: bool = False) -> None:
    """Check chat templates, context windows, and that endpoints respond.

    Args:
        members: of the group.
        task: the task; None for a single prompt.
        scoring: ``auto``, ``letter``, ``likelihood`` or ``generate``.
        tolerant: skip the endpoints: the strategy continues without them.

    Raises:
        UserError: names the member, what is wrong and what to do.
    """
    local = [member for member in members if isinstance(member, LocalMember)]
    _check_templates(local)
    for member in members:
        if isinstance(member, EndpointMember) and not tolerant:
            (reply,) = member.generate([_PROBE], max_new_tokens=8)
            if not reply.texts[0].strip():
                raise UserError(f"{member.name}: answers nothing to {_PROBE!r}; check its model, or remove it")
    if task is not None:  # members of one base share its context window and tokenizer
        first: dict[int, LocalMember] = {}
        for member in local:
            first.setdefault(id(member.base), member)
        for member in first.values():
            check_askable(task, scoring, member.base.engine, asked=member.name)


def _check_templates(members: Sequence[LocalMember]) -> None:
    without = [m.name for m in members if any(engine.tokenizer.chat_template is None for engine in m.engines)]
    if without and len(without) < len(members):
        raise UserError(
            f"{without[0]}: has no chat template, other members have one; "
            "put a chat_template.jinja beside its tokenizer, or remove it"
        )


__all__ = ["check_members"]
