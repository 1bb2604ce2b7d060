"""A trained glue between two frozen models in the laboratory.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/glue.py --lab runs/lab --outcomes research/evidence/glue.jsonl

Bansal et al. 2024 (arXiv 2401.02412, CALM): at some layers the hidden states of an augmenting model
are projected to the width of the anchor, and the anchor's attend to them; what comes of it is added
to the anchor's. Projection and attention are trained, both models are frozen. Here both are
fine-tunes of all weights with three skills each, glued behind every second layer, and the glue is trained on
right answers to questions of all six skills. Beside it: each model, the mean of their probabilities,
the same glue with the anchor in the place of the augmenting model, and the anchor with all its weights
trained on the same questions as long. A line is a method and a seed: 1 for each right answer to 500
questions.
"""

from __future__ import annotations

import argparse
import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import torch
from chats import encode_chat
from frozen import LONGEST, Encoded, LogitsOf, correct, loss, share
from lab import FULL
from lab_skills import chats, items
from torch import Tensor, nn

STEPS, BATCH, RATE, EXAMPLES, HEADS = 120, 50, 2e-3, 1000, 4
ANCHOR, AUGMENTING = "places", "rest"
SKILLS = [*FULL[ANCHOR], *FULL[AUGMENTING]]


class Glue(nn.Module):
    """Attention of one model's hidden states to those of another, which adds nothing at first.

    Args:
        anchor: width of the model that attends.
        augmenting: width of the other one.
    """

    def __init__(self, anchor: int, augmenting: int) -> None:
        super().__init__()
        self.project = nn.Linear(augmenting, anchor)
        self.norm = nn.LayerNorm(anchor)
        self.attend = nn.MultiheadAttention(anchor, HEADS, batch_first=True)
        nn.init.zeros_(self.attend.out_proj.weight)
        nn.init.zeros_(self.attend.out_proj.bias)

    def forward(self, ours: Tensor, theirs: Tensor, hidden_from: Tensor) -> Tensor:
        """(N, T, anchor): what is added. `hidden_from` is true where a token may not look, (N, T, T)."""
        seen = self.project(theirs)
        mask = hidden_from.repeat_interleave(HEADS, 0)
        added: Tensor = self.attend(
            self.norm(ours), seen, seen, attn_mask=mask, need_weights=False
        )[0]
        return added


class Glued:
    """Two frozen models of transformers as one; padding is on the left.

    Args:
        anchor: whose logits count.
        augmenting: whose hidden states are attended to.
        layers: behind which of the layers.
    """

    def __init__(self, anchor: Any, augmenting: Any, layers: tuple[int, ...]) -> None:
        self.anchor, self.augmenting = (
            anchor.requires_grad_(False),
            augmenting.requires_grad_(False),
        )
        widths = anchor.config.hidden_size, augmenting.config.hidden_size
        self.glue = nn.ModuleDict({str(layer): Glue(*widths) for layer in layers})
        self._hidden_from = torch.zeros(0)

    def __call__(self, inputs: Any) -> Tensor:
        """Logits."""
        mask = inputs["attention_mask"].bool()
        later = torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool).triu(1)
        # a token always sees itself, so that padding has something to attend to
        itself = torch.eye(mask.shape[1], dtype=torch.bool)
        self._hidden_from = (later | ~mask[:, None, :]) & ~itself
        with torch.no_grad():
            states = self.augmenting(**inputs, output_hidden_states=True).hidden_states
        hooks = [
            self.anchor.model.layers[int(layer)].register_forward_hook(
                partial(self._adds, glue, states[int(layer) + 1])
            )
            for layer, glue in self.glue.items()
        ]
        logits: Tensor = self.anchor(**inputs).logits
        for hook in hooks:
            hook.remove()
        return logits

    def _adds(self, glue: Glue, theirs: Tensor, _: Any, __: Any, out: Any) -> Any:
        ours = out[0] if isinstance(out, tuple) else out
        changed = ours + glue(ours, theirs, self._hidden_from)
        return (changed, *out[1:]) if isinstance(out, tuple) else changed


def train(
    logits_of: LogitsOf, parameters: Any, encoded: Encoded, pad: int, rate: float, seed: int
) -> None:
    """Minimise the loss of right answers."""
    rng, optimizer = random.Random(seed), torch.optim.AdamW(parameters, lr=rate)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 20)
        optimizer.zero_grad()
        loss(logits_of, rng.sample(list(encoded), BATCH), pad).backward()
        optimizer.step()


def plain(model: Any, inputs: Any) -> Tensor:
    """Logits of a model."""
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

    tokenizer = AutoTokenizer.from_pretrained(options.lab / "base")
    pad = tokenizer.pad_token_id
    test = items(SKILLS, "test", 500, 9)
    lines: list[str] = []

    def loaded(name: str) -> Any:
        return AutoModelForCausalLM.from_pretrained(options.lab / "full" / name).eval()

    def noted(method: str, seed: int, logits_of: LogitsOf) -> None:
        answers = correct(logits_of, tokenizer, test)
        print(method, seed, f"{share(answers):.3f}", flush=True)
        lines.append(json.dumps({"method": method, "seed": seed, "test": answers}))

    anchor, augmenting = loaded(ANCHOR), loaded(AUGMENTING)
    layers = tuple(range(1, anchor.config.num_hidden_layers, 2))
    noted("the anchor", 0, partial(plain, anchor))
    noted("the augmenting model", 0, partial(plain, augmenting))
    both = (anchor, augmenting)
    noted("mean of their probabilities", 0, lambda inputs: mean_of(both, inputs))
    for seed in options.seeds:
        encoded = encode_chat(tokenizer, chats(SKILLS, EXAMPLES, 700 + seed), LONGEST)
        for method, other in (("glue", AUGMENTING), ("glue to the anchor itself", ANCHOR)):
            torch.manual_seed(seed)
            glued = Glued(loaded(ANCHOR), loaded(other), layers)
            train(glued, glued.glue.parameters(), encoded, pad, RATE, seed)
            noted(method, seed, glued)
        tuned = loaded(ANCHOR)
        train(partial(plain, tuned), tuned.parameters(), encoded, pad, 5e-4, seed)
        noted("the anchor, all weights trained", seed, partial(plain, tuned))
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


def mean_of(models: Any, inputs: Any) -> Tensor:
    """Logarithms of the mean of the models' probabilities."""
    said = torch.stack([plain(model, inputs).softmax(-1) for model in models])
    return said.mean(0).log()


if __name__ == "__main__":
    main()
