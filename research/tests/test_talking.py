"""`research/benchmarks/groups/talking.py` and `unlike.py`: what members are taught is what the docstrings say,
and a control moves arguments to another question.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from laboratory import importing
from member_helpers import Scripted

from pyswarmopt_groups.negotiation.debate import later_turn
from pyswarmopt_groups.responses import is_right
from pyswarmopt_llm.scores.tasks import Item


@pytest.fixture(scope="module")
def modules() -> Iterator[Any]:
    with importing("benchmarks/groups", "benchmarks/lab"):
        import talk
        import talking
        import unlike

        yield talk, talking, unlike


def test_a_speaker_uses_its_own_knowledge_then_what_others_are_sure_of(modules: Any) -> None:
    talk, _, _ = modules
    kind, word = ("reverse", "next"), tuple("abcd")
    speaker = talk.Speaker(kind, word, talk.SKILLS, random.Random(0))
    wrong = talk.Claim(tuple("aaaa"), False, tuple("jjjj"), False)
    first = talk.Claim(tuple("dcba"), True, tuple("jjjj"), False)
    both = talk.Claim(tuple("dcba"), True, tuple("edcb"), True)
    assert speaker.claim(kind) == both
    assert speaker.weigh(["reverse"], wrong, []) == talk.Claim(
        tuple("dcba"), True, tuple("jjjj"), False
    )
    assert speaker.weigh(["next"], wrong, [first]) == both
    assert speaker.weigh([], wrong, [first, both]) == both
    assert speaker.weigh([], wrong, []) == wrong
    assert is_right(Item("", "reverse next a b c d", None, "e d c b"), both.text(kind))


def test_each_skill_is_known_to_two_members_and_no_training_question_is_tested(
    modules: Any,
) -> None:
    talk, _, _ = modules
    known = [name for names in talk.KNOWN for name in names]
    assert all(known.count(name) == 2 for name in talk.NAMES)
    chats = talk.examples(talk.KNOWN[0], 300, 0)
    taught = {row["messages"][0]["content"].split("Question: ")[1].split("\n")[0] for row in chats}
    assert not taught & {item.question for item in talk.items("test", 500, 0)}


def test_elsewhere_a_member_reads_what_is_said_about_the_next_question(modules: Any) -> None:
    _, talking, _ = modules
    member = Scripted("ann", writes=lambda prompt: prompt)
    items = [Item(str(i), f"question {i}", None, "x") for i in range(2)]
    prompts = [
        later_turn(item, None, "own", [f"about {i} by bob", f"about {i} by cid"])
        for i, item in enumerate(items)
    ]
    texts = [reply.texts[0] for reply in talking.Elsewhere(member).generate(prompts)]
    assert texts == [
        later_turn(item, None, "own", [f"about {1 - i} by bob", f"about {1 - i} by cid"])
        for i, item in enumerate(items)
    ]


def test_two_of_three_unlike_members_know_a_skill_and_no_training_question_is_tested(
    modules: Any,
) -> None:
    _, _, unlike = modules
    skills = [name for architecture in unlike.UNKNOWN for (name,) in unlike.taught(architecture)]
    assert all(skills.count(name) == 2 for name in unlike.NAMES)
    chats = unlike.chats(unlike.taught("gpt2"), 300, 0)
    taught = {row["messages"][0]["content"].removeprefix("Question: ") for row in chats}
    tested = unlike.questions("test", 60, 0)
    assert not taught & {item.question for item in tested}
    assert all(item.choices is None and is_right(item, item.answer) for item in tested)
