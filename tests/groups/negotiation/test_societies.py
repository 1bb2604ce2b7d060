"""Societies: who is told what, and the measures of conformity and consensus against a literal
reading of the paper.
"""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from member_helpers import TEXT, Scripted, quiz

from pyswarmopt_groups.context import GroupContext, GroupVerdict
from pyswarmopt_groups.negotiation import societies
from pyswarmopt_groups.registry import find_names, load_strategy, society_names
from pyswarmopt_llm.scores.tasks import Task

BALLOTS = st.lists(st.sampled_from(["A", "B", "C", None]), min_size=3, max_size=3)


def group() -> list[Scripted]:
    says = {"ann": "ann says so. The answer is A.", "bob": "bob says so. The answer is B."}
    return [Scripted(name, writes=lambda prompt, said=said: said) for name, said in says.items()]


def decided(strategy: str, members: list[Scripted]) -> GroupVerdict:
    items = quiz("AB", 1, 3)
    context = GroupContext(members, Task("quiz", items[:1], items[1:]), "letter")
    (verdict,) = load_strategy(strategy).decide(context, items[1:])
    return verdict


def test_each_agent_is_told_its_trait_and_the_right_words() -> None:
    members = group()
    verdict = decided("society:cce:dr", members)
    # Agents: ann, bob, and ann again as the third; three turns each.
    ann, bob = (member.prompts for member in members)
    assert len(ann) == 6 and len(bob) == 3 and verdict.tokens == 9 * TEXT
    confident, easy = societies.TRAITS["c"], societies.TRAITS["e"]
    assert [p.startswith(confident) for p in ann] == [True, False] * 3
    assert all(p.startswith(easy) for p in ann[1::2])
    debate, reflection = bob[1], bob[2]
    assert debate.count("Somebody else says: ann says so.") == 2
    assert "Somebody else" not in reflection
    assert "Your answer so far: bob says so." in reflection and "Check your answer" in reflection
    assert verdict.answer == "A" and verdict.notes["rounds"] == [["A", "B", "A"]] * 3
    assert verdict.agreement == pytest.approx(2 / 3)


def test_all_societies_of_the_paper() -> None:
    names = society_names(3, 3)
    assert len(names) == 4 * 8 and len(set(names)) == 32
    assert {name.split(":")[1] for name in names} == {"ccc", "cce", "cee", "eee"}
    patterns = set(map("".join, itertools.product("dr", repeat=3)))
    assert {name.split(":")[2] for name in names} == patterns
    assert find_names(["societies:2:rounds=1"], ["societies"]) == society_names(2, 1)


@given(
    st.lists(st.lists(BALLOTS, min_size=4, max_size=4), min_size=1, max_size=4),
    st.text("dr", min_size=3, max_size=3),
)
def test_the_measures_by_a_literal_reading(
    cases: list[list[list[str | None]]], patterns: str
) -> None:
    verdicts = [GroupVerdict(None, (), 0.0, 0, notes={"rounds": rounds}) for rounds in cases]
    found = societies.measures(verdicts, "ccc", patterns)
    conforming = debates = 0
    for rounds in cases:
        for j, pattern in enumerate(patterns, start=1):
            if pattern == "r":
                continue
            for k in range(3):
                debates += 1
                frequency = Counter(a for a in rounds[j - 1] if a is not None)
                if not frequency or max(frequency.values()) == 1:
                    continue
                if frequency[rounds[j][k]] == max(frequency.values()):
                    conforming += 1
    expected = pytest.approx(conforming / debates) if debates else None
    assert found["conformity"] == expected
    for j in range(4):
        sizes = [len(set(rounds[j]) - {None}) for rounds in cases]
        assert found["consensus"][j] == pytest.approx(sum(sizes) / len(sizes))
