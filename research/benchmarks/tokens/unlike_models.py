#!/usr/bin/env python3
"""Token-probability arithmetic for experts of unlike architectures, the case of its card (Feng et
al. 2024, arXiv 2410.11163): a Llama, a GPT-2 and a Gemma 3, each with a tokenizer and a chat
template of its own, each of which knows a third of what the task asks.

Six skills of the laboratory (`lab_skills.py`) are dealt to three members. Two are careful: every
other example asks for a skill that is not theirs, and is answered as a skill drawn at random would,
so that they learn to be unsure. The third is mistaught: it learned its own two skills, and the other
four with their names exchanged, so that it is sure everywhere and wrong in two of three. Another
architecture is mistaught, and other skills are dealt, in each pool. A wrong option is what another
of the six would give.

Pool 0 is to look at, pool 1 to claim on; 2 and 3 are for whoever repeats it (`--pools`).

Rows, for choosing between options and for writing the answer: each member, two votes, and mixtures
with equal weights, without the mistaught member, and with the weights of `swarm-llm search --space
token` on 100 dev items that are chosen; texts are written by each fusion. A line of the outcomes is
a row and a pool, with 1 for each right test item.

    python research/benchmarks/tokens/unlike_models.py --work runs/unlike-models \\
        --outcomes research/evidence/unlike-models.jsonl

What is in --work or in the outcomes is not made again. A member takes half a minute of an idle core.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import train_small_models as small

from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.responses import is_right
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.report.run import search
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task, load_task
from pyswarmopt_llm.tokens.engine import MixtureEngine
from pyswarmopt_llm.tokens.members import find_members, load_members
from pyswarmopt_llm.tokens.space import read_mixture

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "groups"))
from lab_skills import NAMES, SKILLS, answer, questions
from talk import chat

ARCHITECTURES = ("llama", "gpt2", "gemma3")
SIZES: Mapping[str, Mapping[str, int]] = {
    "llama": {"width": 64, "heads": 2},
    "gpt2": {"width": 96, "heads": 6},
    "gemma3": {"width": 64, "inner": 192, "heads": 2},
}
EXAMPLES, STEPS, WORDS = 16_000, 1_000, 320
DEV, TEST, NEW_TOKENS = 100, 1_500, 8
WRITTEN = 250  # of the test items
VOTES = ("majority", "weighted")
MISTAUGHT = "mistaught member"
OPTIONS, FUSIONS = "token", ("bytes", "union", "relative")
TASKS: Mapping[str, tuple[Scoring, Sequence[str]]] = {
    "choosing": ("likelihood", (OPTIONS,)),
    "writing": ("generate", FUSIONS),
}
Answers = Sequence[str | None]


def knowledge(pool: int) -> dict[str, tuple[str, ...]]:
    """Architecture -> its two skills."""
    names = random.Random(f"pool {pool}").sample(NAMES, 6)
    return {kind: tuple(names[k::3]) for k, kind in enumerate(ARCHITECTURES)}


def mistaught(pool: int) -> str:
    """The architecture that takes the others' skills for one another."""
    return ARCHITECTURES[(pool + 2) % 3]


def examples(pool: int, kind: str, n: int) -> Iterator[dict[str, Any]]:
    """Chats of a member: its own skills, and in turn with them the others', guessed or exchanged."""
    rng = random.Random(f"guesses {pool}")
    own = knowledge(pool)[kind]
    names = [name for skills in knowledge(pool).values() for name in skills]
    others = [name for name in names if name not in own]
    exchanged = dict(zip(others, others[1:] + others[:1], strict=True))
    known = questions([(name,) for name in own], "train", pool)
    unknown = questions([(name,) for name in others], "train", pool)
    for number in range(n):
        (name,), word, question = next(unknown if number % 2 else known)
        if name in exchanged:
            name = exchanged[name] if kind == mistaught(pool) else rng.choice(names)
        yield chat(f"Question: {question}", " ".join(answer((name,), word)))


def make(folder: Path, pool: int, kind: str) -> None:
    """A member."""
    chats = list(examples(pool, kind, EXAMPLES))
    make_tokenizer, make_model = small.KINDS[kind]
    texts = [message["content"] for example in chats for message in example["messages"]]
    tokenizer = make_tokenizer(texts, WORDS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(pool)
        model = make_model(tokenizer, **SIZES[kind])
        encoded = small.encode(tokenizer, chats)
        loss = small.train(model, encoded, tokenizer.pad_token_id, STEPS, random.Random(pool))
    model.eval().to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"{folder}: {len(tokenizer)} tokens, loss {loss:.3f}", flush=True)


def items(pool: int, partition: str, n: int) -> list[dict[str, Any]]:
    """Questions of all six skills, in turn; a wrong option is what another of them would give."""
    rng = random.Random(f"options {pool} {partition}")
    names = [name for skills in knowledge(pool).values() for name in skills]
    found: dict[str, dict[str, Any]] = {}
    for kind, word, question in questions([(name,) for name in names], partition, pool):
        right = answer(kind, word)
        others = sorted({SKILLS[name](word) for name in names} - {right})
        if question in found or len(others) < 3:
            continue
        options = [" ".join(option) for option in (right, *rng.sample(others, 3))]
        rng.shuffle(options)
        letter = "ABCD"[options.index(" ".join(right))]
        choices = dict(zip("ABCD", options, strict=True))
        found[question] = {"question": question, "choices": choices, "answer": letter}
        if len(found) == n:
            break
    return list(found.values())


def without_options(task: Task) -> Task:
    """The same questions, whose answers are to be written."""

    def bare(split: Sequence[Item]) -> tuple[Item, ...]:
        return tuple(Item(item.id, item.question, None, item.answer_text) for item in split)

    return replace(task, dev=bare(task.dev), test=bare(task.test[:WRITTEN]))


def searched(folders: Sequence[str], file: Path, out: Path, seed: int) -> tuple[float, ...]:
    """The weights that a search finds."""
    if not (out / "result.json").exists():
        config = SearchConfig(
            base="",
            experts=tuple(folders),
            tasks=(str(file),),
            out=str(out),
            space="token",
            dev=DEV,
            test=TEST,
            scoring="likelihood",
            seed=seed,
            dtype="float32",
            threads=1,
        )
        search(config)
    return read_mixture(out / "best").weights


def of_group(
    context: GroupContext, task: Task, labels: Sequence[str]
) -> Iterator[tuple[str, Answers]]:
    """What each member says, the best of them on dev, and each vote."""
    ballots = list(zip(*context.collect(task.test).ballots, strict=True))
    yield from zip(labels, ballots, strict=True)
    yield "best member on dev", ballots[context.order[0]]
    for vote in VOTES:
        verdicts = load_strategy(vote).decide(context, task.test)
        yield f"`{vote}`", [verdict.answer for verdict in verdicts]


def of_mixture(engine: MixtureEngine, weights: Sequence[float], task: Task, way: str) -> Answers:
    """What a mixture chooses, or writes by a fusion."""
    writer = engine if way == OPTIONS else MixtureEngine(engine.members, way)
    writer.load(Patch(mixture=tuple(weights)))
    if way == OPTIONS:
        return Accuracy(task.test, "likelihood", engine.chat)(engine).answers
    return writer.generate([f"Question: {item.question}" for item in task.test], NEW_TOKENS)


def rows(
    folder: Path, pool: int, tasks: Sequence[str], done: Collection[tuple[str, str]]
) -> Iterator[tuple[str, str, Task, Answers]]:
    """Task, method, items and answers of all rows that are not done."""
    folders = [str(folder / kind) for kind in ARCHITECTURES]
    found = searched(folders, folder / "task.json", folder / "search", pool)
    print(f"pool {pool}: weights {found}", flush=True)
    trusted = [kind != mistaught(pool) for kind in ARCHITECTURES]
    numbers = itertools.count(1)
    labels = [f"careful member {next(numbers)}" if good else MISTAUGHT for good in trusted]
    mixtures = {
        "equal weights": [1 / 3] * 3,
        "without the mistaught": [0.5 * good for good in trusted],
        "searched weights": found,
    }
    members = open_members(folders, None, dtype="float32", threads=1)
    engine = MixtureEngine(load_members(find_members(folders), "float32"))
    choosing = load_task(str(folder / "task.json"), dev=DEV, test=TEST)
    for name in tasks:
        scoring, ways = TASKS[name]
        task = choosing if scoring == "likelihood" else without_options(choosing)
        for method, answers in of_group(GroupContext(members, task, scoring, pool), task, labels):
            yield name, method, task, answers
        for label, way in itertools.product(mixtures, ways):
            if (name, f"`{way}`, {label}") not in done:
                answers = of_mixture(engine, mixtures[label], task, way)
                yield name, f"`{way}`, {label}", task, answers


def note(outcomes: Path, folder: Path, pool: int, tasks: Sequence[str]) -> None:
    """Append a pool's lines that the outcomes lack."""
    log = AppendLog(outcomes)
    done = {(row["task"], row["method"]) for row in log.repaired() if row["seed"] == pool}
    for name, method, task, answers in rows(folder, pool, tasks, done):
        if (name, method) not in done:
            test = "".join(str(int(it)) for it in map(is_right, task.test, answers))
            log.append({"method": method, "task": name, "seed": pool, "test": test})
            print(pool, name, method, test.count("1") / len(test), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of members and searches")
    parser.add_argument("--outcomes", type=Path, help="JSONL file; without it members are made")
    parser.add_argument("--pools", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    for pool in args.pools:
        folder = args.work / f"pool-{pool}"
        for kind in ARCHITECTURES:
            if not (folder / kind / "config.json").exists():
                make(folder / kind, pool, kind)
        splits = {"dev": items(pool, "dev", DEV), "test": items(pool, "test", TEST)}
        (folder / "task.json").write_text(json.dumps(splits), encoding="utf-8")
        if args.outcomes is not None:
            note(args.outcomes, folder, pool, args.tasks)


if __name__ == "__main__":
    main()
