#!/usr/bin/env python3
"""The consensus game of a small model that was taught both parts: it proposes right and wrong answers
on request, and says of a proposed answer whether it is right (Jacob et al. 2023, arXiv 2310.09139).

One model plays both parts, as in the paper. It is trained for a moment on questions of one of the
laboratory's ten skills, with the options of its tasks, and stopped before it can do them. Rankings
of the four options of other questions: by the likelihood of the plain answer, by each part alone,
and by both in equilibrium. `auc`: how often the evaluator thinks more of a right than of a wrong
option of the same question, the sign that it has something to say. What is in --work or in the
outcomes is not made again.

    python research/benchmarks/groups/game.py --work runs/game --outcomes research/evidence/game.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from talk import TEMPLATE, chat, line

from pyswarmopt_groups.context import Verdict
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.members.protocol import Member, Pair
from pyswarmopt_groups.negotiation.consensus_game import (
    equilibrium_ranking,
    evaluation_prompt,
    initial_policy,
    judgements,
    proposal_prompt,
    proposals,
)
from pyswarmopt_groups.responses import Array
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.scores.tasks import Item, Task

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab import SINGLES, new_model, save_tokenizer, train
from lab_skills import items

EXAMPLES, STEPS, RATE, TEST = 30_000, 700, 2e-3, 100


def asked(item: Mapping[str, Any]) -> str:
    """An item's question as both players read it, without its options."""
    return TEMPLATE.format(question=item["question"])


def examples(n: int, seed: int) -> Iterator[dict[str, Any]]:
    """Plain answers, proposals and evaluations in equal shares, half of either with a wrong option."""
    rng = random.Random(seed)
    for item in items(SINGLES, "train", n, seed):
        choices, question = dict(item["choices"]), asked(item)
        right = choices.pop(item["answer"])
        wrong, part, honest = (
            rng.choice(list(choices.values())),
            rng.randrange(3),
            rng.random() < 0.5,
        )
        text = right if honest else wrong
        if part == 0:
            yield chat(question, right)
        elif part == 1:
            yield chat(proposal_prompt(question, "a correct" if honest else "an incorrect"), text)
        else:
            yield chat(evaluation_prompt(question, text), "correct" if honest else "incorrect")


def make(folder: Path, steps: int) -> None:
    """The model that plays both parts."""
    chats = list(examples(EXAMPLES, 0))
    texts = [message["content"].split() for row in chats for message in row["messages"]]
    tokenizer = save_tokenizer(folder, sorted({*itertools.chain(*texts)} - {"Question:"}))
    model = new_model(tokenizer)
    print(f"loss {train(model, tokenizer, chats, steps, RATE, 0):.3f}", flush=True)
    model.save_pretrained(folder)


def auc(judged: Array, place: int) -> float:
    """The share of wrong options, ties one half, that the evaluator finds worse than the right one.

    Args:
        judged: (2, K), log P(correct) and log P(incorrect) of each option.
        place: of the right option.

    Example:
        >>> auc(np.log([[0.6, 0.5, 0.7], [0.4, 0.5, 0.3]]), 0)
        0.5
    """
    odds = judged[0] - judged[1]
    others = np.delete(odds, place)
    return float(((odds[place] > others) + 0.5 * (odds[place] == others)).mean())


def rows(member: Member, task: Task, seed: int) -> Iterator[dict[str, Any]]:
    """A line for each ranking."""
    questions = [TEMPLATE.format(question=item.question) for item in task.test]
    named = [dict(item.choices or {}) for item in task.test]
    plain_pairs: list[Pair] = [
        (question, text)
        for question, texts in zip(questions, named, strict=True)
        for text in texts.values()
    ]
    plain = iter(member.likelihoods(plain_pairs))
    proposed = proposals(member, questions, named)
    judged = judgements(member, questions, named)
    rankings: dict[str, list[Verdict]] = {}
    areas = []
    for item, texts, (proposal, cost), (judgement, more) in zip(
        task.test, named, proposed, judged, strict=True
    ):
        letters = list(texts)
        ranked = equilibrium_ranking(
            letters, initial_policy(proposal, 0), initial_policy(judgement, 1)
        )
        answers = [next(plain) for _ in letters]
        scores = {
            "likelihood of the answer": ([a.logprob for a in answers], cost // 2),
            "proposer alone": (initial_policy(proposal, 0)[0], cost),
            "evaluator alone": (judgement[0] - judgement[1], more),
            "equilibrium, by the proposer (`game`)": (ranked.proposer[0], cost + more),
            "equilibrium, by the evaluator": (ranked.evaluator[0], cost + more),
        }
        for name, (values, tokens) in scores.items():
            letter = letters[int(np.argmax(values))]
            rankings.setdefault(name, []).append(Verdict(letter, (letter,), 1.0, tokens))
        areas.append(auc(judgement, letters.index(item.answer)))
    for name, verdicts in rankings.items():
        yield line(name, seed, task, verdicts) | {"auc": float(np.mean(areas))}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of the model")
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    if not (args.work / "config.json").exists():
        make(args.work, args.steps)
    (member,) = open_members([str(args.work)], None, dtype="float32", threads=1)
    log = AppendLog(args.outcomes)
    done = {row["seed"] for row in log.repaired()}
    for seed in args.seeds:
        test = tuple(Item(**item) for item in items(SINGLES, "test", TEST, seed))
        for row in [] if seed in done else list(rows(member, Task("game", (), test), seed)):
            log.append(row)
            print(row["method"], seed, row["test"].count("1") / TEST, row["auc"], flush=True)


if __name__ == "__main__":
    main()
