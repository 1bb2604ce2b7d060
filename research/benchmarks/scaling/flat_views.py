#!/usr/bin/env python3
"""What a flat view of a model's weights costs beside a copy of them: bytes and microseconds.

A swarm's particle is one vector. `FlatView.views` shows it as named tensors that share its memory;
without it the vector is cut up and each piece copied, one set of weights per particle.
The shapes are those of transformers of several widths; times are the least of several repeats. A line
of the outcomes is a width.

    python research/benchmarks/scaling/flat_views.py --outcomes research/evidence/flat-views.jsonl
"""

from __future__ import annotations

import argparse
import json
import timeit
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor

import pyswarmopt as pso

LAYERS, REPEATS = 12, 7


def weights(width: int) -> dict[str, Tensor]:
    """Matrices of a transformer of this width: attention, and a layer four times as wide."""
    shapes = {"q": 1, "k": 1, "v": 1, "o": 1, "up": 4, "down": 4}
    return {
        f"{layer}.{name}": torch.zeros(width, width * times)
        for layer in range(LAYERS)
        for name, times in shapes.items()
    }


def new_bytes(named: Mapping[str, Tensor], vector: Tensor) -> int:
    """Bytes of the tensors' memory that is not the vector's."""
    own = {tensor.untyped_storage().data_ptr(): tensor for tensor in named.values()}
    own.pop(vector.untyped_storage().data_ptr(), None)
    return sum(tensor.untyped_storage().nbytes() for tensor in own.values())


def copied(layout: pso.FlatView, vector: Tensor) -> dict[str, Tensor]:
    """The vector cut up, each piece a tensor of its own."""
    return {
        name: vector[layout.spans[name]].clone().view(layout.shapes[name]) for name in layout.names
    }


def least(call: Callable[[], object]) -> float:
    """Microseconds of CPU time."""
    return min(timeit.repeat(call, timer=process_time, number=1, repeat=REPEATS)) * 1e6


def row(width: int) -> dict[str, Any]:
    """Bytes and microseconds of both ways."""
    tensors = weights(width)
    layout = pso.FlatView(tensors)
    vector = layout.flatten(tensors)
    found: dict[str, Any] = {"width": width, "weights": layout.size, "tensors": len(tensors)}
    for name, way in (
        ("view", partial(layout.views, vector)),
        ("copy", partial(copied, layout, vector)),
    ):
        found[name] = {"bytes": new_bytes(way(), vector), "microseconds": round(least(way))}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 384, 768])
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    args = parser.parse_args()
    torch.set_num_threads(1)
    made = [json.dumps(row(width)) for width in args.widths]
    args.outcomes.write_text("".join(f"{line}\n" for line in made), encoding="utf-8")


if __name__ == "__main__":
    main()
