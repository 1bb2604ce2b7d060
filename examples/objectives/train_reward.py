"""Train a small reward model on generated preferences between a long and a short reply.

The backbone is the unchanged embedded SmolLM2-135M. The head is fitted to its last hidden states by
maximising the likelihood of Bradley and Terry (1952), ``P(a preferred to b) = sigmoid(r(a) - r(b))``.
This takes a minute on a CPU:

    python examples/objectives/train_reward.py concise runs/reward-concise
    python examples/objectives/train_reward.py verbose runs/reward-verbose
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm import resolve_base
from pyswarmopt_llm.external.classifiers import RewardModel

TOPICS = (
    "the sea",
    "a good breakfast",
    "chess",
    "the moon",
    "trains",
    "gardening",
    "Paris",
    "volcanoes",
    "bread",
)
ASKED = (
    "What is special about {}?",
    "Tell me about {}.",
    "Why do people like {}?",
    "Give me a fact about {}.",
)
CORE = (
    "There is a lot to say about {}.",
    "Many people find {} interesting.",
    "It depends, but {} is worth a look.",
)
MORE = (
    "To begin with, it has a long history that goes back further than most people think.",
    "On the other hand, there are also some people who see it in quite another way.",
    "It is important to note that details differ from place to place and from time to time.",
    "In addition, there are several books on it that one could read.",
    "All in all, the subject has many sides, and each of them deserves attention.",
)
Pair = tuple[str, str, str]


def preferences(kind: str, n: int, seed: int) -> list[Pair]:
    """Triples (prompt, better reply, worse reply); the replies differ only in length."""
    rng = random.Random(seed)
    found = []
    for _ in range(n):
        topic = rng.choice(TOPICS)
        short = rng.choice(CORE).format(topic)
        long = " ".join([short, *rng.sample(MORE, rng.randint(2, 4))])
        better, worse = (short, long) if kind == "concise" else (long, short)
        found.append((rng.choice(ASKED).format(topic), better, worse))
    return found


def fit(better: torch.Tensor, worse: torch.Tensor, decay: float = 1e-3) -> torch.Tensor:
    """The head, (1, hidden), that maximises the likelihood of the preferences, with weight decay."""
    scale = torch.cat([better, worse]).std(0) + 1e-6
    difference = (better - worse) / scale
    head = torch.zeros(1, difference.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([head], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = (
            -torch.nn.functional.logsigmoid(difference @ head.T).mean()
            + decay * head.square().sum()
        )
        value.backward()
        return value

    optimizer.step(loss)
    return head.detach() / scale


def untrained() -> tuple[Any, Any]:
    """The embedded model with a head that has one output, and its tokenizer."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = resolve_base("embedded:smollm2-135m").path
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=1, dtype=torch.float32
    ).eval()
    model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


@torch.inference_mode()
def last_state(model: Any, tokenizer: Any, prompt: str, reply: str) -> torch.Tensor:
    """The head's input for a reply, (hidden,)."""
    chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
    ids = tokenizer(tokenizer.apply_chat_template(chat, tokenize=False), add_special_tokens=False)[
        "input_ids"
    ]
    state: torch.Tensor = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
    return state


def main(kind: str, out: Path) -> None:
    """Fit the head, check it on held-out preferences, and save the model."""
    model, tokenizer = untrained()
    pairs = {"train": preferences(kind, 60, seed=1), "held out": preferences(kind, 30, seed=2)}
    states = {
        name: [
            torch.stack([last_state(model, tokenizer, prompt, pair[i]) for prompt, *pair in some])
            for i in (0, 1)
        ]
        for name, some in pairs.items()
    }
    head = fit(*states["train"])
    with torch.no_grad():
        model.score.weight.copy_(head)
    for name, (better, worse) in states.items():
        right = ((better - worse) @ head.T > 0).float().mean()
        print(f"{name}: prefers the {kind} reply in {right:.0%} of {len(better)} pairs")
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    RewardModel(str(out))
    print(f"saved; use it with --metric reward:{out}")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("verbose", "concise"):
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]))
