"""The control of the laboratory's written answers: models that are fine-tuned on right answers.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/scores/right_answers.py runs/lab --out runs/right-answers \\
        --outcomes research/evidence/right-answers.jsonl

Tasks, experts and test items are those of `written_lab.py`. There a search sees a score of each
reply, 1 or 0, to 100 dev prompts, or to these and 400 further ones. Here the base, the best expert
by exact match on dev, and the mixture that a search finds (40 evaluations, untrained) are trained
on the right answers to the same 100 or 500 prompts, with the epochs and learning rate of a search
with labels; with --gently at a quarter of that rate. A line of the outcomes is a start, a number of
answers, a task and a seed, with 1 for each right answer of a test item and 0 for a wrong one. What is
there is not run again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from iteration import best_of, on_dev
from runs import TASKS, finished, lab_search, line, parser, written_tasks

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import on_transformers
from pyswarmopt_llm.engine.turns import reply_frame
from pyswarmopt_llm.scores.choices import EPOCHS, RATE, Choices
from pyswarmopt_llm.scores.tasks import chat_prompt, load_task
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.training.trainer import Lora, shuffled, train

ANSWERS = (100, 500)  # dev prompts, and these with the further ones
STARTS = ("base", "best-single", "mixture")


def starts(job: Job, config: SearchConfig) -> Iterator[tuple[str, Patch]]:
    """The models that are trained further, by name."""
    yield "base", Patch()
    experts = job.pool.space.vertices()
    yield "best-single", job.pool.space.realise(experts[best_of(on_dev(job))])
    result = finished(replace(config, out=f"{config.out}-search", train="off"))
    weights: Mapping[str, float] = result["models"]["best"]["weights"]
    position = torch.tensor([weights[name] for name in job.pool.space.expert_names]).double()
    yield "mixture", job.pool.space.realise(position)


def right_answers(job: Job, file: Path) -> list[Choices]:
    """The prompts of a file's dev items with their answers, as replies are trained on."""
    opening, ending = reply_frame(job.engine.tokenizer)
    items = load_task(str(file)).dev
    prompts = [chat_prompt(item, "generate", job.engine.chat, None) for item in items]
    return [
        Choices(((prompt, f"{opening}{item.answer}{ending}"),), (1.0,), 0)
        for prompt, item in zip(prompts, items, strict=True)
    ]


def trained(job: Job, start: Patch, answers: Sequence[Choices], rate: float) -> Patch:
    """A model that is trained further on answers."""
    engine = on_transformers(job.engine, "an adapter is trained")
    engine.load(start)
    lora = Lora.like(job.pool.experts[0], job.plan.config.seed)
    train(engine, lora, shuffled(answers, EPOCHS, job.plan.config.seed), rate)
    return start.with_low_rank(lora.patch().low_rank)


def rows(
    lab: Path, task: str, out: Path, seed: int, rate: float
) -> Iterator[tuple[str, list[float]]]:
    """Start and number of answers, and the value of each test item."""
    gently = ", gently" if rate < RATE else ""
    plain, more = written_tasks(lab, task, out)
    config = lab_search(lab, plain, out / f"{task}-{seed}", seed=seed, space="delta")
    job = prepare(config)
    answers = right_answers(job, more)
    (test,) = job.utilities("test", {job.objectives.names[0]: "generate"}).values()
    for name, start in starts(job, config):
        for count in ANSWERS:
            job.engine.load(trained(job, start, answers[:count], rate))
            yield f"{name}, {count} right answers{gently}", list(test(job.engine).per_item)


def main() -> None:
    """Run the tasks and seeds that have no lines yet."""
    arguments = parser(__doc__)
    arguments.add_argument("lab", type=Path)
    arguments.add_argument("--tasks", nargs="+", default=list(TASKS))
    arguments.add_argument("--gently", action="store_true", help="at a quarter of the rate")
    options = arguments.parse_args()
    rate = RATE / 4 if options.gently else RATE
    torch.set_num_threads(1)
    outcomes: Path = options.outcomes
    lines = outcomes.read_text(encoding="utf-8").splitlines() if outcomes.exists() else []
    done = {
        (row["task"], row["seed"], row["method"].endswith("gently"))
        for row in map(json.loads, lines)
    }
    for seed in options.seeds:
        for task in options.tasks:
            if (task, seed, options.gently) in done:
                continue
            found = rows(options.lab, task, options.out, seed, rate)
            new = [line(row, task, seed) for row in found]
            with outcomes.open("a", encoding="utf-8") as file:
                file.write("\n".join(new) + "\n")


if __name__ == "__main__":
    main()
