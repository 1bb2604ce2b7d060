#!/usr/bin/env python3
"""Contrastive decoding (Li et al. 2023, arXiv 2210.15097) and proxy tuning (Liu et al. 2024, arXiv
2401.08565), which subtract logarithms, on the laboratory's written answers.

At each token, greedily, from log-probabilities of the same prompt:

* contrast: log p(expert) - log p(base), among the tokens with p(expert) >= 0.1 max p(expert);
* proxy: log p(main) + log p(expert) - log p(base), the sum of logits before normalisation; main is
  a fine-tune of all weights, so that the expert steers a model whose weights it never saw.

Controls: each model alone, the contrast without its cut, the proxy without the base, and the mean
of probabilities. The expert and the fine-tune are those that write most dev items right. A line of
the outcomes is a row and a task, with 1 for each right test item.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/tokens/log_contrast.py --lab runs/lab --out runs/log-contrast \\
        --outcomes research/evidence/log-contrast.jsonl
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm import open_model
from pyswarmopt_llm.engine.by_token import distributions
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.tasks import Item, load_task
from pyswarmopt_llm.scores.tasks.answers import is_correct

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scores"))
from runs import NEW_TOKENS, written

PLAUSIBLE = 0.1  # of the likeliest token, as in Li et al.
ANY_TOKEN = " a"  # stands where the next token is looked at
Models = Mapping[str, TransformersEngine]
Rule = Callable[[Mapping[str, Tensor]], Tensor]
"""Log-probabilities by model, (N, V) each -> scores of the next token, (N, V)."""


def contrast(expert: Tensor, amateur: Tensor, plausible: float = PLAUSIBLE) -> Tensor:
    """The difference of log-probabilities, -inf where the expert finds a token implausible; 0
    keeps all tokens.

    Example:
        >>> logs = torch.tensor([[0.6, 0.35, 0.05]]).log(), torch.tensor([[0.8, 0.199, 0.001]]).log()
        >>> contrast(*logs).argmax().item(), contrast(*logs, 0.0).argmax().item()
        (1, 2)
    """
    cut = expert.amax(-1, keepdim=True) + (math.log(plausible) if plausible else -math.inf)
    return torch.where(expert >= cut, expert - amateur, -math.inf)


def proxy(main: Tensor, expert: Tensor, anti_expert: Tensor) -> Tensor:
    """The main model's logits, moved by what training changed in the expert's.

    Example:
        >>> proxy(*(torch.tensor([0.5, p]).log() for p in (0.5, 0.25, 0.125))).exp().tolist()
        [0.5, 1.0]
    """
    return main + expert - anti_expert


RULES: Mapping[str, Rule] = {
    "base": lambda log: log["base"],
    "expert": lambda log: log["expert"],
    "fine-tune": lambda log: log["main"],
    "contrast": lambda log: contrast(log["expert"], log["base"]),
    "contrast without the cut": lambda log: contrast(log["expert"], log["base"], 0.0),
    "proxy": lambda log: proxy(log["main"], log["expert"], log["base"]),
    "proxy without the base": lambda log: log["main"] + log["expert"],
    "mean of probabilities": lambda log: torch.logaddexp(log["main"], log["expert"]),
}


class NextToken(dict[str, Tensor]):
    """Each model's log-probabilities of the token after some texts, computed when they are read."""

    def __init__(self, models: Models, texts: Sequence[str]) -> None:
        super().__init__()
        self._models, self._pairs = models, [(text, ANY_TOKEN) for text in texts]

    def __missing__(self, name: str) -> Tensor:
        rows = distributions(self._models[name], self._pairs)
        self[name] = torch.stack([logprobs[0] for logprobs, _ in rows])
        return self[name]


def write(models: Models, rule: Rule, prompts: Sequence[str], end: int) -> list[str]:
    """Greedy texts under a rule; all models share a tokenizer, in which a word is a token."""
    (first, *_) = models.values()
    texts = [""] * len(prompts)
    going = list(range(len(prompts)))
    for _ in range(NEW_TOKENS):
        logs = NextToken(models, [first.chat(prompts[i]) + texts[i] for i in going])
        tokens = rule(logs).argmax(-1).tolist()
        for i, token in zip(going, tokens, strict=True):
            if token != end:
                texts[i] += f" {first.tokenizer.decode([token])}"
        going = [i for i, token in zip(going, tokens, strict=True) if token != end]
        if not going:
            break
    return [text.strip() for text in texts]


def right(items: Sequence[Item], texts: Sequence[str]) -> str:
    """1 for each right answer, 0 for each wrong one."""
    pairs = zip(items, texts, strict=True)
    return "".join(str(int(is_correct(item, text))) for item, text in pairs)


def best(engines: Models, items: Sequence[Item]) -> TransformersEngine:
    """The model that writes most of these items right, the first on a tie."""
    scores = {}
    for name, engine in engines.items():
        prompts = [engine.chat(f"Question: {item.question}") for item in items]
        texts = engine.generate(prompts, max_new_tokens=NEW_TOKENS)
        scores[name] = right(items, texts).count("1")
    print(scores, flush=True)
    return engines[max(scores, key=lambda name: scores[name])]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True, help="folder that lab.py made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--tasks", nargs="+", default=["t4", "t5", "t6"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    base = str(args.lab / "base")

    def opened(model: str, adapter: str | None = None) -> TransformersEngine:
        engine: TransformersEngine = open_model(model, adapter, "float32", "cpu", 1)
        return engine

    experts, tunes = (sorted((args.lab / name).iterdir()) for name in ("experts", "full"))
    adapted = {folder.name: opened(base, str(folder)) for folder in experts}
    tuned = {folder.name: opened(str(folder)) for folder in tunes}
    plain = opened(base)
    lines = []
    for name in args.tasks:
        file = written(args.lab / "tasks" / f"{name}.json", args.out / f"{name}.json")
        task = load_task(str(file))
        models = {
            "base": plain,
            "expert": best(adapted, task.dev),
            "main": best(tuned, task.dev),
        }
        prompts = [f"Question: {item.question}" for item in task.test]
        end = plain.tokenizer.eos_token_id
        for row, rule in RULES.items():
            test = right(task.test, write(models, rule, prompts, end))
            lines.append({"method": row, "task": name, "seed": 0, "test": test})
            print(name, row, test.count("1") / len(test), flush=True)
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    args.outcomes.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
