"""Task analogies in the laboratory of statements: an expert for a task out of three for others.

    python research/benchmarks/lab/records.py --out runs/records
    python research/benchmarks/lab/analogies.py --lab runs/records \\
        --outcomes research/evidence/analogies.jsonl

"Lion indoors = lion outdoors + (dog indoors - dog outdoors)" (Ilharco et al. 2023, arXiv 2212.04089;
named by Feng et al. 2024). A task is an attribute and a style, as `color, long`, and the experts of
`records.py` have one each. Of two attributes and two styles each of the four experts is left out in
turn, and made of the others' weight changes: of the same attribute, plus that of the same style,
minus the one that shares neither. Beside it: the sum without the subtraction, either of the two
related experts, the base, and the expert that was trained for the task. A line is a pair of
attributes, a task and a method: for each of 50 questions 1 where the attribute's statement is right
and the reply in its style, else 0.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any

import torch
from records import ATTRIBUTES, LONGEST, STYLES, entries, question, stated

from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import load_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.delta import DeltaSpace

QUESTIONS = 50
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
        >>> in_style("brief", "first is d . second is a ."), in_style("long", "first is d .")
        (True, False)
    """
    found = stated(text)
    length = len(STYLES[style].split())
    return bool(found) and len(text.split()) == length * len(found)


def knows(attribute: str, asked: str, facts: Mapping[str, str], text: str) -> bool:
    """Whether a reply states the entry of an attribute once, and rightly."""
    (slot,) = [slot for slot, entry in entries(asked).items() if entry[:-1] == attribute]
    return [pair for pair in stated(text) if pair[0] == slot] == [(slot, facts[slot])]


def answers(engine: Any, task: Task) -> str:
    """What the loaded model does with questions of a task."""
    name, style = task
    rng = random.Random(f"test {task}")
    asked = [question(rng, [name]) for _ in range(QUESTIONS)]
    said = engine.generate([engine.chat(text) for text, _ in asked], max_new_tokens=LONGEST)
    return "".join(
        str(int(knows(name, prompt, facts, text) and in_style(style, text.strip())))
        for (prompt, facts), text in zip(asked, said, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    base = resolve_base(str(options.lab / "base"))
    engine = load_engine(base, "float32", "cpu", 1)
    lines = []
    for pair in combinations(ATTRIBUTES, 2):
        tasks = list(product(pair, STYLES))
        folders = [str(options.lab / "experts" / "-".join(task)) for task in tasks]
        infos = inspect_experts(folders, base).experts
        space = DeltaSpace(list(map(load_adapter, infos)))
        for target in tasks:
            for method, row in weights(target, tasks).items():
                engine.load(space.realise(torch.tensor(row, dtype=torch.float64)))
                test = answers(engine, target)
                about = {"pair": "-".join(pair), "task": ", ".join(target), "method": method}
                lines.append(json.dumps({**about, "test": test}))
                print(*pair, *target, method, test.count("1") / len(test), flush=True)
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
