"""Members that lie, and members that share randomised votes only."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import runpy
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from member_helpers import Scripted, quiz
from search_helpers import Json, questions, swarm_llm, write_task

from pyswarmopt_groups.members.adverse import PrivateMember, kept, with_liar
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.scores.tasks import Item

N = 4000
SCRIPT = str(Path(__file__).parents[3] / "examples" / "leave_one_out.py")


def items(n: int, options: int = 4) -> list[Item]:
    return [
        Item(str(i), f"Question {i}?", dict(zip("ABCD", "wxyz"[:options], strict=False)), "A")
        for i in range(n)
    ]


def votes(text: str, epsilon: float, seed: int = 0, options: int = 4) -> list[str]:
    member = PrivateMember(Scripted("ann", answers=[text] * N), epsilon, seed)
    replies = member.answer(items(N, options), "letter")
    assert all(not reply.scores and reply.tokens == 10 for reply in replies)
    return [reply.text for reply in replies]


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_a_vote_is_kept_as_often_as_epsilon_allows_and_the_others_are_alike(epsilon: float) -> None:
    counts = Counter(votes("B", epsilon))
    keeps = math.exp(epsilon) / (math.exp(epsilon) + 3)
    for letter in "ABCD":
        p = keeps if letter == "B" else (1 - keeps) / 3
        assert abs(counts[letter] - N * p) < 5 * math.sqrt(N * p * (1 - p))
    assert kept(epsilon, 4) == pytest.approx(keeps)
    # Definition of local differential privacy, over every pair of true votes and every vote that is
    # seen.
    for truth, other, seen in itertools.product("ABCD", repeat=3):
        chance = [keeps if seen == said else (1 - keeps) / 3 for said in (truth, other)]
        assert chance[0] <= math.exp(epsilon) * chance[1] * (1 + 1e-12)


def test_a_liar_gives_its_second_choice_with_the_confidence_of_its_first() -> None:
    scores = [[0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3]]
    asked = quiz("AAB", 0, 3)
    liar, other = with_liar([Scripted("ann", scores), Scripted("bob", scores)], "ann", [])
    replies = liar.answer(asked, "letter")
    assert [reply.text for reply in replies] == ["B", "C", "C"]
    shown = [[round(math.exp(reply.scores[letter]), 3) for letter in "ABC"] for reply in replies]
    assert shown == [[0.3, 0.6, 0.1], [0.1, 0.2, 0.7], [0.2, 0.3, 0.5]]
    assert [reply.text for reply in other.answer(asked, "letter")] == ["A", "C", "B"]
    plain = with_liar([Scripted("ann", answers=["A", "C", "B"])], "ann", [])[0]
    assert [reply.text for reply in plain.answer(asked, "letter")] == ["B", "C", "A"]
    sleeper = with_liar([Scripted("ann", scores)], "ann:test", asked[:2])[0]
    assert [reply.text for reply in sleeper.answer(asked, "letter")] == ["A", "C", "C"]
    with pytest.raises(InvalidOption, match="one of: ann, bob"):
        with_liar([Scripted("ann"), Scripted("bob")], "cid", [])


@pytest.fixture
def given(tmp_path: Path, opens: Callable[[object], None]) -> list[object]:
    """A group of three members that are right on a half, on two thirds and on a third of 30 dev and
    30 test items.
    """
    rng = random.Random(0)
    right = [rng.choice("ABC") for _ in range(60)]
    members = []
    for name, share in (("ant", 1 / 2), ("bee", 2 / 3), ("cat", 1 / 3)):
        said = [letter if rng.random() < share else rng.choice("ABC") for letter in right]
        members.append(Scripted(name, answers=said))
    opens(members)
    numbered = enumerate(questions(60, 1, 3))
    asked = [item | {"id": str(i), "answer": right[i]} for i, item in numbered]
    task = write_task(tmp_path / "words.json", asked[:30], asked[30:])
    return ["--members", "ant", "bee", "cat", "--task", task, "--quiet"]


def voted(capsys: pytest.CaptureFixture[str], words: list[object], *more: object) -> Json:
    more = ("--strategy", "majority", *more, "--json")
    code, out, err = swarm_llm(capsys, "ensemble", *words, *more)
    assert code == 0, err
    printed: Json = json.loads(out)
    return printed


def test_the_command_makes_one_member_lie_and_all_of_them_noisy(
    given: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = voted(capsys, given)
    lying = voted(capsys, given, "--liar", "bee")["members"]
    sleeping = voted(capsys, given, "--liar", "bee:test")["members"]
    assert (lying["bee"]["dev"], lying["bee"]["test"], sleeping["bee"]["test"]) == (0, 0, 0)
    assert sleeping["bee"]["dev"] == plain["members"]["bee"]["dev"] > 0
    assert lying["ant"] == plain["members"]["ant"]
    sure = voted(capsys, given, "--epsilon", 60)
    assert sure["strategies"]["majority"]["test"] == plain["strategies"]["majority"]["test"]
    noisy = [voted(capsys, given, "--epsilon", 0, "--seed", seed)["members"] for seed in (1, 2)]
    assert noisy[0] != noisy[1]
    words = ["--strategy", "all", "--epsilon", 2, "--out", tmp_path / "run"]
    code, out, err = swarm_llm(capsys, "ensemble", *given, *words)
    assert code == 0, err
    left = re.findall("^left out: (.*?) ", out, re.MULTILINE)
    more = {"attention", "nearest", "route-neighbours"}
    more |= {"fuse", "self-consistency", "reward"}
    assert set(left) == more
    runpy.run_path(SCRIPT)["main"](str(tmp_path / "run"), str(given[given.index("--task") + 1]))
    first, *others = capsys.readouterr().out.splitlines()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert first == f"all members: {result['strategies']['majority']['test']:.3f}"
    assert {line.split()[1].rstrip(":") for line in others} == set(result["members"])
