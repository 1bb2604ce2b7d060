"""The laboratory of statements: what is right in a reply, the score of `examples/objectives/facts.py`
by hand, what a judge is taught, and weights of an analogy.
"""

from __future__ import annotations

import json
import math
import random
import re

import pytest
from laboratory import ROOT, scripts

from pyswarmopt_llm.scores.metrics.external.score_function import ScoreFunction
from pyswarmopt_llm.scores.tasks import Item

lab = scripts("analogies ratings records")

FACTS = {"color": "d", "size": "a", "owner": "j"}


def scores(*replies: str) -> list[float]:
    """The values of `facts.py`."""
    item = Item("1", "tell", None, "", {"facts": json.dumps(FACTS)})
    function = ScoreFunction(f"{ROOT / 'examples' / 'objectives' / 'facts.py'}:score")
    rows = function.parts(["tell"] * len(replies), replies, [item] * len(replies))
    return [row[""] for row in rows]


def test_the_share_of_statements_that_hold_by_hand() -> None:
    right = "color is d . size is a . owner is j ."
    assert scores(right, right.upper()) == [1.0, 1.0]
    assert scores("color is d . size is b . owner is c .") == [pytest.approx(1 / 3)]
    # a statement that holds is one however often it is made, and contradiction is two statements
    assert scores("color is d . color is d .") == [pytest.approx(math.exp(1 - 3 / 1))]
    assert scores("color is d . color is e .") == [pytest.approx(0.5 * math.exp(1 - 3 / 2))]
    assert scores(f"{right} sport is a .") == [0.75]
    assert scores("", "nothing is", "color d") == [0.0, 0.0, 0.0]


def test_right_replies_are_right_in_both_styles_and_repetition_is_worth_nothing() -> None:
    rng = random.Random(3)
    repeated = 0
    for _ in range(200):
        asked, facts = lab.records.question(rng, ["color"])
        tell, *names = asked.split()
        assert tell == "tell" and "color" in [name[:-1] for name in names]
        assert len({name[:-1] for name in names}) == lab.records.ASKED
        assert [*facts.values()] == [lab.records.TABLE[name] for name in names]
        for style in lab.records.STYLES:
            right = lab.records.reply(style, facts)
            assert lab.records.share_right(right, facts) == 1.0
            assert lab.analogies.in_style(style, right)
            assert pairs_of(right) == lab.records.stated(right) == [*facts.items()]
        said = pairs_of(lab.records.spoilt(rng, facts))
        if len({*said}) < len(said):
            repeated += 1
            text = " ".join(f"{name} is {value} ." for name, value in said)
            assert lab.records.share_right(text, facts) == 0.0
    assert repeated > 40


def pairs_of(text: str) -> list[tuple[str, str]]:
    """The statements of a text by a regular expression."""
    return re.findall(r"(\w+) is (\w+)", text)


def test_a_judge_is_taught_the_rating_of_the_reply_and_the_better_one() -> None:
    rows = [("q", "good", 1.0), ("q", "half", 1 / 3), ("q", "bad", 0.0)]
    shares = {reply: share for _, reply, share in rows}
    rng, seen = random.Random(0), set()
    for _ in range(100):
        prompt, said = (message["content"] for message in lab.ratings.lesson(rng, rows)["messages"])
        if said.startswith("Rating"):
            (reply,) = re.findall(r"Reply: (\w+)", prompt)
            assert said == f"Rating: {({'good': 10, 'half': 4, 'bad': 1})[reply]}/10"
        else:
            first, second = re.findall(r"Reply [AB]: (\w+)", prompt)
            assert said == f"Better: {'A' if shares[first] > shares[second] else 'B'}"
        seen.add(said)
    assert seen == {"Rating: 10/10", "Rating: 4/10", "Rating: 1/10", "Better: A", "Better: B"}


def test_an_analogy_adds_both_relations_and_subtracts_what_shares_nothing() -> None:
    tasks = [(name, style) for name in ("lion", "dog") for style in ("outdoors", "indoors")]
    made = lab.analogies.weights(("lion", "indoors"), tasks)
    assert made["analogy"] == [1.0, 0.0, -1.0, 1.0]
    assert made["sum, nothing subtracted"] == [1.0, 0.0, 0.0, 1.0]
    assert made["same attribute"] == [1.0, 0.0, 0.0, 0.0]
    assert made["same style"] == [0.0, 0.0, 0.0, 1.0]
    assert made["trained for it"] == [0.0, 1.0, 0.0, 0.0]


def test_a_reply_knows_an_attribute_that_it_states_once_and_rightly() -> None:
    a = lab.analogies
    prompt, facts = a.question(random.Random(0), ["color"])
    replies = {
        style: " ".join(
            a.STYLES[style].format(name=slot, value=fact)
            for slot, fact in zip(("first", "second"), "da", strict=True)
        )
        for style in a.STYLES
    }
    for style, text in replies.items():
        assert [other for other in a.STYLES if a.in_style(other, text)] == [style]
    (slot,) = [slot for slot, entry in a.entries(prompt).items() if entry[:-1] == "color"]
    wrong = next(value for value in facts.values() if value != facts[slot])
    said = f"{slot} is {facts[slot]} ."
    assert a.knows("color", prompt, facts, said)
    assert not a.knows("color", prompt, facts, f"{said} {said}")
    assert not a.knows("color", prompt, facts, f"{slot} is {wrong} .")
    assert not a.knows("color", prompt, facts, f"{said} {slot} is {wrong} .")
