"""`research/benchmarks/groups/ruled.py`, `raft.py` and `classifier_game.py`: members say what the
rules of `talk.Speaker` say, the lecture's programs do what they are called, controls are controls.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from laboratory import said, script

from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.protocol import Answer, Texts
from pyswarmopt_groups.negotiation.debate import first_turn, later_turn
from pyswarmopt_groups.negotiation.societies import TRAITS
from pyswarmopt_groups.voting.reranking import comparison_prompt, fusion_prompt
from pyswarmopt_llm.scores.tasks import Item, Task

game = script("classifier_game")
raft = script("raft")
ruled = script("ruled")

TOLD = "surely swap d b c a surely next . The answer is e c d b"
UNSURE = "perhaps swap a a a a perhaps next . The answer is j j j j"
ITEM = Item("1", "swap next a b c d", None, "e c d b")


def test_a_member_says_what_it_knows_and_weighs_what_it_reads() -> None:
    template = "Question: {question}"
    knows_both = ruled.Ruled("a", ("swap", "next"), 0.0)
    knows_next, knows_none = ruled.Ruled("b", ("next",), 0.0), ruled.Ruled("c", (), 0.0)
    assert said(knows_both, first_turn(ITEM, template)) == TOLD
    first = said(knows_next, first_turn(ITEM, template))
    assert first.startswith("perhaps swap") and " surely next ." in first
    for member in (knows_next, knows_none):
        assert said(member, later_turn(ITEM, template, UNSURE, [UNSURE, TOLD])) == TOLD
        assert said(member, fusion_prompt(ITEM, [UNSURE, TOLD])) == TOLD
    # alone, or confident, it keeps to what it said
    assert said(knows_none, later_turn(ITEM, template, UNSURE, [])) == UNSURE
    confident = f"{TRAITS['c']}\n{later_turn(ITEM, template, UNSURE, [TOLD])}"
    assert said(knows_none, confident) == UNSURE
    assert said(knows_none, comparison_prompt(ITEM, UNSURE, TOLD)) == "B"
    assert said(knows_none, comparison_prompt(ITEM, TOLD, UNSURE)) == "A"


def test_a_careless_member_is_wrong_in_one_reply_of_ten_and_as_sure() -> None:
    careless = ruled.Ruled("a", ("swap", "next"), 0.1)
    rng = random.Random(0)
    words = [rng.sample("abcdefghij", 4) for _ in range(400)]
    texts = [said(careless, f"Question: swap next {' '.join(word)}") for word in words]
    claims = [ruled.read_claim(text) for text in texts]
    assert all(claim.sure_of_second for claim in claims)
    right = [
        claim.final == ruled.SKILLS["next"](ruled.SKILLS["swap"](tuple(word)))
        for claim, word in zip(claims, words, strict=True)
    ]
    assert 0.85 < np.mean(right) < 0.97


def test_a_liar_sounds_sure_and_a_sleeper_is_honest_on_dev() -> None:
    dev = [Item("1", "swap next a b c d", None, "e c d b")]
    words = [" ".join(random.Random(seed).sample("abcdefghij", 4)) for seed in range(60)]
    prompts = [f"Question: reverse rotate {word}" for word in words]
    honest, liar, sleeper = (
        ruled.attacked(liars, on_dev, dev)[0]
        for liars, on_dev in ((0, True), (1, True), (1, False))
    )

    def right(member: Any) -> float:
        finals = [ruled.read_claim(said(member, prompt)).final for prompt in prompts]
        aims = [
            ruled.SKILLS["rotate"](ruled.SKILLS["reverse"](tuple(word.split()))) for word in words
        ]
        return float(np.mean([final == aim for final, aim in zip(finals, aims, strict=True)]))

    assert right(honest) == 1.0 and right(liar) < 0.4 and right(sleeper) == right(liar)
    asked = f"Question: {dev[0].question}"
    assert said(sleeper, asked) == said(honest, asked)
    assert ruled.read_claim(said(liar, prompts[0])).sure_of_second


class Says:
    """A member that gives the same text each time, and compares as it is told."""

    gives_likelihoods = False

    def __init__(self, name: str, text: str, preferred: str = "") -> None:
        self.name = self.fingerprint = name
        self.text, self.preferred = text, preferred
        self.read: list[str] = []

    def answer(self, items: Any, scoring: str, template: str | None = None) -> list[Answer]:
        return [Answer(self.text, 1) for _ in items]

    def generate(self, prompts: Any, how: Any = None) -> list[Texts]:
        return [Texts((self._reply(prompt),), 1) for prompt in prompts]

    def _reply(self, prompt: str) -> str:
        self.read.append(prompt)
        if not prompt.startswith("Which of two"):
            return self.text
        shown = [letter for letter in "AB" if f"Answer {letter}: {self.preferred}" in prompt]
        return "".join(shown)


def test_the_lectures_programs_count_equal_strings_and_return_the_first() -> None:
    items = (Item("1", "two plus two", None, "4"),)
    texts = {"ann": "4", "bob": "The answer is 4", "cid": "5", "dan": "5"}
    members = [Says(name, text) for name, text in texts.items()]
    context = GroupContext(members, Task("t", (), items), "generate")
    (equal,) = ruled.equal_strings(context, items)
    (first,) = ruled.appended(context, items)
    assert (equal.answer, first.answer) == ("5", "4")
    assert (equal.tokens, first.tokens) == (4, 4)
    asked = members[0].read[-1]
    assert [member.read[-1].removeprefix(asked) for member in members] == [
        "",
        "\n4",
        "\n4\nThe answer is 4",
        "\n4\nThe answer is 4\n5",
    ]
    tied = GroupContext([members[k] for k in (0, 0, 2, 3)], context.task, "generate")
    assert ruled.equal_strings(tied, items)[0].answer == "4"  # two and two: the first-listed


def test_who_is_wrong_on_dev_is_left_out_and_who_lies_on_test_alone_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the words of a vote: four members' replies, three without a liar, two without two."""
    monkeypatch.setattr(ruled, "DEV", 40)
    monkeypatch.setattr(ruled, "TEST", 10)
    words = {(row["task"], row["method"]): row["tokens"] for row in ruled.attacks(0)}
    each = words["0 lie", "`majority`"] / 4
    for task, left in {
        "0 lie": 4,
        "1 lie": 3,
        "2 lie": 2,
        "1 lie, on test alone": 4,
        "2 lie, on test alone": 4,
    }.items():
        assert words[task, "`majority`"] == pytest.approx(4 * each)
        assert words[task, "`majority`, defended"] == pytest.approx(left * each)


@pytest.mark.parametrize(("preferred", "area"), [("4", 1.0), ("5", 0.25), ("none", 0.5)])
def test_the_rankers_auc_is_over_pairs_of_a_right_and_a_wrong_answer(
    preferred: str, area: float
) -> None:
    """The right one against 5 and against 6: both won; one lost, one without a preference; none."""
    items = (Item("1", "two plus two", None, "4"),)
    members = [Says("ann", "4", preferred), Says("bob", "5"), Says("cid", "6")]
    context = GroupContext(members, Task("t", items, items), "generate")
    assert ruled.ranker_auc(context) == area


def test_the_kept_log_is_what_both_protocols_decide() -> None:
    (evidence,) = [[row for row in raft.lines("raft") if row["seed"] == 0]]
    assert list(raft.rows(0)) == evidence
    votes = raft.votes(0)
    assert len(votes) == 500 and votes.count(raft.RIGHT) > 490
    for row in evidence:
        assert row["as_voted"]
        assert len(row["test"]) == (0 if row["task"] == "two of three down" else 500)


def test_kept_rankings_of_the_game_are_those_of_its_parts() -> None:
    """Six digits of a draw on which the rankings differ."""
    kept = {row["method"]: row["test"] for row in raft.lines("classifier-game") if row["seed"] == 1}
    names = {
        "equilibrium, by the proposer (`game`)": (0, False),
        "equilibrium, by the evaluator": (1, False),
        "equilibrium with an evaluator by lot": (0, True),
    }
    columns = [*zip(*(kept[name] for name in names), strict=True)]
    some = [columns.index(kind) for kind in dict.fromkeys(columns)]
    assert len(some) >= 5
    draw = game.drawn(1)
    proposed, judged = game.proposer(draw), game.evaluator(draw, by_lot=False)
    lot = game.evaluator(draw, by_lot=True)
    scores = {
        "proposer alone": proposed[some, 0],
        "evaluator alone": judged[some, 0],
        "sum of their logarithms": proposed[some, 0] + judged[some, 0],
    }
    both = [game.ranked(proposed[some], given[some]) for given in (judged, lot)]
    scores |= {name: both[by_lot][player] for name, (player, by_lot) in names.items()}
    for name, values in scores.items():
        right = values.argmax(axis=1) == draw.test[1][some]
        assert [*map(int, right)] == [int(kept[name][i]) for i in some], name


def test_the_surest_first_answer_is_of_who_says_surely_most_often() -> None:
    items = (Item("1", "two plus two", None, "4"),)
    texts = {
        "ann": "surely a perhaps b . The answer is 5",
        "bob": "surely a surely b . The answer is 4",
        "cid": "surely a surely b . The answer is 6",
    }
    members = [Says(name, text) for name, text in texts.items()]
    (found,) = ruled.surest(GroupContext(members, Task("t", (), items), "generate"), items)
    assert found.answer == texts["bob"]  # of two that are as sure the first-listed
