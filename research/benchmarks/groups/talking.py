#!/usr/bin/env python3
"""Members that write: votes, refinement, adaptive rounds, filters, fusion and the 32 societies of
small models that were trained in the very prompts of debate.

Four LoRA members of one base of a million weights, each of which knows three of six skills
(`talk.py`). The base has learned to talk, not what the skills' names mean. Controls: the best
member, the majority, rounds without the arguments of others, and rounds in which a member reads
what others say about another question. What is in --work or in the outcomes is not made again.

    python research/benchmarks/groups/talking.py make --work runs/talk
    python research/benchmarks/groups/talking.py run --work runs/talk --outcomes research/evidence/talking.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest import mock

import torch
from cached import cached_members
from talk import KNOWN, TEMPLATE, examples, items, line, short_examples

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.members.protocol import (
    GREEDY,
    Likelihood,
    Member,
    Pair,
    Sampling,
    Texts,
)
from pyswarmopt_groups.negotiation import refinement
from pyswarmopt_groups.registry import load_strategy, society_names
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.scores.tasks import Task

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from chats import ChatTokens, chat_steps, encode_chat, left_padded
from lab import make_expert, new_model, save_tokenizer

SHORT_EXAMPLES, BASE_EXAMPLES = 20_000, 14_000
MEMBER_SHORT, MEMBER_EXAMPLES = 14_000, 2_000
LONGEST, STEP_TOKENS = 256, 2_500
DEV, TEST, SOCIETY_TEST, ADAPTIVE_TEST = 100, 500, 100, 200
OTHERS = "Somebody else says: "
OF_THE_BASE = "in the words of the base"


def make_base(path: Path) -> None:
    """A model that can talk, and knows the skills by other names than those of the questions:
    taught to answer, then to talk, then both again.
    """
    short, talk = list(short_examples((), SHORT_EXAMPLES, 0)), list(examples((), BASE_EXAMPLES, 0))
    messages = [message for chat in (*short, *talk) for message in chat["messages"]]
    texts = [message["content"].split() for message in messages]
    tokenizer = save_tokenizer(path, sorted(set(itertools.chain(*texts)) - {"Question:"}))
    model = new_model(tokenizer)
    # prompts of untrained members are long, and 128 tokens may be written
    model.config.max_position_embeddings = 8 * LONGEST
    rng = random.Random(0)

    def steps_of(chats: Sequence[Any]) -> list[list[ChatTokens]]:
        return chat_steps(encode_chat(tokenizer, chats, LONGEST), 10**9, 1.0, STEP_TOKENS, rng)

    train(model, tokenizer.pad_token_id, [*steps_of(short), *steps_of(talk)], 3e-3)
    both = steps_of(list(short_examples((), SHORT_EXAMPLES, 1)))
    both += steps_of(list(examples((), BASE_EXAMPLES, 1)))
    rng.shuffle(both)
    train(model, tokenizer.pad_token_id, both, 2e-3)
    model.save_pretrained(path)


def train(model: Any, pad: int, steps: Sequence[Sequence[ChatTokens]], rate: float) -> None:
    """Train all weights on the replies."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    losses = []
    for number, step in enumerate(steps, start=1):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, number / 50, (len(steps) - number + 1) / 100)
        inputs, answers = left_padded(step, pad)
        answers = answers[:, 1:]
        hidden = model.model(**inputs).last_hidden_state[:, :-1][answers]
        targets = inputs["input_ids"][:, 1:][answers]
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden), targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if number % 50 == 0:
            print(f"base: step {number}/{len(steps)}, loss {fmean(losses[-50:]):.3f}", flush=True)


def make(work: Path) -> None:
    """The base and the members that are not there yet."""
    if not (work / "base" / "config.json").exists():
        make_base(work / "base")
    for number, knowledge in enumerate(KNOWN, start=1):
        folder = work / "members" / "-".join(knowledge)
        if not folder.exists():
            short = short_examples(knowledge, MEMBER_SHORT, number)
            chats = [*short, *examples(knowledge, MEMBER_EXAMPLES, number)]
            make_expert(work / "base", folder, chats)


class Elsewhere:
    """A member to which others seem to speak about the next question of the same round."""

    gives_likelihoods = False

    def __init__(self, member: Member) -> None:
        self.member, self.name, self.fingerprint = member, member.name, f"{member.fingerprint} else"
        self.answer, self.count = member.answer, member.count

    def generate(self, prompts: Sequence[str], how: Sampling = GREEDY) -> list[Texts]:
        """See `Member`."""
        rows = [prompt.splitlines() for prompt in prompts]
        shown = [[line for line in lines if line.startswith(OTHERS)] for lines in rows]
        changed = []
        for lines, elsewhere in zip(rows, shown[1:] + shown[:1], strict=True):
            place = next((i for i, line in enumerate(lines) if line.startswith(OTHERS)), len(lines))
            rest = [line for line in lines if not line.startswith(OTHERS)]
            changed.append("\n".join([*rest[:place], *elsewhere, *rest[place:]]))
        return self.member.generate(changed, how)

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """See `Member`."""
        raise NotImplementedError("this member only speaks")


def read_all(
    argument: object, others: Sequence[tuple[str | None, str]], *rest: object
) -> list[str]:
    """All arguments of the others, in place of `refinement.pass_on`."""
    return [text for _, text in others]


Patches = Mapping[str, Callable[..., object]]
NO_END: Patches = {"agreed": lambda ballots: False}
READ_ALL: Patches = {"pass_on": read_all}
UNLIMITED: Patches = {**READ_ALL, **NO_END}
EVERY_ROUND, WHILE_THEY_DIFFER = "all read all, three rounds", "all read all, until all agree"
# Row -> the strategy, and the functions of `refinement` that it runs without.
REFINED: Mapping[str, tuple[str, Patches]] = {
    "all read all, one round": ("refine:1", UNLIMITED),
    EVERY_ROUND: ("refine", UNLIMITED),
    WHILE_THEY_DIFFER: ("refine", READ_ALL),
    "`refine` (one argument per answer)": ("refine", {}),
    "`refine:pass=different`": ("refine:pass=different", {}),
    "`refine:pass=different`, one argument": ("refine:pass=different:budget=20", {}),
    "without the arguments of others, three rounds": ("refine:budget=0", NO_END),
}
ELSEWHERE = "arguments about other items, three rounds"


def members_alone(context: GroupContext, seed: int) -> Iterator[dict[str, Any]]:
    """Each member's own answers."""
    responses = context.collect(context.task.test)
    for k in range(context.n):
        verdicts = [
            Verdict(ballots[k], (ballots[k],), 1.0, int(responses.tokens[k, i]))
            for i, ballots in enumerate(responses.ballots)
        ]
        yield line(f"member {k + 1}", seed, context.task, verdicts)
        if k == context.order[0]:
            yield line("best member on dev", seed, context.task, verdicts)


def votes(context: GroupContext, seed: int) -> Iterator[dict[str, Any]]:
    """Members alone, and what needs no argument."""
    task = context.task
    yield from members_alone(context, seed)
    for name in ("majority", "weighted", "self-consistency", "fuse"):
        verdicts = load_strategy(name).decide(context, task.test)
        yield line(f"`{name}`", seed, task, verdicts)


def refinements(context: GroupContext, seed: int) -> Iterator[dict[str, Any]]:
    """The variants of refinement, and the control."""
    elsewhere = [Elsewhere(member) for member in context.members]
    control = GroupContext(elsewhere, context.task, context.scoring, seed)
    rows = [(name, context, *how) for name, how in REFINED.items()]
    for name, group, strategy, patches in [*rows, (ELSEWHERE, control, "refine", UNLIMITED)]:
        yield line(name, seed, context.task, refined(group, strategy, patches))


def refined(group: GroupContext, strategy: str, patches: Patches) -> list[Verdict]:
    """The verdicts of a refinement that runs without some of its functions."""
    with ExitStack() as stack:
        for function, stand_in in patches.items():
            stack.enter_context(mock.patch.object(refinement, function, stand_in))
        return load_strategy(strategy).decide(group, group.task.test)


def adaptive(context: GroupContext, seed: int) -> Iterator[dict[str, Any]]:
    """Rounds on questions in the words of the base, which all members know."""
    test = items("test", ADAPTIVE_TEST, seed, aliases=True)
    task = replace(context.task, name=OF_THE_BASE, test=test)
    group = GroupContext(context.members, task, context.scoring, seed)
    yield from members_alone(group, seed)
    verdicts = load_strategy("majority").decide(group, task.test)
    yield line("`majority`", seed, task, verdicts)
    for name in (EVERY_ROUND, WHILE_THEY_DIFFER):
        yield line(name, seed, task, refined(group, *REFINED[name]))


def societies(context: GroupContext, seed: int) -> Iterator[dict[str, Any]]:
    """All societies of three of the members, with the measures of Zhang et al."""
    task = replace(context.task, name="societies", test=context.task.test[:SOCIETY_TEST])
    for name in society_names(3, 3):
        strategy = load_strategy(name)
        verdicts = strategy.decide(context, task.test)
        yield line(name, seed, task, verdicts) | strategy.measures(task.test, verdicts)


PARTS = {
    "votes": votes,
    "refinements": refinements,
    "adaptive": adaptive,
    "societies": societies,
}


def run(work: Path, outcomes: Path, parts: Sequence[str], seeds: Sequence[int]) -> None:
    """All rows of these parts and seeds that are not in the outcomes yet."""
    log = AppendLog(outcomes)
    done = {(row["task"], row["method"], row["seed"]) for row in log.repaired()}
    folders = [str(work / "members" / "-".join(knowledge)) for knowledge in KNOWN]
    members = cached_members(folders, str(work / "base"), work)
    for part, seed in itertools.product(parts, seeds):
        task = Task("two skills", items("dev", DEV, seed), items("test", TEST, seed), TEMPLATE)
        for row in PARTS[part](GroupContext(members, task, "generate", seed), seed):
            if (row["task"], row["method"], seed) not in done:
                log.append(row)
                print(row["method"], seed, fmean(map(int, row["test"])), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "run"))
    parser.add_argument("--work", type=Path, required=True, help="folder of the models")
    parser.add_argument("--outcomes", type=Path, help="JSONL file of outcomes")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "make":
        make(args.work)
    else:
        run(args.work, args.outcomes, args.parts, args.seeds)


if __name__ == "__main__":
    main()
