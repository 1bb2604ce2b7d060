"""Refinement, the quorum protocol, games and coalitions among members whose words are known."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from member_helpers import ANSWER, CONTEXT, REPLY, TEXT, Scripted, quiz

from pyswarmopt_groups.context import GroupContext, GroupVerdict
from pyswarmopt_groups.members.protocol import Answer, MemberDown, Texts
from pyswarmopt_groups.negotiation import coalition, consensus_game, refinement
from pyswarmopt_groups.negotiation.consensus_game import equilibrium_ranking
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_llm.scores.tasks import Task

NAMES = ("ann", "bob", "cid", "dan")


def words(text: str) -> int:
    return len(text.split())


def context(members: Sequence[Scripted], right: str = "AB") -> GroupContext:
    items = quiz(right, 1, 3)
    return GroupContext(members, Task("quiz", items[:1], items[1:]), "letter", tolerant=True)


def verdict_of(members: Sequence[Scripted], strategy: str) -> GroupVerdict:
    """The verdict on a single question with three options."""
    (verdict,) = load_strategy(strategy).decide(context(members), quiz("B", 0, 3))
    return verdict


def stubborn(name: str, letter: str) -> Scripted:
    return Scripted(
        name, answers=[letter] * 9, writes=lambda prompt: f"I am {name}. The answer is {letter}."
    )


def sheep(name: str, first: str) -> Scripted:
    """Gives the answer that it hears most often from others; alone, its own."""

    def speak(prompt: str) -> str:
        heard = re.findall(r"Somebody else says: .*The answer is ([A-C])\.", prompt)
        letter = max(heard, key=heard.count) if heard else first
        return f"I am {name}. The answer is {letter}."

    return Scripted(name, answers=[first] * 9, writes=speak)


# Refinement


def test_it_ends_as_soon_as_all_agree() -> None:
    group = [stubborn("ann", "B"), sheep("bob", "A"), sheep("cid", "A")]
    verdict = verdict_of(group, "refine:5")
    # Round 1: bob hears ann's B and cid's A, cid ann's B and bob's A; of equally supported ones
    # ann's comes first.
    assert verdict.notes["rounds"] == [["B", "A", "A"], ["B", "B", "B"]]
    assert verdict.tokens == 2 * 3 * TEXT and verdict.answer == "B"
    assert sum(len(member.prompts) for member in group) == 2 * 3


def test_each_reads_one_argument_for_each_answer_of_all_others() -> None:
    """Bob and dan both say B: who reads both is shown bob's, who is listed first."""
    group = [stubborn(name, letter) for name, letter in zip(NAMES, "ABCB", strict=True)]
    verdict_of(group, "refine:1")
    heard = [re.findall(r"Somebody else says: I am (\w+)", one.prompts[1]) for one in group]
    assert heard == [["bob", "cid"], ["ann", "cid", "dan"], ["bob", "ann"], ["ann", "bob", "cid"]]


ARGUMENTS = st.lists(
    st.tuples(st.sampled_from([None, "A", "B", "C"]), st.text("xyz ", max_size=9)),
    min_size=1,
    max_size=6,
)


def overlap(a: str, b: str) -> float:
    """(Words in common) / (words in either)."""
    words, others = set(a.split()), set(b.split())
    return len(words & others) / max(len(words | others), 1)


@given(ARGUMENTS, ARGUMENTS, st.sampled_from(["supported", "different"]), st.integers(0, 8))
def test_what_is_passed_on_fits_and_is_somebody_elses(arguments, others, passed, budget) -> None:
    shown = refinement.pass_on(arguments[0], others, passed, budget, words)
    assert sum(map(words, shown)) <= budget
    spoken = [(ballot, text) for ballot, text in others if ballot and text.strip()]
    assert set(shown) <= {text for _, text in spoken}
    if passed == "supported":
        assert len(shown) <= len({ballot for ballot, _ in spoken})
        expected = len({ballot for ballot, _ in spoken})
    else:
        shared = [overlap(arguments[0][1], text) for text in shown]
        assert shared == sorted(shared)
        expected = sum(ballot != arguments[0][0] for ballot, _ in spoken)
    everything = refinement.pass_on(arguments[0], others, passed, 10**6, words)
    assert len(everything) == expected


# Agreement by quorum, though members fail


class Failing(Scripted):
    """Down from its n-th request on."""

    def __init__(self, name: str, letter: str, lasts: int) -> None:
        super().__init__(name, answers=[letter] * 9, writes=lambda prompt: "no")
        self.left = lasts

    def _tick(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise MemberDown(f"member {self.name} did not answer")

    def answer(self, *asked: Any) -> list[Answer]:
        self._tick()
        return super().answer(*asked)

    def generate(self, *asked: Any) -> list[Texts]:
        self._tick()
        return super().generate(*asked)


def yes_man(name: str, letter: str) -> Scripted:
    return Scripted(name, answers=[letter] * 9, writes=lambda prompt: "Yes, I can.")


@given(
    letters=st.lists(st.sampled_from("ABC"), min_size=3, max_size=5),
    lasts=st.lists(st.integers(0, 6), min_size=5, max_size=5),
    open_minded=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_safety_and_liveness_under_faults(
    letters: list[str], lasts: list[int], open_minded: list[bool]
) -> None:
    """Members go down at any moment: only what was proposed is decided, and with a minority down
    something is.
    """
    n = len(letters)
    down = [k for k in range(n) if lasts[k] < 3]
    group: list[Scripted] = []
    for k, letter in enumerate(letters):
        kind = yes_man if open_minded[k] else stubborn
        failing = k in down and Failing(f"m{k}", letter, lasts[k])
        group.append(failing or kind(f"m{k}", letter))
    verdict = verdict_of(group, "consensus")
    assert verdict.answer is None or verdict.answer in letters
    standing = [k for k in range(n) if k not in down]
    if len(standing) > n / 2 and all(open_minded[k] for k in standing):
        assert verdict.answer is not None
    if verdict.answer is not None:
        assert len(verdict.notes["failed"]) < n / 2
        supporters = sum(letters[k] == verdict.answer or open_minded[k] for k in standing)
        assert supporters + len(down) > n / 2


# Games


# P(colour | signal) and P(signal | colour), each times a number of its own: rows correct,
# incorrect. Normalised over the other axis, in one table or in both, they elect red.
LIKES = {"red": (0.9, 0.4), "blue": (0.15, 0.9), "green": (0.2, 0.3)}
JUDGES = {"red": (0.3, 0.35), "blue": (0.2, 0.3), "green": (0.7, 0.25)}


def player(name: str, *rows: list[float]) -> Scripted:
    """Proposes and judges as the tables say; its own answers have these probabilities."""

    def logprob(user: str | None, text: str) -> float:
        assert user is not None
        if "Proposed answer: " not in user:
            # a part that all share does not matter
            return math.log(LIKES[text]["an incorrect" in user]) - 7.0
        colour = re.findall(r"Proposed answer: (.*)", user)[0]
        return math.log(JUDGES[colour][text == "incorrect"])

    return Scripted(name, rows, logprobs=logprob)


def test_the_consensus_game_is_played_with_normalised_policies() -> None:
    ann = player("ann", *[[0.8, 0.1, 0.1]] * 2)
    bob = player("bob", *[[0.1, 0.1, 0.8]] * 2)
    asked = context([ann, bob], "AB")
    (verdict,) = consensus_game.consensus_game(asked, asked.task.test)
    g, d = (np.array(list(table.values())).T for table in (LIKES, JUDGES))
    expected = equilibrium_ranking(list("ABC"), g / g.sum(0), d / d.sum(1, keepdims=True))
    assert verdict.answer == expected.answer == "C"
    assert verdict.tokens == 2 * ANSWER + (2 + 3) * CONTEXT + 12 * REPLY
    assert len(ann.asked) == len(bob.asked) == 6 and "Give a" in ann.asked[0][0]
    assert "correct or incorrect" in bob.asked[0][0]


# Coalitions


class Worker(Scripted):
    """Signs its plan, its filled slots and its answer with its name; the answer is right where a
    rule says so.

    Args:
        name: its name.
        right: who plans, fills and answers -> the numbers of the questions that are answered right.
        best: who is best alone.
    """

    def __init__(self, name: str, right: Callable[[str, str, str], str], best: str = "ann") -> None:
        self._right = right
        super().__init__(name, answers=["B" if name == best else "A"] * 10, writes=self._work)

    def _work(self, prompt: str) -> str:
        number, authors = re.findall(r"Question (\d)", prompt)[0], re.findall(r"<(\w+)>", prompt)
        if "Answer the question" not in prompt:
            return "".join(f"<{name}>" for name in [*authors, self.name])
        return f"The answer is {'B' if number in self._right(*authors, self.name) else 'A'}."


@pytest.mark.parametrize(
    ("useful", "given"),
    [
        ({"answer", "slots", "plan"}, "answer"),
        ({"slots", "plan"}, "slots"),
        ({"answer", "plan"}, "answer"),
        ({"plan"}, "plan"),
    ],
)
def test_of_two_members_all_assignments_are_tried(useful: set[str], given: str) -> None:
    """One question more is right where bob does any one of the useful jobs, none where he does two:
    of equals the first counts, and that is the answer before the slots and these before the plan.
    """

    def right(*names: str) -> str:
        pairs = zip(("plan", "slots", "answer"), names, strict=True)
        bobs = {job for job, name in pairs if name == "bob"}
        return "012" if len(bobs) == 1 and bobs <= useful else "01" if not bobs else ""

    items = quiz("BBBB", 1, 3)
    members = [Worker("ann", right), Worker("bob", right)]
    group = GroupContext(members, Task("quiz", items[:3], items[3:]), "letter")
    jobs = {job: "ann" for job in ("answer", "slots", "plan")} | {given: "bob"}
    (verdict,) = coalition.coalition(group, items[3:])
    assert verdict.notes["jobs"] == jobs and verdict.answer == "A" and verdict.tokens == 3 * TEXT
    assert verdict.ballots == ((None, "A") if jobs["answer"] == "bob" else ("A", None))


@pytest.mark.parametrize("seed", range(4))
def test_of_five_members_each_job_goes_to_the_first_that_does_it_best(seed: int) -> None:
    """From the best member alone: the answer, then the slots, then the plan."""
    names, rng = "vwxyz", random.Random(seed)
    solved = {jobs: rng.randrange(10) for jobs in itertools.product(names, repeat=3)}
    members = [Worker(name, lambda *jobs: "0123456789"[: solved[jobs]], "x") for name in names]
    items = quiz("B" * 10, 0, 2)
    group = GroupContext(members, Task("quiz", items, items), "letter")
    jobs = ("x", "x", "x")
    for place in (2, 1, 0):
        tried = [(*jobs[:place], name, *jobs[place + 1 :]) for name in names]
        jobs = max([jobs, *tried], key=lambda each: solved[each])
    (verdict,) = coalition.coalition(group, items[:1])
    assert tuple(verdict.notes["jobs"][job] for job in ("plan", "slots", "answer")) == jobs
