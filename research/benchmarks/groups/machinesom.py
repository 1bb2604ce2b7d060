#!/usr/bin/env python3
"""Sums and chess moves in societies of agents (MachineSoM's kinds of tasks; Zhang et al. 2023,
arXiv 2310.02124), whose knowledge are small models that were trained for it.

A sum is `a plus b` and five more kinds, a chess question names a piece, its square and three others,
and asks for a square that it may go to, as MachineSoM does with games (any such square is right).
Three models were each trained on three of six kinds of sums (least squares of the numbers' products)
and three on three of six pieces (networks of one hidden layer), and to guess in the others: of a
kind one or two of three know something. An agent says what its model finds most probable, and how
probable; its conduct is a rule: who is easy-going
takes over what is surest of all that it reads, who is confident keeps to its own. What is
asked on dev and test is in no training.

Rows: each member, the best on dev, the vote on the first answers, the surest of them (what a debate
has to be better than), societies of easy-going agents by
pattern and of confident ones, and debates in which nobody says how sure it is (an easy-going agent
then takes over what most say). 100 dev and 500 test questions, three draws. A tie is no answer, as
in the paper; `majority` takes the first. What is in --work or in the outcomes is not made again.

    python research/benchmarks/groups/machinesom.py --work runs/machinesom \\
        --outcomes research/evidence/machinesom.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from chess_squares import PIECES, SQUARES, moves
from numpy.typing import NDArray
from programs import Program, arguments
from talk import TEMPLATE

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.negotiation.societies import TRAITS
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_llm.scores.tasks import Item, Task

SUMS: Mapping[str, Callable[[int, int], int]] = {
    "plus": lambda a, b: a + b,
    "minus": lambda a, b: a - b,
    "times": lambda a, b: a * b,
    "twice-plus": lambda a, b: 2 * a + b,
    "plus-square": lambda a, b: a + b * b,
    "square-minus": lambda a, b: a * a - b,
}
MOST = 20  # numbers of a sum are below
# of three members, who is taught a kind
OWNERS = ((0, 1), (0, 2), (1, 2), (0,), (1,), (2,))
Array = NDArray[np.float64]
KINDS = {"sums": tuple(SUMS), "chess": PIECES}
EXAMPLES, WIDTH, STEPS, BATCH, RATE = 20_000, 192, 1_500, 128, 3e-3
DEV, TEST = 100, 500
SOCIETIES = ("eee:ddd", "eee:ddr", "eee:drr", "eee:rrr", "cee:ddd", "cce:ddd", "ccc:ddd")
SURE = re.compile(r"sure (\d\.\d+)")
UNSAID = "debates without confidence"
SUREST = "the surest first answer"


def question(task: str, kind: str, rng: random.Random) -> tuple[str, list[str]]:
    """A question of a kind, and all right answers."""
    if task == "sums":
        a, b = rng.randrange(MOST), rng.randrange(MOST)
        return f"{a} {kind} {b}", [str(SUMS[kind](a, b))]
    while True:
        at, own, *others = rng.sample(SQUARES, 4)
        if right := sorted(moves(kind, at, {own}, set(others))):
            return f"{kind} {at} white {own} black {' '.join(others)}", right


def part_of(asked: str) -> str:
    """dev, test or train: of ten sums eight are in training, whichever way round they are asked."""
    tenth = zlib.crc32(asked.encode()) % 10
    return {0: "test", 1: "dev"}.get(tenth, "train")


def known_to(member: int, task: str) -> list[str]:
    """The kinds that a member is taught."""
    return [kind for kind, owners in zip(KINDS[task], OWNERS, strict=True) if member in owners]


class Polynomials:
    """Least squares for each kind of sums; what is left over says how sure it is."""

    def __init__(self, member: int) -> None:
        rng = random.Random(f"sums {member}")
        self.fits: dict[str, tuple[Array, float]] = {}
        told = [*itertools.islice(lessons(member, "sums", rng), EXAMPLES // 20)]
        for kind in SUMS:
            mine = [(asked, int(said)) for asked, said in told if kind in asked.split()]
            inputs = np.array([self._powers(asked) for asked, _ in mine])
            targets = np.array([said for _, said in mine], dtype=float)
            weights = np.linalg.lstsq(inputs, targets, rcond=None)[0]
            self.fits[kind] = weights, float(np.std(inputs @ weights - targets))

    def _powers(self, asked: str) -> list[float]:
        first, _, second = asked.split()
        a, b = int(first), int(second)
        return [1.0, a, b, a * b, a * a, b * b]

    def says(self, questions: Sequence[str]) -> dict[str, tuple[str, float]]:
        """Question -> the nearest whole number, and how probable it is under a normal error."""
        answers = {}
        for asked in questions:
            weights, spread = self.fits[asked.split()[1]]
            number = round(float(np.dot(self._powers(asked), weights)))
            answers[asked] = str(number), math.erf(0.5 / (math.sqrt(2) * spread + 1e-9))
        return answers


class Network:
    """A network of one hidden layer for chess moves."""

    def __init__(self, member: int) -> None:
        rng = random.Random(f"chess {member}")
        asked, said = zip(*itertools.islice(lessons(member, "chess", rng), EXAMPLES), strict=True)
        inputs, targets = encoded(asked), torch.tensor([SQUARES.index(word) for word in said])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(member)
            self.model = torch.nn.Sequential(
                torch.nn.Linear(inputs.shape[1], WIDTH),
                torch.nn.ReLU(),
                torch.nn.Linear(WIDTH, len(SQUARES)),
            )
            optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE)
            for _ in range(STEPS):
                batch = torch.randint(len(inputs), (BATCH,))
                loss = torch.nn.functional.cross_entropy(self.model(inputs[batch]), targets[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    @torch.inference_mode()
    def says(self, questions: Sequence[str]) -> dict[str, tuple[str, float]]:
        """Question -> the most probable square, and how probable it is."""
        values, places = self.model(encoded(questions)).softmax(dim=-1).max(dim=-1)
        pairs = zip(questions, places.tolist(), values.tolist(), strict=True)
        return {question: (SQUARES[place], value) for question, place, value in pairs}


def encoded(questions: Sequence[str]) -> torch.Tensor:
    """Questions as zeros and ones, (n, 512): a piece on its square, and the squares of white and
    black.
    """
    rows = torch.zeros(len(questions), 512)
    for row, text in zip(rows, questions, strict=True):
        piece, at, _, own, _, *others = text.split()
        row[64 * PIECES.index(piece) + SQUARES.index(at)] = 1.0
        row[384 + SQUARES.index(own)] = 1.0
        for square in others:
            row[448 + SQUARES.index(square)] = 1.0
    return rows


def lessons(member: int, task: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Questions and answers of a member, two of three of what it knows and one of guesses."""
    known = known_to(member, task)
    unknown = [kind for kind in KINDS[task] if kind not in known]
    while True:
        knows = rng.random() < 2 / 3
        asked, right = question(task, rng.choice(known if knows else unknown), rng)
        if part_of(asked) == "train":
            guess = str(rng.randrange(3 * MOST)) if task == "sums" else rng.choice(SQUARES)
            yield asked, rng.choice(right) if knows else guess


def drawn(task: str, split: str, n: int, seed: int) -> tuple[tuple[Item, ...], list[list[str]]]:
    """Questions of all kinds in turn, and the right answers to each."""
    rng = random.Random(f"{task} {split} {seed}")
    pairs: list[tuple[str, list[str]]] = []
    while len(pairs) < n:
        pair = question(task, KINDS[task][len(pairs) % len(KINDS[task])], rng)
        if part_of(pair[0]) == split:
            pairs.append(pair)
    items = tuple(Item(f"{split}-{i}", q, None, right[0]) for i, (q, right) in enumerate(pairs))
    return items, [right for _, right in pairs]


class Agent(Program):
    """Says what a model wrote and how sure it is, and takes over what is surest, or what most say.

    Args:
        name: see `Member`.
        said: question -> what it wrote, and the probability of that.
        tells: whether it says how sure it is.
    """

    def __init__(self, name: str, said: Mapping[str, tuple[str, float]], tells: bool) -> None:
        super().__init__(name, f"agent {name} {tells}")
        self.said, self.tells = said, tells

    def _reply(self, prompt: str, rng: random.Random) -> str:
        own, others = arguments(prompt)
        if own and prompt.startswith(TRAITS["c"]):
            return own
        if own and self.tells:
            return max([own, *others], key=lambda text: float(SURE.findall(text)[0]))
        if own:
            counts = Counter([own, *others])
            return max([own, *others], key=lambda text: counts[text])
        asked = next(line for line in prompt.splitlines() if line.startswith("Question: "))
        answer, sure = self.said[asked.removeprefix("Question: ")]
        return f"{f'sure {sure:.4f} . ' if self.tells else ''}The answer is {answer}"


def surest(context: GroupContext, items: Sequence[Item]) -> list[Verdict]:
    """The most probable of the first answers; nobody reads anything."""
    responses = context.collect(items)
    verdicts = []
    for i in range(len(items)):
        texts = [row[i].text for row in responses.answers]
        winner = max(texts, key=lambda text: float(SURE.findall(text)[0]))
        verdicts.append(Verdict(winner, tuple(texts), 1.0, responses.cost(i)))
    return verdicts


def marked(verdicts: Sequence[Verdict], right: Sequence[Sequence[str]]) -> str:
    """1 for each answer whose last word is right."""
    words = [((verdict.answer or "").split() or [""])[-1] for verdict in verdicts]
    return "".join(str(int(word in texts)) for word, texts in zip(words, right, strict=True))


def rows(models: Sequence[Polynomials | Network], name: str, seed: int) -> Iterator[dict[str, Any]]:
    """A line for each member, vote and society."""
    (dev, dev_right), (test, right) = drawn(name, "dev", DEV, seed), drawn(name, "test", TEST, seed)
    task = Task(name, dev, test, TEMPLATE)
    asked = [item.question for item in (*dev, *test)]
    said = [model.says(asked) for model in models]

    def line(method: str, verdicts: Sequence[Verdict]) -> dict[str, Any]:
        tokens = fmean(verdict.tokens for verdict in verdicts)
        marks = marked(verdicts, right)
        return {"method": method, "task": name, "seed": seed, "test": marks, "tokens": tokens}

    groups = {
        tells: GroupContext(
            [Agent(f"member {k}", mine, tells) for k, mine in enumerate(said, start=1)],
            task,
            "generate",
            seed,
        )
        for tells in (True, False)
    }
    worth = []
    for k, agent in enumerate(groups[False].members):
        alone = [
            [Verdict(a.text, (), 1.0, a.tokens) for a in agent.answer(items, "generate", TEMPLATE)]
            for items in (dev, test)
        ]
        worth.append((marked(alone[0], dev_right).count("1"), -k, alone[1]))
        yield line(f"member {k + 1}", alone[1])
    yield line("best member on dev", max(worth)[2])
    yield line(
        "`majority` of the first answers", load_strategy("majority").decide(groups[False], test)
    )
    yield line(SUREST, surest(groups[True], test))
    yield line("one debate", load_strategy("society:eee:d").decide(groups[True], test))
    for society in SOCIETIES:
        yield line(society, load_strategy(f"society:{society}").decide(groups[True], test))
    yield line(UNSAID, load_strategy("society:eee:ddd").decide(groups[False], test))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    made = []
    for name in KINDS:
        kind = Polynomials if name == "sums" else Network
        models = [kind(member) for member in range(3)]
        for seed in args.seeds:
            for row in rows(models, name, seed):
                made.append(row)
                print(name, row["method"], seed, row["test"].count("1") / TEST, flush=True)
    args.outcomes.write_text("".join(f"{json.dumps(row)}\n" for row in made), encoding="utf-8")


if __name__ == "__main__":
    main()
