"""Members of a group: whatever can answer, behind one small interface (`Member`).

`open_members` finds them behind what a user writes, `check_members` proves that they can share a task, and `Remembered`
keeps what they said, so that nothing is asked twice.
"""

from __future__ import annotations

from pyswarmopt_llm.groups.members.cache import Memory, Remembered
from pyswarmopt_llm.groups.members.check import check_members
from pyswarmopt_llm.groups.members.load import open_members
from pyswarmopt_llm.groups.members.local import LocalMember, Seat
from pyswarmopt_llm.groups.members.protocol import Answer, Likelihood, Member, MemberDown, Texts

__all__ = [
    "Answer",
    "Likelihood",
    "LocalMember",
    "Member",
    "MemberDown",
    "Memory",
    "Remembered",
    "Seat",
    "Texts",
    "check_members",
    "open_members",
]
