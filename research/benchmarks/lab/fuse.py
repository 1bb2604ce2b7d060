"""Knowledge fusion in the laboratory: several models distilled into one.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/fuse.py --lab runs/lab --outcomes research/evidence/fuse.jsonl

Wan et al. 2024 (arXiv 2401.10491, FuseLLM): of each text the distributions of that teacher count
which has the smallest cross-entropy on it (MinCE), and the student, the base with all its weights,
minimises lambda L_CLM + (1 - lambda) L_fusion with lambda = 0.9. Here the teachers are three
fine-tunes of all weights with three skills each, which share the base's vocabulary, so that no
tokens are aligned, and losses are over the tokens of the answers. L_fusion is the cross-entropy to
the teachers' distribution, whose gradient is that of the divergence. Beside it: the same with the
one teacher that is best on dev; the right answers alone, as long; and lambda = 0, teachers without
right answers. A line is a method and a seed: 1 for each right answer to 500 questions of all nine
skills.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from chats import ChatTokens, encode_chat, left_padded
from frozen import LONGEST, correct, share
from lab import FULL
from lab_skills import chats, items
from torch import Tensor

STEPS, BATCH, RATE, EXAMPLES = 60, 64, 5e-4, 3840  # of a fine-tune of the laboratory
PAPER = 0.9  # lambda
SKILLS = [skill for kinds in FULL.values() for skill in kinds]
Teachers = Sequence[Any]
Batch = tuple[Any, Tensor, Tensor, Tensor]
"""Inputs, which tokens are answers, their targets, and whose they are."""


def fused(losses: Tensor, owners: Tensor, distributions: Tensor) -> Tensor:
    """MinCE: of each text the distributions of the teacher with the smallest mean loss on it.

    Args:
        losses: (teachers, tokens), of the right tokens.
        owners: (tokens,), which text a token belongs to.
        distributions: (teachers, tokens, vocabulary).

    Example:
        >>> losses = torch.tensor([[1.0, 2.0, 5.0], [2.0, 2.0, 0.0]])
        >>> told = torch.eye(3).expand(2, 3, 3) * torch.tensor([1.0, 2.0])[:, None, None]
        >>> fused(losses, torch.tensor([0, 0, 1]), told).diagonal().tolist()
        [1.0, 1.0, 2.0]
    """
    texts = int(owners.max()) + 1
    sums = losses.new_zeros(len(losses), texts).index_add(1, owners, losses)
    chosen = sums.argmin(0)[owners]
    return distributions[chosen, torch.arange(len(owners))]


def alone(teacher: int, losses: Tensor, owners: Tensor, distributions: Tensor) -> Tensor:
    """One teacher, whatever its losses."""
    return distributions[teacher]


def batch_of(encoded: Sequence[ChatTokens], pad: int) -> Batch:
    """A batch of chats."""
    inputs, answers = left_padded(encoded, pad)
    answers = answers[:, 1:]
    return inputs, answers, inputs["input_ids"][:, 1:][answers], answers.nonzero()[:, 0]


def logits_of(model: Any, batch: Batch) -> Tensor:
    """(tokens of answers, vocabulary)."""
    logits: Tensor = model(**batch[0]).logits[:, :-1][batch[1]]
    return logits


@torch.no_grad()
def taught(
    teachers: Teachers, batch: Batch, fuse: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """What the teachers say of the tokens of a batch, as one distribution a token."""
    said = torch.stack([logits_of(teacher, batch).log_softmax(-1) for teacher in teachers])
    targets = batch[2].expand(len(said), -1)[..., None]
    return fuse(-said.gather(-1, targets)[..., 0], batch[3], said.exp())


def train(
    base: Path,
    teachers: Teachers,
    fuse: Callable[[Tensor, Tensor, Tensor], Tensor],
    share_of_right: float,
    seed: int,
) -> Any:
    """The student: `share_of_right` is lambda."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    encoded = encode_chat(tokenizer, chats(SKILLS, EXAMPLES, 500 + seed), LONGEST)
    rng = random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50)
        batch = batch_of(rng.sample(encoded, BATCH), tokenizer.pad_token_id)
        logits = logits_of(model, batch)
        loss = share_of_right * torch.nn.functional.cross_entropy(logits, batch[2])
        if share_of_right < 1:
            told = taught(teachers, batch, fuse)
            loss = loss + (1 - share_of_right) * torch.nn.functional.cross_entropy(logits, told)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def _logits(model: Any, inputs: Any) -> Tensor:
    logits: Tensor = model(**inputs).logits
    return logits


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = options.lab / "base"
    tokenizer = AutoTokenizer.from_pretrained(base)
    dev, test = items(SKILLS, "dev", 200, 5), items(SKILLS, "test", 500, 5)
    teachers = [
        AutoModelForCausalLM.from_pretrained(options.lab / "full" / name).eval() for name in FULL
    ]
    lines: list[str] = []

    def noted(method: str, seed: int, model: Any) -> None:
        answers = correct(partial(_logits, model), tokenizer, test)
        print(method, seed, f"{share(answers):.3f}", flush=True)
        lines.append(json.dumps({"method": method, "seed": seed, "test": answers}))

    noted("base", 0, AutoModelForCausalLM.from_pretrained(base).eval())
    on_dev = [share(correct(partial(_logits, model), tokenizer, dev)) for model in teachers]
    best = on_dev.index(max(on_dev))
    noted("best teacher", 0, teachers[best])
    ways = {
        "right answers alone": (fused, 1.0),
        "fused, lambda 0.9": (fused, PAPER),
        "best teacher alone, lambda 0.9": (partial(alone, best), PAPER),
        "fused, lambda 0": (fused, 0.0),
        "best teacher alone, lambda 0": (partial(alone, best), 0.0),
    }
    for seed in options.seeds:
        for method, (fuse, right) in ways.items():
            noted(method, seed, train(base, teachers, fuse, right, seed))
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
