"""Consensus on a log of many decisions by Raft: one leader at a time orders them, and entries
stored by a majority are decided.

Source: Ongaro and Ousterhout 2014, "In search of an understandable consensus algorithm", section 5
and figure 2, with the empty entry of section 8 at the start of a leader's term. Membership changes
and snapshots (sections 6 and 7) are left out. One departure: replies name the request they answer,
since messages replace the paper's calls.

1. A follower that hears no leader for a time becomes a candidate of the next term. Members vote
   once in a term, and only for a candidate whose log is at least as up to date as their own. A
   majority makes it the leader.
2. The leader appends commands to its log and sends them on, with index and term of the entry
   before. A follower without that entry refuses, and the leader goes back by one; entries that
   conflict with the leader's are removed.
3. An entry of the leader's own term is committed once a majority has it, and all before it are.

Safety (their figure 3): a term has at most one leader; a leader's log only grows; two logs that
have an entry with the same index and term in common are equal up to there; what is committed is in
the log of every later leader; no two members apply different commands at an index.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["request", "vote", "append", "appended"]
Role = Literal["follower", "candidate", "leader"]

HEARTBEAT = 5  # ticks between two heartbeats of a leader
PATIENCE = (15, 30)  # ticks without one until an election, drawn anew each time (section 5.2)


class Entry(NamedTuple):
    """A command, and the term in which a leader received it; None is the empty entry."""

    term: int
    command: str | None


@dataclass(frozen=True)
class Message:
    """A message between members, which are numbered from 0.

    Attributes:
        kind: ``request`` asks for a vote, ``append`` sends entries; ``vote`` and ``appended`` reply.
        sender: number of the sender.
        receiver: number of the receiver.
        term: the sender's term.
        index: place of the sender's last entry (request), of the entry before the sent ones
            (append), of the last entry known to agree (appended), or of the mismatch (appended
            without success).
        entry_term: term of that entry (request, append); 0 for none.
        entries: entries to append.
        committed: the leader's commit index (append).
        success: whether the vote is given, or the entries are appended.
    """

    kind: Kind
    sender: int
    receiver: int
    term: int
    index: int = 0
    entry_term: int = 0
    entries: tuple[Entry, ...] = ()
    committed: int = 0
    success: bool = False


class Server:
    """A member of the log: `tick`, `submit` and `receive` return the messages to send.

    Attributes:
        index: number of the member.
        role: follower, candidate or leader.
        term: latest known term; term, vote and log survive a crash.
        log: entries; the paper counts them from 1.
        committed: number of entries, from the first on, known to be committed.
    """

    def __init__(self, index: int, n: int, rng: random.Random) -> None:
        self.index = index
        self._rng = rng
        self._others = [other for other in range(n) if other != index]
        self._majority = n // 2 + 1
        self.term = 0
        self._voted_for: int | None = None
        self.log: list[Entry] = []
        self.restart()

    def restart(self) -> None:
        """Restart after a crash, keeping only term, vote and log."""
        self.role: Role = "follower"
        self.committed = 0
        self._votes: set[int] = set()
        self._next: dict[int, int] = {}  # index of the next entry to send
        self._matched: dict[int, int] = {}  # index up to which logs are known to agree
        self._wait()

    def decided(self) -> list[str]:
        """The commands known to be decided, in order."""
        return [command for _, command in self.log[: self.committed] if command is not None]

    def tick(self) -> list[Message]:
        """Advance time by a tick: a leader sends heartbeats, others may time out."""
        self._left -= 1
        if self._left > 0:
            return []
        return self._append_to_all() if self.role == "leader" else self.elect()

    def elect(self) -> list[Message]:
        """Become a candidate of the next term."""
        self._enter(self.term + 1)
        self.role = "candidate"
        self._voted_for = self.index
        self._votes = {self.index}
        self._wait()
        last = len(self.log)
        return [
            Message("request", self.index, other, self.term, last, self._term_at(last))
            for other in self._others
        ]

    def submit(self, command: str) -> list[Message]:
        """Append the command and send it on, if leader; otherwise return no messages."""
        if self.role != "leader":
            return []
        self.log.append(Entry(self.term, command))
        return self._append_to_all()

    def receive(self, message: Message) -> list[Message]:
        """Process a message, in any order and even if repeated; return the replies."""
        if message.term > self.term:
            self._enter(message.term)
        match message.kind:
            case "request":
                return [self._vote(message)]
            case "append":
                return [self._appended(message)]
            case "vote" if self.role == "candidate" and message.term == self.term:
                return self._count(message)
            case "appended" if self.role == "leader" and message.term == self.term:
                return self._advance(message)
        return []

    def _enter(self, term: int) -> None:
        """Follow in a later term, with the vote not yet given."""
        self.term = term
        self.role = "follower"
        self._voted_for = None

    def _wait(self) -> None:
        self._left = self._rng.randint(*PATIENCE)

    def _term_at(self, index: int) -> int:
        return self.log[index - 1].term if 0 < index <= len(self.log) else 0

    # Elections (section 5.2, and 5.4.1 for which logs may win)

    def _vote(self, request: Message) -> Message:
        given = request.term == self.term and self._is_free_for(request) and self._trails(request)
        if given:
            self._voted_for = request.sender
            self._wait()
        return Message("vote", self.index, request.sender, self.term, success=given)

    def _is_free_for(self, request: Message) -> bool:
        return self._voted_for in (None, request.sender)

    def _trails(self, request: Message) -> bool:
        """Whether the candidate's log is at least as up to date as this log."""
        last = len(self.log)
        return (request.entry_term, request.index) >= (self._term_at(last), last)

    def _count(self, vote: Message) -> list[Message]:
        if vote.success:
            self._votes.add(vote.sender)
        if len(self._votes) < self._majority:
            return []
        self.role = "leader"
        self._next = dict.fromkeys(self._others, len(self.log) + 1)
        self._matched = dict.fromkeys(self._others, 0)
        self.log.append(Entry(self.term, None))
        return self._append_to_all()

    # The log (section 5.3, and 5.4.2 for what is committed)

    def _append_to_all(self) -> list[Message]:
        self._left = HEARTBEAT
        return [self._append_to(other) for other in self._others]

    def _append_to(self, other: int) -> Message:
        """All entries that the other member may lack."""
        before = self._next[other] - 1
        return Message(
            "append",
            self.index,
            other,
            self.term,
            before,
            self._term_at(before),
            tuple(self.log[before:]),
            self.committed,
        )

    def _appended(self, sent: Message) -> Message:
        index = sent.index
        accepted = sent.term == self.term
        if accepted:
            self.role = "follower"
            self._wait()
            accepted = self._fits(sent)
        if accepted:
            self._store(sent)
            index += len(sent.entries)
            self.committed = max(self.committed, min(sent.committed, index))
        return Message(
            "appended", self.index, sent.sender, self.term, index=index, success=accepted
        )

    def _fits(self, sent: Message) -> bool:
        """Whether this log contains the entry before the sent ones."""
        return sent.index <= len(self.log) and self._term_at(sent.index) == sent.entry_term

    def _store(self, sent: Message) -> None:
        """Append new entries; at a conflict the leader's entry replaces this log's entry and all
        later ones.
        """
        for position, entry in enumerate(sent.entries, start=sent.index):
            if position < len(self.log) and self.log[position].term != entry.term:
                del self.log[position:]
            if position == len(self.log):
                self.log.append(entry)

    def _advance(self, reply: Message) -> list[Message]:
        other = reply.sender
        if reply.success:
            self._matched[other] = max(self._matched[other], reply.index)
            self._next[other] = self._matched[other] + 1
            self._commit()
        elif reply.index == self._next[other] - 1:  # not an earlier refusal
            self._next[other] -= 1
            return [self._append_to(other)]
        return []

    def _commit(self) -> None:
        """Commit entries stored by a majority, if they are of this term."""
        lengths = sorted([len(self.log), *self._matched.values()])
        reached = lengths[-self._majority]
        if reached > self.committed and self._may_commit(reached):
            self.committed = reached

    def _may_commit(self, index: int) -> bool:
        """Whether the entry is of this term; an earlier term's entry may still be replaced, even if
        stored by a majority (figure 8).
        """
        return self._term_at(index) == self.term


class Replicated(NamedTuple):
    """Decisions in order; number of messages, terms and ticks."""

    commands: list[str]
    messages: int
    terms: int
    ticks: int


def replicate(
    commands: Sequence[str],
    n: int,
    *,
    delivers: Callable[[Message], bool] = lambda message: True,
    stands: Callable[[int, int], bool] = lambda member, decided: True,
    seed: int = 0,
    most_ticks: int = 100_000,
) -> Replicated:
    """Replicate a log of commands among n members in one process; the leader submits each command
    when the previous ones are committed. A message takes a tick.

    Args:
        commands: commands to decide, in order.
        n: members, at least 2.
        delivers: whether a message arrives.
        stands: `stands(member, decided)`: whether a member is up after `decided` decisions; a
            restarted member has lost everything not stored.
        seed: seed of the members' timeouts.
        most_ticks: most ticks, even without decisions.

    Example:
        >>> replicate(["A", "B", "B"], 3)._replace(ticks=0)
        Replicated(commands=['A', 'B', 'B'], messages=20, terms=1, ticks=0)
        >>> replicate(["A", "B"], 3, stands=lambda member, decided: member == 0, most_ticks=500).commands
        []
    """
    rng = random.Random(seed)
    servers = [Server(i, n, rng) for i in range(n)]
    flying: list[Message] = []
    decided: list[str] = []
    sent = tick = 0
    up = set(range(n))
    while len(decided) < len(commands) and tick < most_ticks:
        tick += 1
        standing = {i for i in range(n) if stands(i, len(decided))}
        for i in standing - up:
            servers[i].restart()
        up = standing
        arrived = [m for m in flying if m.receiver in up and delivers(m)]
        flying = [reply for m in arrived for reply in servers[m.receiver].receive(m)]
        for i in sorted(up):
            flying += servers[i].tick()
            flying += _submit_next(servers[i], commands)
        sent += len(flying)
        decided = max([decided, *(servers[i].decided() for i in up)], key=len)
    return Replicated(decided, sent, max(server.term for server in servers), tick)


def _submit_next(server: Server, commands: Sequence[str]) -> list[Message]:
    """Let a leader with a fully committed log submit the next command, if any."""
    done = len(server.decided())
    if server.committed < len(server.log) or done == len(commands):
        return []
    return server.submit(commands[done])
