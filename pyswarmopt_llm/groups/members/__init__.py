"""Members of a group: everything that can answer, behind one small interface (`Member`)."""

from __future__ import annotations

from pyswarmopt_llm.groups.members.cache import CachedMember, ResponseCache
from pyswarmopt_llm.groups.members.check import check_members
from pyswarmopt_llm.groups.members.load import open_members
from pyswarmopt_llm.groups.members.local import LocalMember, SharedBase
from pyswarmopt_llm.groups.members.protocol import Answer, Likelihood, Member, MemberDown, Texts

__all__ = [
    "Answer",
    "CachedMember",
    "Likelihood",
    "LocalMember",
    "Member",
    "MemberDown",
    "ResponseCache",
    "SharedBase",
    "Texts",
    "check_members",
    "open_members",
]
