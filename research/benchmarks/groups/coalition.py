#!/usr/bin/env python3
"""Does a coalition of three that each learned one job do what one that learned all of them does?
Plan, slots and answer (Mangal et al. 2024, arXiv 2408.01380) of small models.

A question is an invented word and four letters, "taru h b d c". A plan says what the word stands
for, one skill and then another, with a slot for what is between them: "swap [ word ] next". To fill
the slot is to apply the first skill, to answer the second. Every model has a million weights:
specialists see one job's examples only, a generalist all three jobs', in as many steps as one
specialist or as all three together. `coalition` draws the jobs from dev scores. Controls: each
model alone with all jobs, and the five other ways to give the jobs to the specialists. What is in
--work or in the outcomes is not made again.

    python research/benchmarks/groups/coalition.py --work runs/coalition \\
        --outcomes research/evidence/coalition.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from cached import cached_members
from talk import KINDS, TEMPLATE, chat, line

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.negotiation.coalition import (
    JOBS,
    answer_prompt,
    plan_prompt,
    slots_prompt,
    work,
)
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.responses import read_ballot
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.scores.tasks import Item, Task

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab import new_model, save_tokenizer, train
from lab_skills import SKILLS, questions

EXAMPLES, STEPS, RATE, DEV, TEST = 20_000, 200, 2e-3, 100, 500
SYLLABLES = ("ba", "de", "li", "mo", "ru", "ta")
WORDS = ["".join(pair) for pair in itertools.permutations(SYLLABLES, 2)]
MEANING = dict(zip(WORDS, KINDS, strict=True))
"""An invented word -> the two skills that it stands for."""
# Member -> the jobs that it learns.
MEMBERS: Mapping[str, Sequence[str]] = {"generalist": JOBS, **{job: (job,) for job in JOBS}}
LONGER = "generalist, three times the steps"


def drawn(partition: str, seed: int) -> Iterator[tuple[Item, Mapping[str, str]]]:
    """Endless questions, each with the right text of every job; the words in random order."""
    kinds = random.Random(f"kinds {seed}").sample(KINDS, len(KINDS))
    names = {kind: word for word, kind in MEANING.items()}
    for number, (kind, letters, _) in enumerate(questions(kinds, partition, seed)):
        first, second = kind
        between = SKILLS[first](letters)
        right = " ".join(SKILLS[second](between))
        question = f"{names[first, second]} {' '.join(letters)}"
        texts = {
            "plan": f"{first} [ word ] {second}",
            "slots": f"{first} {' '.join(between)} {second}",
            "answer": f"The answer is {right}",
        }
        yield Item(f"{partition}-{number}", question, None, right), texts


def examples(jobs: Sequence[str], n: int, seed: int) -> Iterator[dict[str, Any]]:
    """Chats of a member that learns these jobs, in the prompts of `coalition`."""
    rng = random.Random(f"{jobs} {seed}")
    for item, texts in itertools.islice(drawn("train", seed), n):
        question = TEMPLATE.format(question=item.question)
        prompts = {
            "plan": plan_prompt(question),
            "slots": slots_prompt(question, texts["plan"]),
            "answer": answer_prompt(item, question, texts["slots"]),
        }
        job = rng.choice(jobs)
        yield chat(prompts[job], texts[job])


def make(folder: Path, jobs: Sequence[str], steps: int) -> None:
    """A model that has learned these jobs."""
    everything = examples(JOBS, EXAMPLES, 0)
    texts = [message["content"].split() for row in everything for message in row["messages"]]
    tokenizer = save_tokenizer(folder, sorted({*itertools.chain(*texts)} - {"Question:"}))
    model = new_model(tokenizer)
    loss = train(model, tokenizer, list(examples(jobs, EXAMPLES, 0)), steps, RATE, 0)
    print(f"{folder.name}: loss {loss:.3f}", flush=True)
    model.save_pretrained(folder)


def piped(context: GroupContext, jobs: Mapping[str, int]) -> list[Verdict]:
    """The answers of the pipeline whose jobs the members with these numbers do."""
    items = context.task.test
    verdicts = []
    for item, (text, tokens) in zip(items, work(context, jobs, items), strict=True):
        answer = read_ballot(item, text)
        verdicts.append(Verdict(answer, (answer,), 1.0, tokens))
    return verdicts


def rows(context: GroupContext, longer: GroupContext, seed: int) -> Iterator[dict[str, Any]]:
    """A line for each group."""
    task = context.task
    for k, name in enumerate(MEMBERS):
        yield line(f"{name}, all jobs", seed, task, piped(context, dict.fromkeys(JOBS, k)))
    yield line(LONGER, seed, task, piped(longer, dict.fromkeys(JOBS, 0)))
    specialists = [list(MEMBERS).index(job) for job in JOBS]
    _, *others = itertools.permutations(specialists)
    for number, order in enumerate(others, start=1):
        verdicts = piped(context, dict(zip(JOBS, order, strict=True)))
        yield line(f"specialists in other jobs, {number}", seed, task, verdicts)
    verdicts = load_strategy("coalition").decide(context, task.test)
    jobs = dict(verdicts[0].notes["jobs"])
    yield line("`coalition`", seed, task, verdicts) | {"jobs": jobs}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of the models")
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a specialist's training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name, jobs in {**MEMBERS, "longer": JOBS}.items():
        if not (args.work / name / "config.json").exists():
            make(args.work / name, jobs, args.steps * (3 if name == "longer" else 1))
    members = cached_members([str(args.work / name) for name in MEMBERS], None, args.work)
    longer = cached_members([str(args.work / "longer")], None, args.work)
    log = AppendLog(args.outcomes)
    done = {row["seed"] for row in log.repaired()}
    for seed in args.seeds:
        items = {
            split: tuple(item for item, _ in itertools.islice(drawn(split, seed), count))
            for split, count in (("dev", DEV), ("test", TEST))
        }
        task = Task("coalition", items["dev"], items["test"], TEMPLATE)
        groups = [GroupContext(group, task, "generate", seed) for group in (members, longer)]
        for row in [] if seed in done else list(rows(*groups, seed)):
            log.append(row)
            print(row["method"], seed, row["test"].count("1") / TEST, row.get("jobs"), flush=True)


if __name__ == "__main__":
    main()
