"""Permutation alignment in the laboratory: two models whose units stand in another order, averaged
before and after the units of one are matched to the other's.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/permuted.py --lab runs/lab --out runs/permuted \\
        --outcomes research/evidence/permuted.jsonl

Ainsworth et al. 2023 (arXiv 2209.04836, Git Re-Basin), matching by weights, Algorithm 1: each group
of units gets the order with the largest inner product with the other model's weights, a linear
assignment, one group after the other until nothing changes. Groups of a Llama: the residual stream,
each layer's hidden units, and each layer's heads as blocks, since rotary positions fix what is inside
of one. Pairs: a fine-tune of all weights and another one whose units are permuted at random; and two
bases of different initial weights, trained alike. The loss is that of right answers to 500 held-out
questions. A line is a pair, a seed and a way: the losses on the way from one model to the other, and
for each question whether the average of both is right among four options.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from frozen import correct, loss, right_answers, share
from lab import FULL, SINGLES, make_base
from lab_skills import items
from scipy.optimize import linear_sum_assignment
from torch import Tensor

QUESTIONS, STEPS = 500, 160
WAY = np.linspace(0, 1, 7)
Weights = Mapping[str, Tensor]
Orders = dict[str, Tensor]
"""Group -> the order of its units."""


@dataclass(frozen=True)
class Place:
    """Where a group's units are: an axis of a parameter, in blocks of so many rows."""

    parameter: str
    axis: int
    group: str
    block: int = 1


def places(config: Any) -> list[Place]:
    """All places of the groups of a Llama with tied embeddings."""
    found = [
        Place("model.embed_tokens.weight", 1, "stream"),
        Place("model.norm.weight", 0, "stream"),
    ]
    wide = config.hidden_size // config.num_attention_heads
    for number in range(config.num_hidden_layers):
        layer = f"model.layers.{number}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            found.append(Place(f"{layer}.{norm}.weight", 0, "stream"))
        for name in ("q_proj", "k_proj", "v_proj"):
            found.append(Place(f"{layer}.self_attn.{name}.weight", 1, "stream"))
            found.append(Place(f"{layer}.self_attn.{name}.weight", 0, f"heads {number}", wide))
        found.append(Place(f"{layer}.self_attn.o_proj.weight", 0, "stream"))
        found.append(Place(f"{layer}.self_attn.o_proj.weight", 1, f"heads {number}", wide))
        for name in ("gate_proj", "up_proj"):
            found.append(Place(f"{layer}.mlp.{name}.weight", 1, "stream"))
            found.append(Place(f"{layer}.mlp.{name}.weight", 0, f"units {number}"))
        found.append(Place(f"{layer}.mlp.down_proj.weight", 0, "stream"))
        found.append(Place(f"{layer}.mlp.down_proj.weight", 1, f"units {number}"))
    return found


def ordered(weights: Weights, of: Sequence[Place], orders: Orders, without: str = "") -> Weights:
    """The weights with all groups but one in new orders."""
    found = dict(weights)
    for place in of:
        if place.group in orders and place.group != without:
            block = torch.arange(place.block)
            rows = (orders[place.group][:, None] * place.block + block).flatten()
            found[place.parameter] = found[place.parameter].index_select(place.axis, rows)
    return found


def sizes(weights: Weights, of: Sequence[Place]) -> dict[str, int]:
    """Group -> number of its units."""
    return {place.group: weights[place.parameter].shape[place.axis] // place.block for place in of}


def matched(fixed: Weights, moved: Weights, of: Sequence[Place], rng: random.Random) -> Orders:
    """The orders of the units of `moved` that bring it closest to `fixed`, a local optimum."""
    counts = sizes(fixed, of)
    orders: Orders = {group: torch.arange(count) for group, count in counts.items()}
    changed = True
    while changed:
        changed = False
        for group in rng.sample(sorted(counts), len(counts)):
            others = ordered(moved, of, orders, without=group)
            gain = torch.zeros(counts[group], counts[group])
            for place in of:
                if place.group == group:
                    gain += (
                        _rows(fixed, place, counts[group]) @ _rows(others, place, counts[group]).T
                    )
            best = torch.from_numpy(linear_sum_assignment(gain.numpy(), maximize=True)[1])
            here = torch.arange(counts[group])
            if gain[here, best].sum() > gain[here, orders[group]].sum() + 1e-4:
                orders[group], changed = best, True
    return orders


def _rows(weights: Weights, place: Place, count: int) -> Tensor:
    """The weights of each unit of a place as a row."""
    return weights[place.parameter].movedim(place.axis, 0).reshape(count, -1)


def shuffled(weights: Weights, of: Sequence[Place], seed: int) -> Weights:
    """The same function, with its units in another order."""
    draws = torch.Generator().manual_seed(seed)
    return ordered(
        weights,
        of,
        {group: torch.randperm(n, generator=draws) for group, n in sizes(weights, of).items()},
    )


def barrier(losses: Sequence[float]) -> float:
    """The largest loss on the way above the straight line between its ends (Frankle et al. 2020).

    Example:
        >>> barrier([1.0, 3.0, 2.0]), barrier([1.0, 1.2, 2.0])
        (1.5, 0.0)
    """
    line = np.linspace(losses[0], losses[-1], len(losses))
    return round(max(0.0, float((np.array(losses) - line).max())), 6)


def between(first: Weights, second: Weights, share_of_second: float) -> Weights:
    """The weights on the way."""
    return {name: torch.lerp(first[name], second[name], share_of_second) for name in first}


def other_base(path: Path) -> None:
    """A base of other initial weights, trained as the laboratory's is."""

    def drawn(tokenizer: Any) -> Any:
        from lab import new_model

        model = new_model(tokenizer)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model.apply(model._init_weights)
        return model

    make_base(path, STEPS, drawn)


def measured(model: Any, tokenizer: Any, first: Weights, second: Weights) -> dict[str, Any]:
    """Losses on the way, its barrier, and the answers of the average."""
    asked = items(SINGLES, "test", QUESTIONS, 3)
    chats = right_answers(tokenizer, asked)
    losses = []
    for part in WAY:
        model.load_state_dict(between(first, second, float(part)), strict=False)
        with torch.no_grad():
            losses.append(float(loss(partial(_logits, model), chats, tokenizer.pad_token_id)))
    model.load_state_dict(between(first, second, 0.5), strict=False)
    return {
        "losses": [round(value, 4) for value in losses],
        "barrier": barrier(losses),
        "test": correct(partial(_logits, model), tokenizer, asked),
    }


def _logits(model: Any, inputs: Any) -> Tensor:
    logits: Tensor = model(**inputs).logits
    return logits


def weights_of(folder: Path) -> Weights:
    """All parameters of a model, the tied ones once."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    return {name: value.detach().clone() for name, value in model.named_parameters()}


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
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(options.lab / "base").eval()
    tokenizer = AutoTokenizer.from_pretrained(options.lab / "base")
    other = options.out / "base"
    if not (other / "config.json").exists():
        other_base(other)
    of, names = places(model.config), list(FULL)[:2]
    one, two = (weights_of(options.lab / "full" / name) for name in names)
    pairs = {
        "fine-tunes": (one, two),
        "bases": (weights_of(options.lab / "base"), weights_of(other)),
    }
    lines = []
    for pair, (first, second) in pairs.items():
        ways: list[tuple[str, int, Weights]] = [("as trained", 0, second)]
        for seed in options.seeds:
            moved = shuffled(second, of, seed)
            orders = matched(first, moved, of, random.Random(seed))
            ways.append(("permuted", seed, moved))
            ways.append(("permuted, then matched", seed, ordered(moved, of, orders)))
        for way, seed, weights in ways:
            row = {"pair": pair, "seed": seed, "method": way}
            row |= measured(model, tokenizer, first, weights)
            lines.append(json.dumps(row))
            print(pair, seed, way, row["barrier"], share(row["test"]), flush=True)
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
