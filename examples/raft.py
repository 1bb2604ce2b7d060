"""Raft: members agree on one log of decisions, although they crash and messages are lost.

    python examples/raft.py

Source: Ongaro and Ousterhout 2014, "In search of an understandable consensus algorithm", figure 2.
"""

import random
from collections.abc import Callable, Sequence

Entry = tuple[int, str]  # the term of the leader that received it, the command
Reaches = Callable[[int, int], bool]  # whether a call from one member reaches another


class Member:
    """One member, whose term, vote and log survive a crash."""

    def __init__(self, name: int) -> None:
        self.name, self.term = name, 0
        self.voted_for: int | None = None
        self.log: list[Entry] = []
        self.restart()

    def restart(self) -> None:
        self.leads = False
        self.committed = 0  # the number of entries that are decided

    def term_at(self, index: int) -> int:
        return self.log[index - 1][0] if index else 0

    def enter(self, term: int) -> None:
        if term > self.term:
            self.term, self.voted_for, self.leads = term, None, False

    def vote(self, term: int, candidate: int, last: tuple[int, int]) -> bool:
        """Vote once per term, for a log that is at least as up to date (sections 5.2 and 5.4.1)."""
        self.enter(term)
        own = (self.term_at(len(self.log)), len(self.log))
        given = term == self.term and self.voted_for in (None, candidate) and last >= own
        if given:
            self.voted_for = candidate
        return given

    def append(self, term: int, at: int, at_term: int, new: list[Entry], committed: int) -> bool:
        """Accept a leader's entries if both logs agree up to them (section 5.3)."""
        self.enter(term)
        if term < self.term or at > len(self.log) or self.term_at(at) != at_term:
            return False
        for index, entry in enumerate(new, at):
            if self.log[index : index + 1] != [entry]:
                self.log[index:] = [entry]
        self.committed = max(self.committed, min(committed, at + len(new)))
        return True


def elect(one: Member, members: Sequence[Member], reaches: Reaches) -> None:
    """Elect a leader by majority; its term begins with an empty entry (section 8)."""
    one.enter(one.term + 1)
    one.voted_for, term, votes = one.name, one.term, 1
    for other in members:
        if other is not one and reaches(one.name, other.name):
            votes += other.vote(term, one.name, (one.term_at(len(one.log)), len(one.log)))
            one.enter(other.term)
    if one.term == term and votes > len(members) // 2:
        one.leads = True
        one.log.append((term, ""))


def send(leader: Member, members: Sequence[Member], reaches: Reaches) -> None:
    """Send the log. It is decided once a majority has it, as it ends in this term (5.4.2)."""
    have = 1
    for other in members:
        at = len(leader.log) + 1
        while at > 0 and leader.leads and other is not leader and reaches(leader.name, other.name):
            at -= 1  # go back to the last entry that both logs share
            if other.append(leader.term, at, leader.term_at(at), leader.log[at:], leader.committed):
                have += 1
                break
            leader.enter(other.term)
    if leader.leads and have > len(members) // 2:
        leader.committed = len(leader.log)


def main() -> None:
    rng = random.Random(0)
    members = [Member(name) for name in range(3)]
    for command in ("deploy", "roll back", "deploy again"):
        leader = rng.choice(members)
        while not leader.leads:
            elect(leader, members, lambda sender, receiver: rng.random() > 0.2)
        leader.log.append((leader.term, command))
        while leader.committed < len(leader.log):
            send(leader, members, lambda sender, receiver: rng.random() > 0.2)
        print([entry for _, entry in leader.log[: leader.committed] if entry])
        leader.restart()  # the leader crashes


if __name__ == "__main__":
    main()
