"""Token mixtures measured: fusion methods side by side, and a token search against its best member and a vote.

    python benchmarks/token_fusion.py search --experts DIR... --task TASK --seeds 3
    python benchmarks/token_fusion.py fusions --experts DIR... --task TASK --items 50

`search`: each seed has other dev items, and dev alone chooses the mixture. `fusions`: the members
write short answers: the share that is right, tokens per second, and, where all have one tokenizer, the share of
answers equal to the exact mixture's.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence

import numpy as np
import torch

import pyswarmopt as pso
from pyswarmopt_llm.collective import voting
from pyswarmopt_llm.errors import UserError
from pyswarmopt_llm.interfaces import Patch
from pyswarmopt_llm.tasks import Item, load_task
from pyswarmopt_llm.tokens.engine import FUSIONS, MixtureEngine
from pyswarmopt_llm.tokens.members import find_members, load_members
from pyswarmopt_llm.tokens.mixing import mixing_weights
from pyswarmopt_llm.utilities import Accuracy, interval


def load(experts: Sequence[str]) -> MixtureEngine:
    return MixtureEngine(load_members(find_members(experts)))


def one_search(engine: MixtureEngine, dev: Accuracy, seed: int) -> torch.Tensor:
    """The weights that a swarm of the default setting finds on dev."""
    n = len(engine.members)
    recipe = pso.recipes.model_swarms(patience=10, max_iter=50)
    start = torch.eye(n, dtype=torch.float64)
    swarm = pso.Swarm(positions=start, population=20, recipe=recipe, maximize=True, seed=seed)
    while not swarm.stop():
        positions = swarm.ask()
        values = []
        for position in positions:
            engine.load(Patch(mixture=tuple(mixing_weights(position).tolist())))
            values.append(dev(engine).value)
        swarm.tell(positions, values)
    return mixing_weights(swarm.best.x)


def answers_of(engine: MixtureEngine, weights: Sequence[float], asked: Accuracy) -> list[str]:
    engine.load(Patch(mixture=tuple(weights)))
    return asked.answers(engine)


def right(items: Sequence[Item], answers: Sequence[str | None]) -> list[float]:
    return [float(item.answer == answer) for item, answer in zip(items, answers, strict=True)]


def compare_search(args: argparse.Namespace) -> None:
    engine = load(args.experts)
    task = load_task(args.task, dev=args.dev * args.seeds, test=args.test)
    n = len(engine.members)
    one_hot = np.eye(n).tolist()
    print(f"{', '.join(engine.members)} on {task.name}: {args.dev} dev items a seed, {len(task.test)} test items")
    test = Accuracy(task.test, "likelihood", engine.chat, task.prompt)
    members = [answers_of(engine, one, test) for one in one_hot]
    vote = right(task.test, [voting.majority(list(votes)).answer for votes in zip(*members, strict=True)])
    uniform = right(task.test, answers_of(engine, [1 / n] * n, test))
    for name, answers in zip(engine.members, members, strict=True):
        show(f"member {name}", right(task.test, answers))
    show("majority vote", vote)
    show("uniform mixture", uniform)
    for seed in range(args.seeds):
        items = task.dev[seed * args.dev : (seed + 1) * args.dev]
        dev = Accuracy(items, "likelihood", engine.chat, task.prompt)
        scores = [sum(right(items, answers_of(engine, one, dev))) for one in one_hot]
        best = scores.index(max(scores))
        start = time.process_time()
        weights = one_search(engine, dev, seed)
        spent = time.process_time() - start
        found = right(task.test, answers_of(engine, weights.tolist(), test))
        show(f"seed {seed}: best member on dev, {list(engine.members)[best]}", right(task.test, members[best]))
        mixture = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(engine.members, weights, strict=True))
        show(f"seed {seed}: token swarm ({mixture}; {spent:.1f} s)", found)


def show(label: str, values: Sequence[float]) -> None:
    low, high = interval(values)
    print(f"  {label}: {np.mean(values):.3f} [{low:.3f}, {high:.3f}]", flush=True)


def compare_fusions(args: argparse.Namespace) -> None:
    engine = load(args.experts)
    task = load_task(args.task, dev=1, test=args.items)
    users = [f"Question: {item.question}" for item in task.test]
    texts = [item.choices[item.answer] for item in task.test if item.choices]
    exact: list[str] = []
    tokenizer = next(iter(engine.members.values())).tokenizer
    for name in FUSIONS:
        try:
            mixture = MixtureEngine(engine.members, name)
            mixture.load(Patch(mixture=tuple(args.weights or engine.weights.tolist())))
        except UserError as error:
            print(f"  {name}: {error}")
            continue
        start = time.process_time()
        found = ["".join(mixture.stream(user, args.max_new_tokens)).strip() for user in users]
        seconds = time.process_time() - start
        tokens = sum(len(tokenizer(text)["input_ids"]) + 1 for text in found)
        exact = found if name == "exact" else exact
        same = float(np.mean([a == b for a, b in zip(found, exact, strict=True)])) if exact else math.nan
        values = [float(a.lower() == b.lower()) for a, b in zip(found, texts, strict=True)]
        low, high = interval(values)
        print(
            f"  {name}: right {np.mean(values):.3f} [{low:.3f}, {high:.3f}], {tokens / seconds:.1f} tokens/s, "
            f"as the exact mixture {same:.3f}; e.g. {found[:3]}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["search", "fusions"])
    parser.add_argument("--experts", nargs="+", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--dev", type=int, default=100, help="items of each seed")
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--items", type=int, default=50)
    parser.add_argument("--weights", type=float, nargs="+", help="of the members, for `fusions` (all alike)")
    parser.add_argument("--max-new-tokens", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    (compare_search if args.what == "search" else compare_fusions)(args)


if __name__ == "__main__":
    main()
