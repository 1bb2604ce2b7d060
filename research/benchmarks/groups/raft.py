#!/usr/bin/env python3
"""Raft and Paxos decide the same log: 500 answers of a group, under the same faults.

A command is the majority's answer to a question, from the stored outcomes of the three unlike
members (`unlike.py`, three draws of questions; a wrong answer is the member's own). Raft replicates
them as one log, Paxos decides each by itself, its members leading in turn until one succeeds; a
member's messages to itself are not counted. Controls: two of three members are down, and nothing
may be decided.

    python research/benchmarks/groups/raft.py --outcomes research/evidence/raft.jsonl
"""

from __future__ import annotations

import itertools
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from by_seed import write_rows

from pyswarmopt_groups import voting
from pyswarmopt_groups.negotiation.paxos import make_members
from pyswarmopt_groups.negotiation.raft import replicate

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from outcomes import lines

MEMBERS = 3
RIGHT = "right"
MOST_ROUNDS = 100  # of Paxos for a decision
MOST_TICKS = 20_000  # of Raft for the log
Stands = Callable[[int, int], bool]


class Faults(NamedTuple):
    """What goes wrong: the share of messages that are lost, and who is up after so many decisions."""

    loss: float
    stands: Stands


def everybody(member: int, decided: int) -> bool:
    """Nobody fails."""
    return True


def in_turn(member: int, decided: int) -> bool:
    """After each hundred decisions the next member is down for fifty of them."""
    return decided % 100 < 50 or decided // 100 % MEMBERS != member


FAULTS = {
    "none": Faults(0.0, everybody),
    "a tenth of the messages lost": Faults(0.1, everybody),
    "three tenths lost": Faults(0.3, everybody),
    "each member down in turn": Faults(0.0, in_turn),
    "both": Faults(0.1, in_turn),
    "two of three down": Faults(0.0, lambda member, decided: member == 0),
}


class Run(NamedTuple):
    """What was decided, the messages that were sent, and the rounds or terms that were begun."""

    decided: list[str]
    messages: int
    rounds: int


def votes(seed: int) -> list[str]:
    """The majority's answer to each question of a draw."""
    rows = {row["method"]: row["test"] for row in lines("unlike") if row["seed"] == seed}
    members = [rows[f"member {k + 1}"] for k in range(MEMBERS)]
    answers = [
        [RIGHT if sign == "1" else f"wrong, by member {k + 1}" for k, sign in enumerate(signs)]
        for signs in zip(*members, strict=True)
    ]
    return [str(voting.majority(ballots).answer) for ballots in answers]


def by_raft(commands: Sequence[str], faults: Faults, seed: int) -> Run:
    """One log."""
    rng = random.Random(seed)
    done = replicate(
        commands,
        MEMBERS,
        delivers=lambda message: rng.random() >= faults.loss,
        stands=faults.stands,
        seed=seed,
        most_ticks=MOST_TICKS,
    )
    return Run(done.commands, done.messages, done.terms)


def by_paxos(commands: Sequence[str], faults: Faults, seed: int) -> Run:
    """A decree for each command; ends at the first that no round decides."""
    rng = random.Random(seed)
    decided: list[str] = []
    messages = rounds = 0
    for place, command in enumerate(commands):
        up = [faults.stands(member, place) for member in range(MEMBERS)]
        participants = make_members([command] * MEMBERS, lambda member, answer: True)
        standing = [member for member in participants if up[member.index]]
        for leader in itertools.islice(itertools.cycle(standing), MOST_ROUNDS):
            rounds += 1
            queue = deque(leader.lead())
            while queue:
                message = queue.popleft()
                own = message.sender == message.receiver
                messages += not own
                if own or (up[message.receiver] and rng.random() >= faults.loss):
                    queue.extend(participants[message.receiver].receive(message))
            if leader.decided is not None:
                decided.append(leader.decided)
                break
        else:
            break
    return Run(decided, messages, rounds)


METHODS = {"Raft, one log": by_raft, "Paxos, a decree each": by_paxos}


def rows(seed: int) -> Iterator[dict[str, Any]]:
    """A line for each protocol and fault."""
    commands = votes(seed)
    for (fault, faults), (method, decide) in itertools.product(FAULTS.items(), METHODS.items()):
        run = decide(commands, faults, seed)
        right = [int(answer == RIGHT) for answer in run.decided]
        yield {
            "method": method,
            "task": fault,
            "seed": seed,
            "test": "".join(map(str, right)),
            "as_voted": run.decided == commands[: len(run.decided)],
            "messages": run.messages,
            "rounds": run.rounds,
        }


if __name__ == "__main__":
    write_rows(__doc__, rows)
