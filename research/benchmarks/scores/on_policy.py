#!/usr/bin/env python3
"""Distillation of several experts on the student's own replies, gated by score, beside training on the
same teachers' best replies, in the laboratory.

The student starts as the best expert, or as the mixture that a search finds in 40 evaluations, with
a LoRA of the experts' rank. Teachers are the three best experts on dev. Each writes `PROBES` sampled
replies to each prompt; of a prompt that teacher counts of whose probes most are right, if two thirds
are (the gate of TGOPD, arXiv 2609.02998); other prompts are left out.

* `own replies`: the student samples a reply to each prompt, and minimises the divergence
  KL(student || teacher) of the next token, mean over the reply's tokens (MOPD, arXiv 2606.30406;
  generalised knowledge distillation, Agarwal et al. 2023, arXiv 2306.13649, equation 3 with the
  reverse divergence).
* `teachers' replies`: cross-entropy on a right probe of the same teacher, for as many steps.

100 dev and 400 further prompts. Replies: 1,000 to rank the experts, 4,500 probes, and of `own
replies` at most 4,000 of the student; the search with as many prompts takes at most 9,400.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/scores/on_policy.py runs/lab --out runs/on-policy \\
        --outcomes research/evidence/on-policy.jsonl --tasks t4 t5 t6

A line is a method and start, a task and a seed, with 1 for each right answer of a test item. What is
there is not run again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from iteration import on_dev
from right_answers import starts
from runs import NEW_TOKENS, TASKS, lab_search, line, parser, written_tasks
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.turns import reply_frame
from pyswarmopt_llm.scores.metrics.text import exact_match
from pyswarmopt_llm.scores.tasks import Item, chat_prompt, load_task
from pyswarmopt_llm.searching.prepare import Job, prepare

from chats import ChatTokens, left_padded  # isort: skip  # of the laboratory's folder, see runs.py

TEACHERS, PROBES, GATE = 3, 3, 2 / 3
EPOCHS, BATCH, ROWS = 8, 16, 250
RATE = 5e-4  # chosen on t1, of 2e-3 and this


@dataclass(frozen=True)
class Lesson:
    """A prompt whose gate is open: its tokens, the teacher's number, and the teacher's right replies."""

    prompt: list[int]
    teacher: int
    replies: list[list[int]]


class Class:
    """A job's base, teachers and prompts."""

    def __init__(self, job: Job, seed: int) -> None:
        self.job, self.rng = job, random.Random(seed)
        self.tokenizer, self.model = job.engine.tokenizer, job.engine.model
        self.opening, _ = reply_frame(self.tokenizer)
        ranked = np.argsort([-score.value for score in on_dev(job)], kind="stable")[:TEACHERS]
        vertices = job.pool.space.vertices()
        self.teachers = [job.pool.space.realise(vertices[int(place)]) for place in ranked]

    def tokens(self, items: Sequence[Item]) -> list[list[int]]:
        """The prompts of items, up to the reply."""
        chat = self.job.engine.chat
        prompts = [chat_prompt(item, "generate", chat, None) for item in items]
        return [list(self.job.engine.encode_prompt(prompt + self.opening)) for prompt in prompts]

    @torch.no_grad()
    def replies(
        self, model: Any, prompts: Sequence[list[int]], sampled: bool = True
    ) -> list[list[int]]:
        """A reply to each prompt, with the token that ends it."""
        found: list[list[int]] = []
        for start in range(0, len(prompts), ROWS):
            chats = [ChatTokens(ids, 1) for ids in prompts[start : start + ROWS]]
            inputs, _ = left_padded(chats, self.tokenizer.pad_token_id)
            del inputs["position_ids"]  # generate makes its own
            how = {"do_sample": sampled, "top_k": 0, "pad_token_id": self.tokenizer.pad_token_id}
            out = model.generate(**inputs, max_new_tokens=NEW_TOKENS, **how)
            found += [self._ended(row) for row in out[:, inputs["input_ids"].shape[1] :].tolist()]
        return found

    def _ended(self, ids: list[int]) -> list[int]:
        end = self.tokenizer.eos_token_id
        return ids[: ids.index(end) + 1] if end in ids else ids

    def right(self, items: Sequence[Item], replies: Sequence[list[int]]) -> list[bool]:
        """Whether each reply is the answer, by the metric of the search."""
        texts = [self.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in replies]
        return [value == 1 for value in exact_match(items, texts)]

    def lessons(self, items: Sequence[Item]) -> list[Lesson]:
        """The prompts whose gate is open, by the best teacher of each."""
        prompts = self.tokens(items)
        probes: list[list[list[list[int]]]] = [[] for _ in items]  # item, teacher, right replies
        for teacher in self.teachers:
            self.job.engine.load(teacher)
            drawn = [self.replies(self.model, prompts) for _ in range(PROBES)]
            good = [self.right(items, of_all) for of_all in drawn]
            for place, of_item in enumerate(probes):
                of_item.append([d[place] for d, g in zip(drawn, good, strict=True) if g[place]])
        return [
            Lesson(prompt, best, of_item[best])
            for prompt, of_item in zip(prompts, probes, strict=True)
            for best in [most_right(list(map(len, of_item)))]
            if best is not None
        ]

    def teacher_logits(self, lessons: Sequence[Lesson], chats: Sequence[ChatTokens]) -> Tensor:
        """(tokens of all replies, vocabulary), each by its lesson's teacher."""
        parts: dict[int, Tensor] = {}
        for number in {lesson.teacher for lesson in lessons}:
            self.job.engine.load(self.teachers[number])
            mine = [place for place, lesson in enumerate(lessons) if lesson.teacher == number]
            with torch.no_grad():
                logits = self.logits(self.model, [chats[place] for place in mine])
            lengths = [chats[place].answer for place in mine]
            parts |= dict(zip(mine, logits.split(lengths), strict=True))
        return torch.cat([parts[place] for place in range(len(lessons))])

    def logits(self, model: Any, chats: Sequence[ChatTokens]) -> Tensor:
        """(tokens of all replies, vocabulary) of a model."""
        inputs, answers = left_padded(chats, self.tokenizer.pad_token_id)
        logits: Tensor = model(**inputs).logits
        return logits[:, :-1][answers[:, 1:]].float()


def most_right(counts: Sequence[int]) -> int | None:
    """The teacher with the most right probes, of equal ones the first; None: the gate is closed.

    Example:
        >>> most_right([1, 3, 3]), most_right([2, 0, 0]), most_right([1, 1, 0])
        (1, 0, None)
    """
    best = max(range(len(counts)), key=lambda place: counts[place])
    return best if counts[best] / PROBES >= GATE else None


def reverse_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(student || teacher) of the next token, mean over tokens; (tokens, vocabulary) logits.

    Example:
        >>> two = torch.tensor([[0.75, 0.25]]).log()  # 3/4 ln(3/2) + 1/4 ln(1/2)
        >>> round(float(reverse_divergence(two, torch.zeros(1, 2))), 4)
        0.1308
    """
    own = student.log_softmax(-1)
    return (own.exp() * (own - teacher.log_softmax(-1))).sum(-1).mean()


def student_of(room: Class, start: Patch, seed: int) -> Any:
    """The start with a new LoRA."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = room.job.plan.config
    model = AutoModelForCausalLM.from_pretrained(config.base, dtype=torch.float32)
    with torch.no_grad():
        for name, change in start.low_rank.items():
            model.get_parameter(name).add_(change.dense())
    lora = LoraConfig.from_pretrained(config.experts[0])
    lora.inference_mode = False  # as files of adapters say
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, lora)


def train(
    room: Class, student: Any, lessons: Sequence[Lesson], own: bool, rate: float = RATE
) -> None:
    """Steps of `BATCH` prompts, `EPOCHS` times each."""
    parameters = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate)
    for _ in range(EPOCHS):
        order = room.rng.sample(lessons, len(lessons))
        for place in range(0, len(order), BATCH):
            batch = order[place : place + BATCH]
            student.eval()
            prompts = [lesson.prompt for lesson in batch]
            replies = [room.rng.choice(lesson.replies) for lesson in batch]
            if own:
                replies = room.replies(student, prompts)
            chats = [ChatTokens(p + r, len(r)) for p, r in zip(prompts, replies, strict=True)]
            logits = room.logits(student, chats)
            if own:
                loss = reverse_divergence(logits, room.teacher_logits(batch, chats))
            else:
                targets = torch.tensor([token for reply in replies for token in reply])
                loss = torch.nn.functional.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def rows(
    lab: Path, task: str, out: Path, seed: int, rate: float
) -> Iterator[tuple[str, list[float]]]:
    """Method and start, and the value of each test item."""
    plain, more = written_tasks(lab, task, out)
    config = lab_search(lab, plain, out / f"{task}-{seed}", seed=seed, space="delta")
    job = prepare(config)
    room = Class(job, seed)
    (test,) = [task.test for task in job.tasks.values()]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        lessons = room.lessons(load_task(str(more)).dev)
        print(task, seed, f"{len(lessons)} prompts with an open gate", flush=True)
        for name, start in list(starts(job, config))[1:]:
            for how, own in (("own replies", True), ("teachers' replies", False)):
                student = student_of(room, start, seed)
                train(room, student, lessons, own, rate)
                replies = room.replies(student.eval(), room.tokens(test), sampled=False)
                yield f"{how}, {name}", list(map(float, room.right(test, replies)))


def main() -> None:
    """Run the tasks and seeds that have no lines yet."""
    arguments = parser(__doc__)
    arguments.add_argument("lab", type=Path)
    arguments.add_argument("--tasks", nargs="+", default=list(TASKS))
    arguments.add_argument("--rate", type=float, default=RATE)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    outcomes: Path = options.outcomes
    lines = outcomes.read_text(encoding="utf-8").splitlines() if outcomes.exists() else []
    done = {(row["task"], row["seed"]) for row in map(json.loads, lines)}
    for seed in options.seeds:
        for task in options.tasks:
            if (task, seed) in done:
                continue
            found = list(rows(options.lab, task, options.out, seed, options.rate))
            with outcomes.open("a", encoding="utf-8") as file:
                file.write("".join(line(row, task, seed) + "\n" for row in found))
            print(
                task, seed, *(f"{name} {np.mean(values):.3f}" for name, values in found), flush=True
            )


if __name__ == "__main__":
    main()
