"""`research/benchmarks/tokens/unlike_models.py`: what its members are taught and its questions ask is
what its docstring says.
"""

from __future__ import annotations

from collections import Counter

import pytest
from laboratory import script

from pyswarmopt_llm.scores.tasks import Item, Task

unlike = script("unlike_models")

POOLS = range(4)


def dealt(pool: int) -> list[str]:
    return [name for skills in unlike.knowledge(pool).values() for name in skills]


def taught(pool: int, kind: str) -> dict[str, Counter[str]]:
    """Skill that is asked for -> how often the answer is what each of the six would give."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in dealt(pool)}
    for chat in unlike.examples(pool, kind, 2400):
        question, reply = (message["content"] for message in chat["messages"])
        name, *word = question.removeprefix("Question: ").split()
        given = tuple(reply.split())
        counts[name].update(other for other in counts if unlike.SKILLS[other](tuple(word)) == given)
    return counts


@pytest.mark.parametrize("pool", POOLS)
def test_no_member_is_taught_more_than_its_third_and_one_is_mistaken_about_the_rest(
    pool: int,
) -> None:
    names = dealt(pool)
    assert len(set(names)) == 6
    for kind, own in unlike.knowledge(pool).items():
        assert len(own) == 2
        for name, counts in taught(pool, kind).items():
            asked = 600 if name in own else 300
            shares = {other: counts[other] / asked for other in names}
            (first, most), *_ = sorted(shares.items(), key=lambda pair: -pair[1])
            if name in own:
                assert (first, most) == (name, 1.0)
            elif kind == unlike.mistaught(pool):
                # always the same, never the right one, and no skill of its own
                assert most == 1.0 and first not in (name, *own)
                assert shares[name] < 0.2
            else:
                # a sixth each, and what two skills do alike
                assert max(shares.values()) < 0.35 and min(shares.values()) > 0.09


def test_each_architecture_is_mistaught_in_one_of_the_pools_that_are_claimed_on() -> None:
    assert {unlike.mistaught(pool) for pool in (1, 2, 3)} == set(unlike.ARCHITECTURES)


@pytest.mark.parametrize("pool", POOLS)
def test_options_are_what_the_six_skills_give_and_questions_are_not_trained_on(pool: int) -> None:
    names = dealt(pool)
    seen = {
        chat["messages"][0]["content"].removeprefix("Question: ")
        for kind in unlike.ARCHITECTURES
        for chat in unlike.examples(pool, kind, 2000)
    }
    splits = {part: unlike.items(pool, part, 120) for part in ("dev", "test")}
    asked = [item["question"] for items in splits.values() for item in items]
    assert len(asked) == len(set(asked)) == 240 and not seen & set(asked)
    for item in splits["test"]:
        name, *word = item["question"].split()
        given = {other: " ".join(unlike.SKILLS[other](tuple(word))) for other in names}
        assert item["choices"][item["answer"]] == given[name]
        assert len(set(item["choices"].values())) == 4
        assert set(item["choices"].values()) <= set(given.values())
    # in turn, but for questions with fewer than three wrong options
    asked_for = Counter(item["question"].split()[0] for item in splits["test"])
    assert set(asked_for) == set(names) and max(asked_for.values()) - min(asked_for.values()) < 4
    assert len({item["answer"] for item in splits["test"]}) == 4


def test_to_be_written_is_the_text_of_the_right_option() -> None:
    item = Item("1", "swap a b c d", {"A": "a b c d", "B": "d b c a"}, "B")
    bare = unlike.without_options(Task("t", (item,), (item,)))
    assert bare.test == (Item("1", "swap a b c d", None, "d b c a"),) == bare.dev
