#!/usr/bin/env python3
"""Free text of unlike models: a Llama, a GPT-2 and a Gemma 3 of one to two million weights, each
with a tokenizer of its own, write four letters and vote.

A question names one of six of the laboratory's skills; each member was trained on four of them, so
that two of three members know a skill and the third writes something else. A guess is right once in
10,000. What is in --work or in the outcomes is not made again.

    python research/benchmarks/groups/unlike.py --work runs/unlike --outcomes research/evidence/unlike.jsonl
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from talk import NAMES, TEMPLATE, line
from talking import members_alone

from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.scores.tasks import Item, Task

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tokens"))
import lab
import train_small_models as small
from lab_skills import chats, items

# architecture -> the skills that it is not taught
UNKNOWN: Mapping[str, tuple[str, str]] = {
    "llama": (NAMES[0], NAMES[3]),
    "gpt2": (NAMES[1], NAMES[4]),
    "gemma3": (NAMES[2], NAMES[5]),
}
STRATEGIES = ("majority", "weighted")
EXAMPLES, STEPS, WORDS, DEV, TEST = 16_000, 1_200, 600, 100, 500


def taught(architecture: str) -> list[tuple[str]]:
    """The skills of a member."""
    return [(name,) for name in NAMES if name not in UNKNOWN[architecture]]


def make(folder: Path, architecture: str, steps: int) -> None:
    """A member; `steps` are of 16 examples."""
    examples = chats(taught(architecture), EXAMPLES, 0)
    if architecture == "llama":
        tokenizer = lab.save_tokenizer(folder)
        model = lab.new_model(tokenizer)
        loss = lab.train(model, tokenizer, examples, steps * 16 // lab.BASE_BATCH, 2e-3, 0)
    else:
        make_tokenizer, make_model = small.KINDS[architecture]
        texts = [message["content"] for chat in examples for message in chat["messages"]]
        tokenizer = make_tokenizer(texts, WORDS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = make_model(tokenizer)
            encoded = small.encode(tokenizer, examples)
            loss = small.train(model, encoded, tokenizer.pad_token_id, steps, random.Random(0))
        tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    print(f"{architecture}: {len(tokenizer)} tokens, loss {loss:.3f}", flush=True)


def questions(split: str, n: int, seed: int) -> tuple[Item, ...]:
    """Questions of all six skills, without options."""
    drawn = items([(name,) for name in NAMES], split, n, seed)
    return tuple(
        Item(item["id"], item["question"], None, item["choices"][item["answer"]]) for item in drawn
    )


def rows(context: GroupContext, seed: int) -> Iterator[dict[str, Any]]:
    """A line for each member, the best on dev, and each vote."""
    yield from members_alone(context, seed)
    for name in STRATEGIES:
        verdicts = load_strategy(name).decide(context, context.task.test)
        yield line(f"`{name}`", seed, context.task, verdicts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of the models")
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    for architecture in UNKNOWN:
        if not (args.work / architecture / "config.json").exists():
            make(args.work / architecture, architecture, args.steps)
    folders = [str(args.work / architecture) for architecture in UNKNOWN]
    members = open_members(folders, None, dtype="float32", threads=1)
    log = AppendLog(args.outcomes)
    done = {(row["method"], row["seed"]) for row in log.repaired()}
    for seed in args.seeds:
        task = Task("unlike", questions("dev", DEV, seed), questions("test", TEST, seed), TEMPLATE)
        for row in rows(GroupContext(members, task, "generate", seed), seed):
            if (row["method"], seed) not in done:
                log.append(row)
                print(row["method"], seed, row["test"].count("1") / TEST, flush=True)


if __name__ == "__main__":
    main()
