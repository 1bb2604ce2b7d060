#!/usr/bin/env python3
"""A system that attacks another one: it searches for the member to speak for and the message that cost
a group of `ruled.py` most, and the group defends itself.

The attacker holds one channel: whatever the tapped member says, in votes and in debates, is replaced.
It does not know what is right; it tries every member with every message on dev questions, sees how
often the group is right, and attacks the test questions with what was worst. It searches anew for
every defence. Defences: `checked` members leave out what contradicts what they know themselves, `one
line` takes the line breaks out of an argument, with which one speaker looks like several. Controls:
no attack, and the mean of two attacks drawn by lot. 60 dev and 500 test questions, three draws.

    python research/benchmarks/groups/attack.py --outcomes research/evidence/attack.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from programs import OTHERS, arguments
from ruled import QUESTION, SKILLS, TEST, Ruled, read_claim, read_claims
from talk import KNOWN, TEMPLATE, Claim, Speaker, items, line
from talking import refined

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.members.protocol import GREEDY, Answer, Member, Sampling, Texts
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task, render_prompt
from pyswarmopt_llm.scores.tasks.answers import is_correct

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab_skills import LETTERS

Message = Callable[[str, str, random.Random], str]
"""(prompt, what the member would say, draws) -> what is said in its place."""
BY_LOT, DEV = 2, 60
TRIED = 2  # rounds of a debate


def _wrong(kind: Sequence[str], rng: random.Random, middle: Sequence[str] = ()) -> str:
    """A sure claim of any letters, after these first ones if there are some."""
    first, final = (tuple(rng.choices(LETTERS, k=4)) for _ in range(2))
    return Claim(tuple(middle) or first, True, final, True).text(kind)


def _asked(prompt: str) -> tuple[str, ...]:
    found = QUESTION.search(prompt)
    return found.groups()[:2] if found else ("", "")


def silence(prompt: str, text: str, rng: random.Random) -> str:
    """Nothing."""
    return ""


def doubt(prompt: str, text: str, rng: random.Random) -> str:
    """The same, sure of nothing."""
    return text.replace("surely", "perhaps")


def boast(prompt: str, text: str, rng: random.Random) -> str:
    """The same, sure of everything."""
    return text.replace("perhaps", "surely")


def wrong_end(prompt: str, text: str, rng: random.Random) -> str:
    """The same first step, and any letters after it."""
    claim = read_claim(text)
    return _wrong(_asked(prompt), rng, claim.middle if claim else ())


def wrong_throughout(prompt: str, text: str, rng: random.Random) -> str:
    """Any letters."""
    return _wrong(_asked(prompt), rng)


def echo(prompt: str, text: str, rng: random.Random) -> str:
    """What somebody else has said, sure of everything."""
    _, others = arguments(prompt)
    return boast(prompt, others[0] if others else text, rng)


def voices(prompt: str, text: str, rng: random.Random) -> str:
    """A wrong claim that looks like those of three speakers."""
    said = _wrong(_asked(prompt), rng)
    return "\n".join([said, *[f"{OTHERS}{said}"] * 2])


MESSAGES: Mapping[str, Message] = {
    function.__name__: function
    for function in (silence, doubt, boast, wrong_end, wrong_throughout, echo, voices)
}


class Tapped:
    """A member whose words are replaced by a message."""

    gives_likelihoods = False

    def __init__(self, member: Member, message: Message) -> None:
        self.member, self.message, self.name = member, message, member.name
        self.fingerprint = f"{member.fingerprint} {message.__name__}"
        self.count, self.likelihoods = member.count, member.likelihoods

    def answer(
        self, items: Sequence[Item], scoring: Scoring, template: str | None = None
    ) -> list[Answer]:
        """See `Member`."""
        said = self.generate([render_prompt(item, "generate", template) for item in items])
        return [Answer(reply.texts[0], reply.tokens) for reply in said]

    def generate(self, prompts: Sequence[str], how: Sampling = GREEDY) -> list[Texts]:
        """See `Member`."""
        pairs = zip(prompts, self.member.generate(prompts, how), strict=True)
        return [Texts((self._replaced(prompt, said),), said.tokens) for prompt, said in pairs]

    def _replaced(self, prompt: str, said: Texts) -> str:
        return self.message(prompt, said.texts[0], random.Random(f"{self.name} {prompt}"))


class Checked(Ruled):
    """A member that leaves out arguments that contradict what it knows itself."""

    def __init__(self, member: Ruled) -> None:
        super().__init__(member.name, member.knowledge, member.slip)
        self.fingerprint += " checked"

    def _claim(self, prompt: str, speaker: Speaker) -> Claim:
        kept = [text for text in prompt.splitlines() if self._believed(text, speaker)]
        return super()._claim("\n".join(kept), speaker)

    def _believed(self, text: str, speaker: Speaker) -> bool:
        claim = read_claim(text) if text.startswith(OTHERS) else None
        if claim is None:
            return True
        first, second = speaker.kind
        if first in self.knowledge and claim.middle != SKILLS[first](speaker.word):
            return not claim.sure_of_first
        if second in self.knowledge and claim.final != SKILLS[second](claim.middle):
            return not claim.sure_of_second
        return True


class Quorum(Checked):
    """A checked member that reads those claims first whose first step most speakers share."""

    def __init__(self, member: Ruled) -> None:
        super().__init__(member)
        self.fingerprint += " quorum"

    def _claim(self, prompt: str, speaker: Speaker) -> Claim:
        lines = prompt.splitlines()
        heard = [text for text in lines if text.startswith(OTHERS)]
        claims = read_claims(heard)
        voices = [sum(c.middle == d.middle for d in claims) for c in claims]
        order = sorted(range(len(claims)), key=lambda i: -voices[i])
        rest = [text for text in lines if not text.startswith(OTHERS)]
        said = [text for text in heard if read_claim(text) is not None]
        return super()._claim("\n".join([*rest, *(said[i] for i in order)]), speaker)


def one_line(turn: Callable[..., str]) -> Callable[..., str]:
    """A later turn in which every argument is one line, as far as its claim goes."""

    def later_turn(item: Item, template: str | None, answer: str, others: Sequence[str]) -> str:
        return turn(item, template, answer, [text.split("\n")[0] for text in others])

    return later_turn


DEFENCES: Mapping[str, Callable[[Ruled], Ruled]] = {
    "no defence": lambda member: member,
    "checked": Checked,
    "checked, most voices first": Quorum,
}


def decided(
    members: Sequence[Member], strategy: str, items: Sequence[Item], seed: int, plain: bool
) -> list[Verdict]:
    """A group's verdicts; `plain` takes the line breaks out of arguments."""
    from pyswarmopt_groups.negotiation import refinement

    context = GroupContext(members, Task("attack", (), tuple(items), TEMPLATE), "generate", seed)
    if strategy == "majority":
        return load_strategy(strategy).fit(context)(items)
    patches = {"later_turn": one_line(refinement.later_turn)} if plain else {}
    return refined(context, f"refine:{TRIED}", patches)


def accuracy(verdicts: Sequence[Verdict], items: Sequence[Item]) -> float:
    """The share of right verdicts."""
    pairs = zip(items, verdicts, strict=True)
    return fmean(v.answer is not None and is_correct(item, v.answer) for item, v in pairs)


def rows(seed: int) -> Iterator[dict[str, Any]]:
    """A line for each system and attack."""
    dev, test = items("dev", DEV, seed), items("test", TEST, seed)
    attacks = [*itertools.product(range(len(KNOWN)), MESSAGES)]
    systems = [("majority", "no defence", False), ("refine", "no defence", False)]
    systems += [("refine", "checked", False)]
    systems += [("refine", "checked, most voices first", plain) for plain in (False, True)]
    for strategy, defence, plain in systems:
        honest = [
            DEFENCES[defence](Ruled(f"member {k + 1}", known, 0.0)) for k, known in enumerate(KNOWN)
        ]

        def attacked(attack: tuple[int, str], honest: Sequence[Member] = honest) -> list[Member]:
            victim, name = attack
            return [
                Tapped(member, MESSAGES[name]) if k == victim else member
                for k, member in enumerate(honest)
            ]

        name = f"`{strategy}`, {defence}{', one line' if plain else ''}"
        damage = {
            attack: accuracy(decided(attacked(attack), strategy, dev, seed, plain), dev)
            for attack in attacks
        }
        worst = min(attacks, key=lambda attack: damage[attack])
        by_lot = random.Random(f"{name} {seed}").sample(attacks, BY_LOT)
        chosen = [("no attack", honest), ("attack found on dev", attacked(worst))]
        chosen += [(f"attack by lot, {n}", attacked(attack)) for n, attack in enumerate(by_lot, 1)]
        for label, members in chosen:
            task = Task(label, (), test, TEMPLATE)
            row = line(name, seed, task, decided(members, strategy, test, seed, plain))
            found = {"victim": worst[0] + 1, "message": worst[1]} if "found" in label else {}
            yield row | found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    made = []
    for seed in args.seeds:
        for row in rows(seed):
            made.append(row)
            found = row.get("victim"), row.get("message")
            print(row["method"], row["task"], row["test"].count("1") / TEST, *found, flush=True)
    args.outcomes.write_text("".join(f"{json.dumps(row)}\n" for row in made), encoding="utf-8")


if __name__ == "__main__":
    main()
