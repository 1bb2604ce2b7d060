"""Preferences in conflict: replies that fit the question and are short, or are long.

    python research/benchmarks/scores/conflicting.py shared/data/sft/instruct.jsonl EXPERTS \\
        --out runs/conflicting \\
        --outcomes research/evidence/conflicting.jsonl

Both scores are the mean of two numbers, as in Feng et al. 2024 (section 3, objective 3): the
probability that a reply fits, and its length, the share of 40 words that it has, or what is left of
it. The first is by a small reward model, trained on recorded replies against replies to other
questions; it is used only if it orders 80% of held-out pairs right, and its zero is where the mean
reward of both kinds of reply is. EXPERTS is a folder of adapters of SmolLM2-135M. A line of the
outcomes is a method, a preference and a seed, with the value of each test prompt.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from runs import adapters, compared, methods_parser, write_lines

from pyswarmopt_llm import load_reward
from pyswarmopt_llm.scores.tasks import Item

BASE = "embedded:smollm2-135m"
LONG = 40  # words
LAYERS = 20  # of 30, which the reward model keeps
# pairs, and the least share of the latter that is ordered right
TRAINED, HELD_OUT, RIGHT = 300, 100, 0.8
PREFERENCES = ("concise", "verbose")
OBJECTIVES = Path(__file__).resolve().parents[3] / "examples" / "objectives"
Pair = tuple[str, str, str]
"""A question, a reply to it, and a reply to another one."""


def concise(replies: Sequence[str], items: Sequence[Item]) -> list[dict[str, float]]:
    """Whether a reply fits, and is short."""
    return [
        {"fits": fits, "short": 1.0 - length(reply)}
        for fits, reply in zip(fitting(replies, items), replies, strict=True)
    ]


def verbose(replies: Sequence[str], items: Sequence[Item]) -> list[dict[str, float]]:
    """Whether a reply fits, and is long."""
    return [
        {"fits": fits, "long": length(reply)}
        for fits, reply in zip(fitting(replies, items), replies, strict=True)
    ]


def length(reply: str) -> float:
    """The share of `LONG` words that a reply has, at most 1."""
    return min(len(reply.split()) / LONG, 1.0)


def fitting(replies: Sequence[str], items: Sequence[Item]) -> list[float]:
    """Probability that a reply is preferred to one between those to the question and those to
    another, by the reward model beside the prompts.
    """
    about = items[0].meta
    rewards = torch.tensor(_reward(str(about["reward"])).scores(items, replies))
    shares: list[float] = (rewards - float(about["zero"])).sigmoid().tolist()
    return shares


@cache
def _reward(folder: str) -> Any:
    return load_reward(folder)


def pairs_of(chats: Path, count: int, seed: int) -> list[Pair]:
    """So many questions with both replies, each cut to `LONG` words."""
    turns = []
    for text in chats.read_text(encoding="utf-8").splitlines():
        asked, answered = json.loads(text)["messages"][-2:]
        turns.append((asked["content"], " ".join(answered["content"].split()[:LONG])))
    turns = random.Random(seed).sample(turns, count)
    others = [*turns[1:], turns[0]]
    return [
        (question, reply, other)
        for (question, reply), (_, other) in zip(turns, others, strict=True)
    ]


def train_reward(pairs: Sequence[Pair], out: Path) -> tuple[float, float]:
    """Fit a reward model to all but the last `HELD_OUT` pairs; the share of these that it orders
    right, and the mean of their rewards.
    """
    file = out / "held-out.json"
    if file.exists():
        right, zero = json.loads(file.read_text(encoding="utf-8"))
        return right, zero
    sys.path.insert(0, str(OBJECTIVES))
    from train_reward import fit, last_state, untrained

    model, tokenizer = untrained()
    model.model.layers = model.model.layers[:LAYERS]
    model.config.num_hidden_layers = LAYERS
    better = torch.stack(
        [last_state(model, tokenizer, question, reply) for question, reply, _ in pairs]
    )
    worse = torch.stack(
        [last_state(model, tokenizer, question, other) for question, _, other in pairs]
    )
    head = fit(better[:-HELD_OUT], worse[:-HELD_OUT])
    with torch.no_grad():
        model.score.weight.copy_(head)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    rewards = torch.stack([better, worse])[:, -HELD_OUT:] @ head.T
    right, zero = float((rewards[0] > rewards[1]).float().mean()), float(rewards.mean())
    file.write_text(json.dumps([right, zero]), encoding="utf-8")
    return right, zero


def write_prompts(pairs: Sequence[Pair], zero: float, out: Path, dev: int, spare: int) -> Path:
    """The questions; the first ones are dev and spare, the others test."""
    rows = []
    for number, (question, _, _) in enumerate(pairs):
        split = "dev" if number < dev + spare else "test"
        row = {"prompt": question, "split": split, "reward": str(out / "reward"), "zero": zero}
        rows.append(json.dumps(row))
    file = out / "questions.jsonl"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


def main() -> None:
    arguments = methods_parser(__doc__)
    arguments.add_argument("chats", type=Path)
    arguments.add_argument("experts", type=Path)
    arguments.add_argument("--dev", type=int, default=50)
    arguments.add_argument("--spare", type=int, default=50)
    arguments.add_argument("--test", type=int, default=150)
    arguments.add_argument("--train-pairs", type=int, default=TRAINED)
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    asked = options.dev + options.spare + options.test
    pairs = pairs_of(options.chats, asked + options.train_pairs + HELD_OUT, seed=0)
    right, zero = train_reward(pairs[asked:], options.out / "reward")
    print(f"the reward orders {right:.0%} of held-out pairs right", flush=True)
    if right < RIGHT:
        raise SystemExit("too few of them: it is not used")
    file = write_prompts(pairs[:asked], zero, options.out.resolve(), options.dev, options.spare)
    lines: list[str] = []
    for preference in PREFERENCES:
        lines += compared(
            argparse.Namespace(**{**vars(options), "out": options.out / preference}),
            preference,
            {},
            base=BASE,
            experts=adapters(options.experts),
            tasks=(f"prompts:{file}",),
            metrics=(f"{Path(__file__).resolve()}:{preference}",),
            dev=options.dev,
            max_new_tokens=2 * LONG,
        )
    write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
