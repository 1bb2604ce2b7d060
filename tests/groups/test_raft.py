"""Raft under faults: an observer who sees all members after every step looks for the properties of
the paper's figure 3, under drawn schedules of elections, losses, repetitions and crashes. Servers
that break a rule of figure 2 are found by the same observer.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyswarmopt_groups.negotiation.raft import Entry, Message, Server, replicate

SCHEDULES = 1_000


class Observer:
    """Members, messages in flight, and what was seen of leaders and commits so far."""

    def __init__(self, n: int, kind: type[Server] = Server) -> None:
        self.servers = [kind(i, n, random.Random(i)) for i in range(n)]
        self.flying: list[Message] = []
        self.leaders: dict[int, int] = {}  # term -> its leader
        self.logs: dict[int, list[Entry]] = {}  # term -> its leader's log when seen last
        self.committed: dict[int, tuple[Entry, int]] = {}  # index -> entry, term when committed

    def step(self, action: str, number: int) -> None:
        """One event, and a look at all members."""
        server = self.servers[number % len(self.servers)]
        if action == "elect" and server.role != "leader":
            self.flying += server.elect()
        elif action == "beat" and server.role == "leader":
            self.flying += server._append_to_all()
        elif action == "submit":
            self.flying += server.submit(f"command {number}")
        elif action == "crash":
            server.restart()
        elif action in ("deliver", "repeat", "drop") and self.flying:
            place = number % len(self.flying)
            message = self.flying[place] if action == "repeat" else self.flying.pop(place)
            if action != "drop":
                self.flying += self.servers[message.receiver].receive(message)
        self.look()

    def look(self) -> None:
        """Figure 3, property by property."""
        for server in self.servers:
            for index in range(server.committed):
                entry = server.log[index]
                seen, _ = self.committed.setdefault(index, (entry, server.term))
                assert seen == entry, "state machine safety"
        for server in self.servers:
            if server.role == "leader":
                term = server.term
                assert self.leaders.setdefault(term, server.index) == server.index, (
                    "election safety"
                )
                before = self.logs.get(term, [])
                assert server.log[: len(before)] == before, "leader append-only"
                self.logs[term] = list(server.log)
                for index, (entry, when) in self.committed.items():
                    if term > when:
                        assert server.log[index : index + 1] == [entry], "leader completeness"
        for i, first in enumerate(self.servers):
            for second in self.servers[i + 1 :]:
                matches = [a.term == b.term for a, b in zip(first.log, second.log, strict=False)]
                if any(matches):
                    common = len(matches) - matches[::-1].index(True)
                    assert first.log[:common] == second.log[:common], "log matching"


def run_schedule(seed: int, kind: type[Server] = Server, steps: int = 250) -> Observer:
    """A schedule with its own taste for chaos; mostly the messages sent last are delivered first."""
    rng = random.Random(seed)
    observer = Observer(rng.choice([3, 3, 5]), kind)
    elect, crash, lose, repeat = (rng.uniform(0.0, top) for top in (0.1, 0.05, 0.4, 0.2))
    latest, submit = rng.random(), rng.uniform(0.02, 0.2)
    actions = ["elect", "crash", "submit", "beat", "drop", "repeat", "deliver"]
    weights = [elect, crash, submit, 0.1, lose / 2, repeat / 2, 1]
    for _ in range(steps):
        (action,) = rng.choices(actions, weights)
        number = rng.randrange(2**16)
        if action in ("deliver", "repeat", "drop") and rng.random() < latest:
            number = max(len(observer.flying) - 1, 0)
        observer.step(action, number)
    return observer


def test_the_properties_of_the_papers_figure_3_hold_under_a_thousand_schedules() -> None:
    finished = [run_schedule(seed) for seed in range(SCHEDULES)]
    committed = [len(observer.committed) for observer in finished]
    terms = [len(observer.leaders) for observer in finished]
    assert sum(count > 3 for count in committed) > SCHEDULES / 2, "schedules that decide something"
    assert sum(count > 1 for count in terms) > SCHEDULES / 2, "schedules with several leaders"


class VotesTwice(Server):
    def _is_free_for(self, request: Message) -> bool:
        return True


class VotesForAnyLog(Server):
    def _trails(self, request: Message) -> bool:
        return True


class ComparesLengthsAlone(Server):
    def _trails(self, request: Message) -> bool:
        return request.index >= len(self.log)


class ForgetsItsVote(Server):
    def restart(self) -> None:
        super().restart()
        self._voted_for = None


class ForgetsItsLog(Server):
    def restart(self) -> None:
        super().restart()
        self.log = []


class AppendsAnywhere(Server):
    def _fits(self, sent: Message) -> bool:
        return sent.index <= len(self.log)


class KeepsItsOwn(Server):
    def _store(self, sent: Message) -> None:
        self.log += sent.entries[max(len(self.log) - sent.index, 0) :]


class CommitsWithoutMajority(Server):
    def _commit(self) -> None:
        self.committed = max(self.committed, max(self._matched.values()))


BROKEN = [VotesTwice, VotesForAnyLog, ComparesLengthsAlone, ForgetsItsVote, ForgetsItsLog]
BROKEN += [AppendsAnywhere, KeepsItsOwn, CommitsWithoutMajority]


class CommitsEarlierTerms(Server):
    def _may_commit(self, index: int) -> bool:
        return True


def figure_8(kind: type[Server]) -> Observer:
    """The paper's figure 8, (a) to (d): S1 stores an entry of term 2 on a majority in term 4, then
    S5 is elected without it.
    """
    observer = Observer(5, kind)
    s1, s5 = observer.servers[0], observer.servers[4]
    old, other = Entry(2, "old"), Entry(3, "other")
    s1.log, observer.servers[1].log, s5.log = [old], [old], [other]
    for server in observer.servers:
        server.term = 3

    def exchange(messages: list[Message], with_: tuple[int, ...]) -> list[Message]:
        """Deliver to these alone; what they reply is delivered, further messages are returned."""
        heard = [message for message in messages if message.receiver in with_]
        replies = [reply for m in heard for reply in observer.servers[m.receiver].receive(m)]
        more = [m for reply in replies for m in observer.servers[reply.receiver].receive(reply)]
        observer.look()
        return more

    exchange(s1.elect(), (1, 2))  # leader of term 4; its own entry is lost
    exchange([Message("append", 0, i, s1.term, 0, 0, (old,)) for i in (1, 2)], (1, 2))  # (c)
    s1.restart()
    s5.elect()  # in term 4, in vain
    sent = exchange(s5.elect(), (1, 2, 3))
    while sent:  # (d): until all that hear it have its log
        sent = exchange(sent, (1, 2, 3))
    return observer


def test_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    observer = figure_8(Server)
    assert [server.log[0].command for server in observer.servers[1:]] == ["other"] * 4
    with pytest.raises(AssertionError, match=r"leader completeness|state machine safety"):
        figure_8(CommitsEarlierTerms)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), order=st.randoms())
def test_after_any_trouble_a_majority_that_hears_each_other_decides(seed, order) -> None:
    observer = run_schedule(seed, steps=120)
    n = len(observer.servers)
    alive = order.sample(range(n), n // 2 + 1)  # the others have stopped for good
    observer.flying.clear()

    def talk(messages: list[Message]) -> None:
        while messages:
            message = messages.pop(0)
            if message.receiver in alive:
                messages += observer.servers[message.receiver].receive(message)

    for turn in range(200):
        for leader in [observer.servers[i] for i in alive]:
            talk(leader.submit("last"))
            if leader.role == "leader":  # still, after what it heard
                talk(leader._append_to_all())
        if all(observer.servers[i].decided()[-1:] == ["last"] for i in alive):
            break
        talk(observer.servers[alive[turn % len(alive)]].elect())
    observer.look()
    assert all(observer.servers[i].decided()[-1:] == ["last"] for i in alive)


COMMANDS = [f"answer {i % 3}" for i in range(40)]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_messages_of_an_undisturbed_log_by_hand(n: int) -> None:
    """An election (request, vote), then the empty entry and each command (append, appended); what
    is left is a majority's replies at the end.
    """
    done = replicate(COMMANDS, n)
    assert done.commands == COMMANDS
    assert done.terms == 1
    assert done.messages == 2 * (n - 1) * (2 + len(COMMANDS))


@given(seed=st.integers(0, 999), loss=st.floats(0, 0.4))
@settings(max_examples=30)
def test_the_log_is_that_of_the_commands_though_messages_are_lost_and_members_crash(
    seed: int, loss: float
) -> None:
    rng = random.Random(seed)
    naps = {decided: rng.randrange(5) for decided in range(0, 40, 4)}
    hears = {"delivers": lambda message: rng.random() >= loss}
    hears["stands"] = lambda member, decided: naps.get(decided) != member
    assert replicate(COMMANDS, 5, seed=seed, **hears).commands == COMMANDS


def test_another_leader_goes_on_and_without_a_majority_nothing_is_decided() -> None:
    first = replicate(COMMANDS, 3, stands=lambda member, decided: member == 0 or decided < 10)
    assert first.commands == COMMANDS[:10]
    for gone in range(3):

        def stands(member, decided, gone=gone):
            return member != gone or decided < 10

        assert replicate(COMMANDS, 3, stands=stands).commands == COMMANDS
