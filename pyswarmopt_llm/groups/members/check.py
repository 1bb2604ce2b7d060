"""Proof that members can be asked a task, before the first item is asked."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.groups.members.endpoint import EndpointMember
from pyswarmopt_llm.groups.members.local import LocalMember
from pyswarmopt_llm.groups.members.protocol import Member
from pyswarmopt_llm.metrics.questions.context_window import check_askable
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.tasks import Task

_PROBE = "Reply with the word: ready"


def check_members(members: Sequence[Member], task: Task | None, scoring: str, tolerant: bool = False) -> None:
    """Chat templates, context windows, endpoints that answer.

    Args:
        members: who will be asked.
        task: what; None for a single prompt.
        scoring: as ``--scoring``.
        tolerant: leave out whether endpoints answer: the strategy goes on without them.

    Raises:
        UserError: names the member, what is wrong and what to do.
    """
    local = [member for member in members if isinstance(member, LocalMember)]
    _check_templates(local)
    for member in members:
        if isinstance(member, EndpointMember) and not tolerant:
            (reply,) = member.generate([_PROBE], max_new_tokens=8)
            if not reply.texts[0].strip():
                raise UserError(f"{member.name}: answers nothing to {_PROBE!r}; check its model, or leave it out")
    seen: set[int] = set()
    for member in local:
        if task is not None and id(member.seat) not in seen:  # members of a base share its window and its tokenizer
            seen.add(id(member.seat))
            check_askable(task, scoring, member.seat.engine, asked=member.name)


def _check_templates(members: Sequence[LocalMember]) -> None:
    def has_template(engine: TransformersEngine) -> bool:
        return engine.tokenizer.chat_template is not None

    without = [m.name for m in members if not all(map(has_template, m.engines))]
    if without and len(without) < len(members):
        raise UserError(
            f"{without[0]}: has no chat template, other members have one; "
            "put a chat_template.jinja beside its tokenizer, or leave it out"
        )


__all__ = ["check_members"]
