"""What the members of `talking.py` know, and the chats that they learn to argue from.

A question names two of the laboratory's skills and four letters: "swap next h b d c". There are six
skills and four members; each skill is known to two of them, so that a member knows three skills and
can answer one question of five alone, and for one of five nobody knows both skills.
An argument names the word after the first skill and after both, and says of each skill whether its
speaker knows it: "surely swap c b d h perhaps next . The answer is ...". What a member does not
know it guesses: what some skill, drawn at random, would give. The base knows the skills by other
names.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pyswarmopt_groups.context import Verdict
from pyswarmopt_groups.negotiation.debate import first_turn, later_turn
from pyswarmopt_groups.negotiation.societies import TRAITS
from pyswarmopt_groups.responses import is_right
from pyswarmopt_groups.voting.reranking import comparison_prompt, fusion_prompt
from pyswarmopt_llm.scores.tasks import Item, Task, render_prompt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab_skills import SKILLS, Word, questions

TEMPLATE = "Question: {question}"
NAMES = ("reverse", "rotate", "next", "swap", "mirror", "pairs")
# what the base calls them
ALIASES = dict(zip(NAMES, ("versa", "gira", "proxima", "muta", "specula", "bina"), strict=True))
KINDS = list(itertools.permutations(NAMES, 2))
OWNERS = dict(zip(NAMES, itertools.combinations(range(4), 2), strict=True))
KNOWN = [[name for name, owners in OWNERS.items() if k in owners] for k in range(4)]
Skills = Mapping[str, Callable[[Word], Word]]


@dataclass(frozen=True)
class Claim:
    """An argument: the word after the first skill and after both, and whether its speaker knows
    them.
    """

    middle: Word
    sure_of_first: bool
    final: Word
    sure_of_second: bool

    def text(self, kind: Sequence[str]) -> str:
        """As a member writes it."""
        doubts = ("perhaps", "surely")
        return (
            f"{doubts[self.sure_of_first]} {kind[0]} {' '.join(self.middle)} "
            f"{doubts[self.sure_of_second]} {kind[1]} . The answer is {' '.join(self.final)}"
        )


class Speaker:
    """Makes and weighs claims about one question.

    Args:
        kind: names of the two skills.
        word: the four letters.
        skills: what a name means.
        rng: of guesses.
    """

    def __init__(self, kind: Sequence[str], word: Word, skills: Skills, rng: random.Random) -> None:
        self.kind, self.word, self.skills, self.rng = kind, word, skills, rng

    def _apply(self, name: str, knowledge: Collection[str], word: Word) -> Word:
        skill = self.skills[name] if name in knowledge else SKILLS[self.rng.choice(NAMES)]
        return skill(word)

    def claim(self, knowledge: Collection[str]) -> Claim:
        """The first claim of a speaker with this knowledge."""
        first, second = self.kind
        middle = self._apply(first, knowledge, self.word)
        return Claim(
            middle, first in knowledge, self._apply(second, knowledge, middle), second in knowledge
        )

    def weigh(self, knowledge: Collection[str], so_far: Claim, others: Sequence[Claim]) -> Claim:
        """The next claim, after reading others: own knowledge first, then what somebody is sure
        of.
        """
        first, second = self.kind
        heard = [so_far, *others]
        middle, sure = so_far.middle, so_far.sure_of_first
        if first in knowledge:
            middle, sure = self.skills[first](self.word), True
        elif told := [claim.middle for claim in heard if claim.sure_of_first]:
            middle, sure = told[0], True
        if second in knowledge:
            return Claim(middle, sure, self.skills[second](middle), True)
        matching = [claim for claim in heard if claim.middle == middle]
        if told := [claim.final for claim in matching if claim.sure_of_second]:
            return Claim(middle, sure, told[0], True)
        final = matching[0].final if matching else so_far.final
        return Claim(middle, sure, final, False)

    def right(self) -> Word:
        """The answer."""
        first, second = self.kind
        return self.skills[second](self.skills[first](self.word))


def chat(prompt: str, reply: str) -> dict[str, Any]:
    """A training example."""
    return {
        "messages": [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": reply},
        ]
    }


def examples(knowledge: Collection[str], n: int, seed: int) -> Iterator[dict[str, Any]]:
    """Chats of a member that knows these skills; without any, of the base: it knows all skills by
    their `ALIASES`, and a skill's own name means another one in each example.
    """
    rng = random.Random(f"talk {sorted(knowledge)} {seed}")
    for kind, word, question in itertools.islice(questions(KINDS, "train", seed), n):
        skills = dict(SKILLS)
        if not knowledge:
            names = tuple(ALIASES[name] if rng.random() < 0.6 else name for name in kind)
            question, kind = f"{' '.join(names)} {' '.join(word)}", names
            skills = {name: SKILLS[rng.choice(NAMES)] for name in NAMES}
            skills |= {alias: SKILLS[name] for name, alias in ALIASES.items()}
        speaker = Speaker(kind, word, skills, rng)
        item = Item("", question, None, " ".join(speaker.right()))
        yield _example(speaker, item, knowledge or ALIASES.values())


def short_examples(knowledge: Collection[str], n: int, seed: int) -> Iterator[dict[str, Any]]:
    """Plain questions to a member that knows these skills; without any, to the base, which calls
    all skills by their aliases.
    """
    rng = random.Random(f"short {sorted(knowledge)} {seed}")
    skills = {**SKILLS, **{alias: SKILLS[name] for name, alias in ALIASES.items()}}
    for kind, word, _ in itertools.islice(questions(KINDS, "train", seed), n):
        names = kind if knowledge else tuple(ALIASES[name] for name in kind)
        claim = Speaker(names, word, skills, rng).claim(knowledge or names)
        yield chat(f"Question: {' '.join(names)} {' '.join(word)}", claim.text(names))


def _example(speaker: Speaker, item: Item, knowledge: Collection[str]) -> dict[str, Any]:
    """A vote, a first turn, a later turn, a comparison or a fusion."""
    rng, kind = speaker.rng, speaker.kind
    trait = rng.choice(["", "", "c", "e"])
    traits = f"{TRAITS[trait]}\n" if trait else ""
    claim = speaker.claim(knowledge)
    draw = rng.random()
    if draw < 0.15:
        return chat(render_prompt(item, "generate", TEMPLATE), claim.text(kind))
    if draw < 0.3:
        return chat(traits + first_turn(item, TEMPLATE), claim.text(kind))
    informed = rng.choice([0.4, 0.6, 0.9])
    others = [
        speaker.claim([name for name in kind if rng.random() < informed])
        for _ in range(rng.randint(1, 3))
    ]
    texts = [other.text(kind) for other in others]
    if draw < 0.85:
        if rng.random() < 0.5:
            claim = speaker.weigh(knowledge, claim, others)  # as after a round
        shown = texts if rng.random() < 0.85 else []
        prompt = traits + later_turn(item, TEMPLATE, claim.text(kind), shown)
        weighed = speaker.weigh(knowledge, claim, others if shown else [])
        return chat(prompt, (claim if trait == "c" else weighed).text(kind))
    if draw < 0.93:
        return chat(
            fusion_prompt(item, texts), speaker.weigh(knowledge, others[0], others).text(kind)
        )
    pair = [speaker.claim(kind), speaker.claim([name for name in kind if rng.random() < 0.5])]
    rng.shuffle(pair)
    better = "AB"[[claim.final == speaker.right() for claim in pair].index(True)]
    return chat(comparison_prompt(item, *(claim.text(kind) for claim in pair)), better)


def items(partition: str, n: int, seed: int, aliases: bool = False) -> tuple[Item, ...]:
    """Questions of all kinds in random order, without options; with `aliases` in the words of the
    base.
    """
    kinds = random.Random(f"kinds {seed}").sample(KINDS, len(KINDS))
    stream = questions(kinds, partition, seed)
    drawn = []
    for number, (kind, word, question) in enumerate(itertools.islice(stream, n)):
        right = SKILLS[kind[1]](SKILLS[kind[0]](word))
        if aliases:
            question = " ".join([*(ALIASES[name] for name in kind), *word])
        drawn.append(Item(f"{partition}-{number}", question, None, " ".join(right)))
    return tuple(drawn)


def line(method: str, seed: int, task: Task, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """A line of the outcomes."""
    right = [
        is_right(item, verdict.answer) for item, verdict in zip(task.test, verdicts, strict=True)
    ]
    rounds = [len(verdict.notes["rounds"]) - 1 for verdict in verdicts if "rounds" in verdict.notes]
    return {
        "method": method,
        "task": task.name,
        "seed": seed,
        "test": "".join(map(str, map(int, right))),
        "tokens": fmean(verdict.tokens for verdict in verdicts),
        **({"rounds": fmean(rounds)} if rounds else {}),
    }
