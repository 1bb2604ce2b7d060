#!/usr/bin/env python3
"""A system that attacks another one: it searches for the member to speak for and the message that cost
a group of `ruled.py` most, and the group defends itself.

The attacker holds one channel: whatever the tapped member says, in votes and in debates, is replaced.
It does not know the answers of test questions; it tries every member with every message on dev
questions, sees how often the group is right, and attacks the test questions with what was worst (of
equals the first). It searches anew for every defence. Defences: `checked` members leave out what
contradicts what they know themselves, the next also reads first what most speakers begin with, `one
line` takes the line breaks out of an argument, with which one speaker looks like several. 60 dev and
500 test questions, three draws.

The outcomes hold every attack on dev and on test, so that what was found, the same member silent, the
mean of all attacks (one by lot) and the worst on test (one who knows its answers) follow from them.
What is in the outcomes is not computed again.

    python research/benchmarks/groups/attack.py --outcomes research/evidence/attack.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from programs import OTHERS, arguments
from ruled import QUESTION, SKILLS, TEST, Ruled, read_claim, read_claims
from talk import KNOWN, TEMPLATE, Claim, Speaker, items, line
from talking import refined

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.members.protocol import GREEDY, Answer, Member, Sampling, Texts
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.responses import is_right
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task, render_prompt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab_skills import LETTERS

Message = Callable[[str, str, random.Random], str]
"""(prompt, what the member would say, draws) -> what is said in its place."""
NO_ATTACK = "no attack"
DEV, TRIED = 60, 2  # dev questions, rounds of a debate


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
        return load_strategy(strategy).decide(context, items)
    patches = {"later_turn": one_line(refinement.later_turn)} if plain else {}
    return refined(context, f"refine:{TRIED}", patches)


def signs(verdicts: Sequence[Verdict], items: Sequence[Item]) -> str:
    """1 for each right verdict, 0 for each other."""
    pairs = zip(items, verdicts, strict=True)
    return "".join(str(int(is_right(item, verdict.answer))) for item, verdict in pairs)


SYSTEMS: Mapping[str, tuple[str, str, bool]] = {
    "`majority`": ("majority", "no defence", False),
    "`refine`": ("refine", "no defence", False),
    "`refine`, checked": ("refine", "checked", False),
    "`refine`, checked, most voices first": ("refine", "checked, most voices first", False),
    "`refine`, checked, most voices first, one line": (
        "refine",
        "checked, most voices first",
        True,
    ),
}
"""Name -> strategy, defence of the members, whether arguments are one line."""


def attacked(defence: str, victim: int, message: str) -> list[Member]:
    """The four members with this defence; what one of them says is replaced."""
    honest = [
        DEFENCES[defence](Ruled(f"member {k + 1}", known, 0.0)) for k, known in enumerate(KNOWN)
    ]
    return [
        Tapped(member, MESSAGES[message]) if k == victim else member
        for k, member in enumerate(honest)
    ]


def rows(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """A line for a system without an attack, and one for each attack."""
    strategy, defence, plain = SYSTEMS[name]
    dev, test = items("dev", DEV, seed), items("test", TEST, seed)
    attacks: list[tuple[int, str]] = [(-1, NO_ATTACK)]
    attacks += itertools.product(range(len(KNOWN)), MESSAGES)
    for victim, message in attacks:
        members = attacked(defence, victim, message)
        on_dev = signs(decided(members, strategy, dev, seed, plain), dev)
        task = Task(message.replace("_", " "), (), test, TEMPLATE)
        row = line(name, seed, task, decided(members, strategy, test, seed, plain))
        yield row | {"victim": victim + 1, "dev": on_dev}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    log = AppendLog(args.outcomes)
    done = Counter((row["method"], row["seed"]) for row in log.repaired())
    for name, seed in itertools.product(SYSTEMS, args.seeds):
        if not done[name, seed]:
            found = list(rows(name, seed))
            for row in found:
                log.append(row)
            worst = min(found[1:], key=lambda row: str(row["dev"]).count("1"))
            print(name, seed, worst["task"], worst["victim"], worst["test"].count("1") / TEST)


if __name__ == "__main__":
    main()
