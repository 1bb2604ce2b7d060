"""Members of a group: whatever can answer, behind one small interface (`Member`).

`open_members` finds them behind what a user writes, `check_members` proves that they can share a task, and `Remembered`
keeps what they said, so that nothing is asked twice.
"""

from __future__ import annotations

from .interface import Answer, Likelihood, Member, MemberDown, Texts
from .local import LocalMember, Seat
from .memory import Memory, Remembered
from .opening import open_members
from .preflight import check_members

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
