"""`research/benchmarks/groups/talking.py` and `unlike.py`: what members are taught is what the docstrings say,
and a control moves arguments to another question.
"""

from __future__ import annotations

from laboratory import script
from member_helpers import Scripted

from pyswarmopt_groups.negotiation.debate import later_turn
from pyswarmopt_groups.responses import is_right
from pyswarmopt_llm.scores.tasks import Item

talk = script("talk")
talking = script("talking")
unlike = script("unlike")


def test_each_skill_is_known_to_two_members_and_no_training_question_is_tested() -> None:
    known = [name for names in talk.KNOWN for name in names]
    assert all(known.count(name) == 2 for name in talk.NAMES)
    chats = talk.examples(talk.KNOWN[0], 300, 0)
    taught = {row["messages"][0]["content"].split("Question: ")[1].split("\n")[0] for row in chats}
    assert not taught & {item.question for item in talk.items("test", 500, 0)}


def test_elsewhere_a_member_reads_what_is_said_about_the_next_question() -> None:
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


def test_two_of_three_unlike_members_know_a_skill_and_no_training_question_is_tested() -> None:
    skills = [name for architecture in unlike.UNKNOWN for (name,) in unlike.taught(architecture)]
    assert all(skills.count(name) == 2 for name in unlike.NAMES)
    chats = unlike.chats(unlike.taught("gpt2"), 300, 0)
    taught = {row["messages"][0]["content"].removeprefix("Question: ") for row in chats}
    tested = unlike.questions("test", 60, 0)
    assert not taught & {item.question for item in tested}
    assert all(item.choices is None and is_right(item, item.answer) for item in tested)
