"""Input compression: words of a message that a language model foresees are left out.

    python research/benchmarks/tokens/compression.py --data DATA --out runs/compression \\
        --outcomes research/evidence/compression.jsonl

Selective Context (Li, Dong, Lin & Guerin 2023, arXiv 2310.06201): the self-information of a token is
-log2 p(token | what stands before it), that of a word the sum over its tokens, and the words of at
least a percentile are kept. Here the unit is a word, and what is compressed are messages of
customers to a bank, of which the answer names the purpose among four. The model that reads
is a GPT-2 of 0.4 million weights, trained on 2,000 other messages and on their purposes; the same model gives the
information of a word. Controls: as many words by lot, and as many of the least
informative ones. A line is a way, the share of words to keep and a seed, with 1 for
each right answer of 500 and the mean number of a message's tokens. The reader has never seen a message with gaps.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import train_small_models as small

from pyswarmopt_llm import load_task, open_model
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.engine.by_token import score_tokens
from pyswarmopt_llm.scores.metrics.by_name import METRICS

KEPT = (0.7, 0.4)
INFORMATIVE, LOT, FORESEEN = "most informative", "by lot", "least informative"
STEPS, WORDS, SIZE = 500, 800, {"width": 96, "heads": 6}
MARK = "Message:"
Weighed = Sequence[tuple[str, float]]
"""Words of a text and the information of each, bits."""


def words_of(tokens: Sequence[str], bits: Sequence[float]) -> list[tuple[str, float]]:
    """Words from tokens, of which one with a space in front begins a word.

    Example:
        >>> words_of([" My", " ca", "rd"], [5.0, 3.0, 1.0])
        [('My', 5.0), ('card', 4.0)]
    """
    words: list[tuple[str, float]] = []
    for token, value in zip(tokens, bits, strict=True):
        if token[:1].isspace() or not words:
            words.append((token.strip(), value))
        else:
            before, so_far = words[-1]
            words[-1] = before + token, so_far + value
    return words


def informative(words: Weighed, share: float) -> list[int]:
    """Which words have at least the information of the percentile above which a share lies.

    Example:
        >>> informative([("a", 0.5), ("b", 9.0), ("c", 2.0), ("d", 4.0)], 0.5)
        [1, 3]
    """
    bits = [value for _, value in words]
    least = np.percentile(bits, 100 * (1 - share))
    return [place for place, value in enumerate(bits) if value >= least]


def chosen(words: Weighed, how: str, share: float, draws: np.random.Generator) -> list[int]:
    """The places of the words that are kept, in order: as many in each way."""
    kept = informative(words, share)
    if how == LOT:
        return sorted(draws.choice(len(words), len(kept), replace=False).tolist())
    if how == FORESEEN:
        order = np.argsort([value for _, value in words], kind="stable")
        return sorted(order[: len(kept)].tolist())
    return kept


def weighed(engine: Any, pairs: Sequence[tuple[str, str]]) -> list[Weighed]:
    """Words of texts, each with what stands before the text."""
    found: list[Weighed] = []
    for scores in score_tokens(engine, pairs):
        tokens = [engine.tokenizer.decode([token]) for token in scores.tokens]
        found.append(words_of(tokens, (-scores.logprobs / np.log(2)).tolist()))
    return found


def messages(data: Path) -> list[dict[str, Any]]:
    """Chats of the training file."""
    text = (data / "sft" / "banking.jsonl").read_text(encoding="utf-8")
    return list(map(json.loads, text.splitlines()))


def made(folder: Path, chats: Sequence[dict[str, Any]]) -> Any:
    """A reader of messages, which is trained where it is not there."""
    if not (folder / "config.json").exists():
        texts = [message["content"] for chat in chats for message in chat["messages"]]
        tokenizer = small.gpt2_tokenizer(texts, WORDS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = small.gpt2(tokenizer, **SIZE)
            encoded = small.encode(tokenizer, chats)
            small.train(model, encoded, tokenizer.pad_token_id, STEPS, random.Random(0))
        model.eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return open_model(str(folder), None, "float32", "cpu", 1)


def rows(
    options: argparse.Namespace, done: set[tuple[str, float, int]]
) -> Iterator[dict[str, Any]]:
    """All lines that are not done."""
    engine = made(options.out / "reader", messages(options.data))
    items = load_task(str(options.data / "tasks" / "banking.json")).test
    prompts = [engine.chat(f"Question: {item.question}") for item in items]
    before = [prompt[: prompt.index(MARK) + len(MARK)] for prompt in prompts]
    read = [item.question.split(MARK)[1].rstrip() for item in items]
    words = weighed(engine, list(zip(before, read, strict=True)))
    plan = [("all words", 1.0, 0)]
    for share in KEPT:
        plan += [(INFORMATIVE, share, 0), (FORESEEN, share, 0)]
        plan += [(LOT, share, seed) for seed in options.seeds]
    for how, share, seed in plan:
        if (how, share, seed) in done:
            continue
        draws = np.random.default_rng(seed)
        places = [chosen(of, how, share, draws) for of in words]
        texts = [" ".join(of[k][0] for k in ks) for of, ks in zip(words, places, strict=True)]
        shorter = [
            replace(item, question=f"{item.question.split(MARK)[0]}{MARK} {text}")
            for item, text in zip(items, texts, strict=True)
        ]
        score = METRICS["accuracy"].build(shorter, "likelihood", engine.chat, None)(engine)
        tokens = [len(engine.tokenizer(text)["input_ids"]) for text in texts]
        test = "".join(str(int(value)) for value in score.per_item)
        row = {"method": how, "share": share, "seed": seed, "test": test}
        yield {**row, "tokens": float(np.mean(tokens))}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of sft/ and tasks/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the reader")
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    log = AppendLog(options.outcomes)
    done = {(row["method"], row["share"], row["seed"]) for row in log.repaired()}
    for row in rows(options, done):
        log.append(row)
        rate = row["test"].count("1") / len(row["test"])
        print(
            row["method"], row["share"], row["seed"], f"{rate:.3f} {row['tokens']:.1f}", flush=True
        )


if __name__ == "__main__":
    main()
