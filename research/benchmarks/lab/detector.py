"""A detector of made-up statements: does a model say the same when it is asked again?

    python research/benchmarks/lab/records.py --out runs/records
    python research/benchmarks/lab/detector.py runs/records --outcomes research/evidence/detector.jsonl

SelfCheckGPT (Manakul, Liusie & Gales 2023, arXiv 2303.08896), its variant with n-grams: n words in a row
are counted in samples of the same prompt and in the reply itself, and a sentence of the reply has
the score max_j -log p(n-gram j), or the mean over j; a high score says that it is made up. The replies are
those that the base of `records.py`, which knows a quarter of a table and learned to say anything of the
rest, writes greedily to 500 questions; samples are of temperature 1. Controls: samples of the next question,
and minus the log-probabilities that the model itself gives to the sentence's words, which needs its weights. A
line is a score and a seed: of each sentence that states something the score, and 1 where that is right.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import records
import torch

from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.members.protocol import Sampling
from pyswarmopt_llm import open_model
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.engine.by_token import score_tokens

PROMPTS, SAMPLES, WORDS = 500, 10, (1, 2, 3)
TOGETHER: Mapping[str, Callable[[Sequence[float]], float]] = {"max": max, "mean": fmean}


def grams(text: str, n: int) -> list[tuple[str, ...]]:
    """n words in a row, at each place of a text.

    Example:
        >>> grams("a b c", 2)
        [('a', 'b'), ('b', 'c')]
    """
    words = text.split()
    return list(zip(*(words[k:] for k in range(n)), strict=False))


def surprises(sentence: str, texts: Sequence[str], n: int) -> list[float]:
    """-log of the share of each n-gram of a sentence among all those of texts.

    Args:
        sentence: of a reply.
        texts: samples, and the whole reply.
        n: words in a row.

    Example:
        >>> [round(value, 3) for value in surprises("a b", ["a b", "a b", "a c"], 1)]
        [0.693, 1.099]
    """
    counts = Counter(gram for text in texts for gram in grams(text, n))
    return [-math.log(counts[gram] / counts.total()) for gram in grams(sentence, n)]


def sentences(text: str) -> list[str]:
    """A reply's sentences, each with its full stop.

    Example:
        >>> sentences("first is d . second is a . third")
        ['first is d .', 'second is a .', 'third']
    """
    return [part.strip() for part in text.replace(" .", " .\n").split("\n") if part.strip()]


def own_losses(engine: Any, prompt: str, reply: str) -> list[list[float]]:
    """-log p of the words of each sentence, by the model."""
    (scores,) = score_tokens(engine, [(prompt, f" {reply}")])
    losses = (-scores.logprobs).tolist()
    found: list[list[float]] = []
    for sentence in sentences(reply):
        size = len(sentence.split())
        found.append(losses[:size])
        losses = losses[size:]
    return found


def rows(base: Path, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """All lines."""
    (member,) = open_members([str(base)], None, dtype="float32", threads=1)
    engine = open_model(str(base), None, "float32", "cpu", 1)
    rng = random.Random("detector")
    asked = [records.question(rng) for _ in range(PROMPTS)]
    prompts = [text for text, _ in asked]
    greedy = Sampling(max_new_tokens=records.LONGEST)
    replies = [said.texts[0].strip() for said in member.generate(prompts, greedy)]
    parts = [
        (number, place, part)
        for number, reply in enumerate(replies)
        for place, part in enumerate(sentences(reply))
        if records.stated(part)
    ]
    right = [is_right(part, asked[number][1]) for number, _, part in parts]

    def line(name: str, seed: int, scores: Sequence[float]) -> dict[str, Any]:
        rounded = [round(score, 4) for score in scores]
        return {"method": name, "seed": seed, "scores": rounded, "test": "".join(map(str, right))}

    own = [
        own_losses(engine, engine.chat(prompt), reply)
        for prompt, reply in zip(prompts, replies, strict=True)
    ]
    for name, together in TOGETHER.items():
        scores = [together(own[number][place]) for number, place, _ in parts]
        yield line(f"its own probabilities, {name}", 0, scores)
    for seed in seeds:
        how = Sampling(SAMPLES, 1.0, seed, records.LONGEST)
        said = [
            [*texts.texts, reply]
            for texts, reply in zip(member.generate(prompts, how), replies, strict=True)
        ]
        for n in WORDS:
            found = [surprises(part, said[number], n) for number, _, part in parts]
            for name, together in TOGETHER.items():
                yield line(f"{n} in a row, {name}", seed, list(map(together, found)))
        found = [
            surprises(part, [*said[(number + 1) % PROMPTS], replies[number]], WORDS[-1])
            for number, _, part in parts
        ]
        yield line(
            f"{WORDS[-1]} in a row, max, samples of the next question", seed, list(map(max, found))
        )


def is_right(sentence: str, facts: records.Facts) -> int:
    """Whether what a sentence states first is so.

    Example:
        >>> is_right("first is d .", {"first": "d"}), is_right("first is d .", {"first": "a"})
        (1, 0)
    """
    slot, value = records.stated(sentence)[0]
    return int(facts.get(slot) == value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lab", type=Path, help="folder that records.py made")
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    log = AppendLog(options.outcomes)
    if log.repaired():
        return
    for row in rows(options.lab / "base", options.seeds):
        log.append(row)
        print(row["method"], row["seed"], len(row["test"]), flush=True)


if __name__ == "__main__":
    main()
