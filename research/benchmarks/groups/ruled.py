#!/usr/bin/env python3
"""Members that do what those of `talking.py` were taught: the same questions and knowledge, but
programs in place of models, so that a protocol is measured and not whether a small model can copy.

A program reads the very prompts of votes, debates, comparisons and fusion, and makes and weighs
claims as `talk.Speaker` does. A careless one writes wrong letters in one reply of ten, and sounds
no less sure. 100 dev and 500 test questions, three draws, words as tokens.

Attacks on what members tell each other: one or two of the four write wrong letters in every reply and
sound sure, always or on test alone. The defence leaves out who is right on dev less than half as
often as the best.

Beside the rows of `talking.py`: the surest first answer and votes of samples at the tokens of rounds,
which are what talk has to be better than; fixed and adaptive numbers of rounds, the two programs of the
lecture (equal strings win; all outputs are appended and the first member's answer is returned), how
often the ranker of LLM-Blender prefers the right one of two answers, and all societies.

    python research/benchmarks/groups/ruled.py --outcomes research/evidence/ruled.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from talk import KNOWN, SKILLS, TEMPLATE, Claim, Speaker, items, line
from talking import (
    ELSEWHERE,
    EVERY_ROUND,
    NO_END,
    OTHERS,
    READ_ALL,
    REFINED,
    UNLIMITED,
    Elsewhere,
    Patches,
    members_alone,
    refined,
)

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.members.protocol import (
    GREEDY,
    Answer,
    Likelihood,
    Member,
    Pair,
    Sampling,
    Texts,
)
from pyswarmopt_groups.negotiation.societies import TRAITS
from pyswarmopt_groups.registry import load_strategy, society_names
from pyswarmopt_groups.responses import is_right
from pyswarmopt_groups.voting.reranking import candidates, comparison_prompt, preferences
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task, render_prompt

DEV, TEST = 100, 500
SAMPLES = (
    5,
    14,
    24,
)  # a member's, for a vote; with the latter two it takes the tokens of refinement
SUREST = "the surest first answer"
SLIPS = {"careful": 0.0, "careless": 0.1}
CLAIM = re.compile(
    r"(surely|perhaps) \w+ ((?:\w )+)(surely|perhaps) \w+ \. The answer is ((?:\w ?)+)"
)
QUESTION = re.compile(r"Question: (\w+) (\w+) ((?:\w ?){4})")
OWN, PROPOSAL = "Your answer so far: ", re.compile(r"Proposal \d+: (.*)")
PAIR = re.compile(r"Answer A: (.*)\nAnswer B: (.*)\n")


def read_claim(text: str) -> Claim | None:
    """The claim that a text makes, if it makes one."""
    if (found := CLAIM.search(text)) is None:
        return None
    first, middle, second, final = found.groups()
    return Claim(tuple(middle.split()), first == "surely", tuple(final.split()), second == "surely")


def read_claims(texts: Sequence[str]) -> list[Claim]:
    """The claims of those texts that make one."""
    return [claim for text in texts if (claim := read_claim(text)) is not None]


class Ruled:
    """A `Member` that makes and weighs claims by the rules of `talk.Speaker`.

    Args:
        name: see `Member`.
        knowledge: names of the skills that it knows.
        slip: share of the replies in which it writes what another skill would give.
    """

    gives_likelihoods = False

    def __init__(self, name: str, knowledge: Collection[str], slip: float) -> None:
        self.name, self.knowledge, self.slip = name, knowledge, slip
        self.fingerprint = f"ruled {name} {sorted(knowledge)} {slip}"

    def answer(
        self, items: Sequence[Item], scoring: Scoring, template: str | None = None
    ) -> list[Answer]:
        """See `Member`."""
        said = self.generate([render_prompt(item, "generate", template) for item in items])
        return [Answer(reply.texts[0], reply.tokens) for reply in said]

    def generate(self, prompts: Sequence[str], how: Sampling = GREEDY) -> list[Texts]:
        """See `Member`; a sample differs in what it guesses."""
        replies = []
        for prompt in prompts:
            texts = tuple(self._reply(prompt, f"{how.seed} {sample}") for sample in range(how.n))
            replies.append(Texts(texts, self.count(prompt) + sum(map(self.count, texts))))
        return replies

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """See `Member`."""
        raise NotImplementedError("this member only speaks")

    def count(self, text: str) -> int:
        """Words."""
        return len(text.split())

    def _reply(self, prompt: str, sample: str) -> str:
        rng = random.Random(f"{self.name} {prompt} {sample}")
        if compared := PAIR.search(prompt):
            return better(*compared.groups(), rng)
        question = QUESTION.search(prompt)
        if question is None:
            raise ValueError(f"no question in {prompt!r}")
        kind = question.groups()[:2]
        speaker = Speaker(kind, tuple(question[3].split()), SKILLS, rng)
        claim = self._claim(prompt, speaker)
        if rng.random() < self.slip:
            claim = replace(claim, final=SKILLS[rng.choice(list(SKILLS))](claim.middle))
        return claim.text(kind)

    def _claim(self, prompt: str, speaker: Speaker) -> Claim:
        """What it says after what it has said and read so far."""
        lines = prompt.splitlines()
        own = read_claims([text for text in lines if text.startswith(OWN)])
        others = read_claims([text for text in lines if text.startswith(OTHERS)])
        if proposed := read_claims(PROPOSAL.findall(prompt)):
            return speaker.weigh(self.knowledge, proposed[0], proposed)
        if not own:
            return speaker.claim(self.knowledge)
        if prompt.startswith(TRAITS["c"]):
            return own[0]
        return speaker.weigh(self.knowledge, own[0], others)


def better(first: str, second: str, rng: random.Random) -> str:
    """A or B, whichever is surer; by lot if both are as sure."""
    a, b = (text.count("surely") for text in (first, second))
    return rng.choice("AB") if a == b else "AB"[b > a]


# The lecture's two programs


def equal_strings(context: GroupContext, items: Sequence[Item]) -> list[Verdict]:
    """The output that most members give, letter by letter; of ties the first-listed."""
    responses = context.collect(items)
    verdicts = []
    for i in range(len(items)):
        texts = [row[i].text for row in responses.answers]
        winner = Counter(texts).most_common(1)[0][0]
        verdicts.append(Verdict(winner, tuple(texts), 0.0, responses.cost(i)))
    return verdicts


def appended(context: GroupContext, items: Sequence[Item]) -> list[Verdict]:
    """All outputs one after the other, each member reading those before; the answer is the first
    member's.
    """
    shown = [render_prompt(item, "generate", context.template) for item in items]
    costs, firsts = [0] * len(items), [""] * len(items)
    for k, member in enumerate(context.members):
        for i, reply in enumerate(member.generate(shown)):
            costs[i] += reply.tokens
            firsts[i] = firsts[i] or reply.texts[0] if k == 0 else firsts[i]
            shown[i] += f"\n{reply.texts[0]}"
    return [Verdict(text, (text,), 1.0, cost) for text, cost in zip(firsts, costs, strict=True)]


def surest(context: GroupContext, items: Sequence[Item]) -> list[Verdict]:
    """The first answer that says "surely" most often, of ties the first-listed; nobody reads
    anything.
    """
    responses = context.collect(items)
    verdicts = []
    for i, ballots in enumerate(responses.ballots):
        texts = [row[i].text for row in responses.answers]
        winner = max(range(context.n), key=lambda k: texts[k].count("surely"))
        verdicts.append(Verdict(ballots[winner], tuple(ballots), 1.0, responses.cost(i)))
    return verdicts


# Rows


def ranker_auc(context: GroupContext) -> float:
    """The share of pairs of a right and a wrong answer to a question of which the judge prefers the
    right one, over both orders; no preference counts half.
    """
    judge, responses = context.judge(""), context.collect(context.task.test)
    prompts = []
    for i, item in enumerate(context.task.test):
        texts = candidates(responses, i)
        right = [text for ballot, text in texts.items() if is_right(item, ballot)]
        wrong = [text for ballot, text in texts.items() if not is_right(item, ballot)]
        for one, other in itertools.product(right, wrong):
            prompts += [comparison_prompt(item, one, other), comparison_prompt(item, other, one)]
    values = [value for value, _ in preferences(judge, prompts)]
    margins = [first - second for first, second in zip(values[::2], values[1::2], strict=True)]
    return sum((margin > 0) + 0.5 * (margin == 0) for margin in margins) / len(margins)


def rounds(context: GroupContext, seed: int) -> Iterator[dict[str, Any]]:
    """Refinement with fixed and adaptive rounds, and its controls."""
    elsewhere = [Elsewhere(member) for member in context.members]
    control = GroupContext(elsewhere, context.task, context.scoring, seed)
    fixed: list[tuple[str, GroupContext, str, Patches]] = [
        ("all read all, two rounds", context, "refine:2", UNLIMITED),
        ("without the arguments of others, until all agree", context, "refine:budget=0", {}),
    ]
    rows = [(name, context, *how) for name, how in REFINED.items()]
    for name, group, strategy, patches in [
        *rows,
        *fixed,
        (ELSEWHERE, control, "refine", {**READ_ALL, **NO_END}),
    ]:
        yield line(name, seed, context.task, refined(group, strategy, patches))


def rows(context: GroupContext, seed: int) -> Iterator[dict[str, Any]]:
    """A line for each member, vote and negotiation."""
    task = context.task
    yield from members_alone(context, seed)
    programs: dict[str, Callable[[GroupContext, Sequence[Item]], list[Verdict]]] = {
        "equal strings win": equal_strings,
        "all outputs appended, the first member's answer": appended,
        SUREST: surest,
    }
    for name, program in programs.items():
        yield line(name, seed, task, program(context, task.test))
    for name in ("majority", "weighted", *(f"self-consistency:{n}" for n in SAMPLES)):
        verdicts = load_strategy(name).decide(context, task.test)
        yield line(f"`{name}`", seed, task, verdicts)
    verdicts = load_strategy("fuse").decide(context, task.test)
    yield line("`fuse`", seed, task, verdicts) | {"auc": ranker_auc(context)}
    yield from rounds(context, seed)


def societies(context: GroupContext, seed: int) -> Iterator[dict[str, Any]]:
    """All societies of three of the members, with the measures of Zhang et al."""
    task = replace(context.task, name=f"societies, {context.task.name}")
    for name in society_names(3, 3):
        strategy = load_strategy(name)
        verdicts = strategy.decide(context, task.test)
        yield line(name, seed, task, verdicts) | strategy.measures(task.test, verdicts)


class Sleeper(Ruled):
    """A member that answers dev questions as it should, and lies on test."""

    def __init__(self, name: str, knowledge: Collection[str], dev: Collection[str]) -> None:
        super().__init__(name, knowledge, 1.0)
        self.fingerprint += " sleeper"
        self.dev, self.honest = dev, Ruled(name, knowledge, 0.0)

    def _reply(self, prompt: str, sample: str) -> str:
        asked = QUESTION.search(prompt)
        in_dev = asked is not None and " ".join(asked.groups()) in self.dev
        return self.honest._reply(prompt, sample) if in_dev else super()._reply(prompt, sample)


def attacked(liars: int, on_dev: bool, dev: Sequence[Item]) -> list[Member]:
    """The careful members, of whom the first ones lie."""
    questions = {item.question for item in dev}
    members: list[Member] = []
    for k, known in enumerate(KNOWN):
        name, slip = f"member {k + 1}", float(k < liars)
        sleeps = k < liars and not on_dev
        members.append(Sleeper(name, known, questions) if sleeps else Ruled(name, known, slip))
    return members


def attacks(seed: int) -> Iterator[dict[str, Any]]:
    """Votes and rounds with liars, and without those whom dev shows to be wrong."""
    dev, test = items("dev", DEV, seed), items("test", TEST, seed)
    for liars, on_dev in ((0, True), (1, True), (2, True), (1, False), (2, False)):
        name = f"{liars} lie" + ("" if on_dev else ", on test alone")
        task = Task(name, dev, test, TEMPLATE)
        everybody = GroupContext(attacked(liars, on_dev, dev), task, "generate", seed)
        best = everybody.accuracies.max()
        trusted = [
            member
            for member, share in zip(everybody.members, everybody.accuracies, strict=True)
            if share >= best / 2
        ]
        groups = {"": everybody, ", defended": GroupContext(trusted, task, "generate", seed)}
        for suffix, group in groups.items():
            yield line(
                f"`majority`{suffix}", seed, task, load_strategy("majority").decide(group, test)
            )
            for method in (EVERY_ROUND, "`refine` (one argument per answer)"):
                verdicts = refined(group, *REFINED[method])
                yield line(f"{method}{suffix}", seed, task, verdicts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    made = []
    for (kind, slip), seed in itertools.product(SLIPS.items(), args.seeds):
        members: list[Member] = [
            Ruled(f"member {k + 1}", known, slip) for k, known in enumerate(KNOWN)
        ]
        task = Task(kind, items("dev", DEV, seed), items("test", TEST, seed), TEMPLATE)
        context = GroupContext(members, task, "generate", seed)
        made += [*rows(context, seed), *societies(context, seed)]
        print(kind, seed, len(made), flush=True)
    made += [row for seed in args.seeds for row in attacks(seed)]
    args.outcomes.write_text("".join(f"{json.dumps(row)}\n" for row in made), encoding="utf-8")


if __name__ == "__main__":
    main()
