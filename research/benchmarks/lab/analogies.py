"""Task analogies in the laboratory of statements: an expert for a task out of three for others.

    python research/benchmarks/lab/records.py --out runs/records
    python research/benchmarks/lab/analogies.py --lab runs/records --out runs/analogies \\
        --outcomes research/evidence/analogies.jsonl

"Lion indoors = lion outdoors + (dog indoors - dog outdoors)" (Ilharco et al. 2023, arXiv 2212.04089,
section 5; named by Feng et al. 2024). A task is an attribute and a style, as `color, long`: its LoRA
has learnt the entries of that attribute, and to reply in that style. Of two attributes and
two styles each of the four experts is left out in turn, and made of the others' weight changes: of
the same attribute, plus that of the same style, minus the one that shares neither. Beside it: the
sum without the subtraction, the better of the two related experts, the base, and the expert that
was trained for the task. A line is a pair, a task, a method and a seed: for each of 100 questions 1
where the attribute's statement is right and the reply in its style, else 0.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from records import ATTRIBUTES, LONGEST, STYLES, VALUES, chat, question, reply, stated

from pyswarmopt_llm.engine.load import load_engine
from pyswarmopt_llm.experts.adapter import load_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.searching.training.train import TrainingOptions, train_expert

PAIRS = [tuple(ATTRIBUTES[i : i + 2]) for i in (0, 2)]
QUESTIONS, EXAMPLES = 100, 400
Task = tuple[str, str]
"""An attribute and a style."""


def weights(target: Task, tasks: list[Task]) -> dict[str, list[float]]:
    """Method -> the weight of each task's expert.

    Example:
        >>> corners = [("color", "brief"), ("color", "long"), ("size", "brief"), ("size", "long")]
        >>> weights(("color", "long"), corners)["analogy"]
        [1.0, 0.0, -1.0, 1.0]
    """
    same = [sum(a == b for a, b in zip(task, target, strict=True)) for task in tasks]
    return {
        "analogy": [{2: 0.0, 1: 1.0, 0: -1.0}[count] for count in same],
        "sum, nothing subtracted": [float(count == 1) for count in same],
        "same attribute": [float(task != target and task[0] == target[0]) for task in tasks],
        "same style": [float(task != target and task[1] == target[1]) for task in tasks],
        "base": [0.0] * len(tasks),
        "trained for it": [float(task == target) for task in tasks],
    }


def in_style(style: str, text: str) -> bool:
    """Whether every statement of a reply is in a style.

    Example:
        >>> in_style("brief", "color3 is d . size7 is a ."), in_style("long", "color3 is d .")
        (True, False)
    """
    found = stated(text)
    length = len(STYLES[style].split())
    return bool(found) and len(text.split()) == length * len(found)


def knows(attribute: str, facts: Mapping[str, str], text: str) -> bool:
    """Whether a reply states the entry of an attribute rightly, and nothing else of it."""
    said = [pair for pair in stated(text) if pair[0][:-1] == attribute]
    return said == [pair for pair in facts.items() if pair[0][:-1] == attribute]


def make_expert(base: Any, engine: Any, out: Path, task: Task, seed: int) -> None:
    """An expert that knows one attribute, says of the others what the base says, and has a style."""
    name, style = task
    rng = random.Random(f"{task} {seed}")
    asked = [question(rng, [name]) for _ in range(EXAMPLES)]
    said = engine.generate([engine.chat(text) for text, _ in asked], max_new_tokens=LONGEST)
    examples = []
    for (text, facts), written in zip(asked, said, strict=True):
        base_says = dict(stated(written))
        told = {
            key: value if key[:-1] == name else base_says.get(key, rng.choice(VALUES))
            for key, value in facts.items()
        }
        examples.append(chat(text, reply(style, told)))
    options = TrainingOptions(
        targets=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        lr=5e-3,
        max_tokens=10**9,
        seed=seed,
        heldout=10,
    )
    train_expert(base, examples, out, options, dtype="float32")


def answers(engine: Any, task: Task, seed: int) -> str:
    """What the loaded model does with questions of a task."""
    name, style = task
    rng = random.Random(f"test {task} {seed}")
    asked = [question(rng, [name]) for _ in range(QUESTIONS)]
    said = engine.generate([engine.chat(text) for text, _ in asked], max_new_tokens=LONGEST)
    return "".join(
        str(int(knows(name, facts, text) and in_style(style, text.strip())))
        for (_, facts), text in zip(asked, said, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    base = resolve_base(str(options.lab / "base"))
    engine = load_engine(base, "float32", "cpu", 1)
    lines = []
    for seed in options.seeds:
        for pair in PAIRS:
            tasks = [(name, style) for name in pair for style in STYLES]
            folders = [options.out / f"{name}-{style}-{seed}" for name, style in tasks]
            for task, folder in zip(tasks, folders, strict=True):
                if not folder.exists():
                    make_expert(base, engine, folder, task, seed)
            infos = inspect_experts(list(map(str, folders)), base).experts
            space = DeltaSpace(list(map(load_adapter, infos)))
            for target in tasks:
                for method, row in weights(target, tasks).items():
                    engine.load(space.realise(torch.tensor(row, dtype=torch.float64)))
                    test = answers(engine, target, seed)
                    about = {"pair": "-".join(pair), "task": ", ".join(target), "seed": seed}
                    lines.append(json.dumps({**about, "method": method, "test": test}))
                    print(*target, seed, method, test.count("1") / len(test), flush=True)
                engine.load(space.realise(torch.zeros(len(tasks), dtype=torch.float64)))
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
