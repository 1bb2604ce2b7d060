"""Whole models: fine-tunes of one base, checked against it by their headers, and writing models
like a base.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.experts.base import BaseModel, refuse_quantised, resolve_base
from pyswarmopt_llm.experts.compatibility import in_digits, unique_names
from pyswarmopt_llm.experts.files import read_json, refuse_unmatched
from pyswarmopt_llm.experts.safetensors_file import DTYPES, StoredTensors

# Files beside the weights that make a loadable model.
_COMPANIONS = ("*.json", "*.jinja", "*.model", "*.txt")


@dataclass(frozen=True)
class ModelInfo:
    """A fine-tuned model.

    Attributes:
        name: name of the expert.
        path: directory of the model.
        tensors: weights, read on access.
        fingerprint: see `BaseModel.fingerprint`.
    """

    name: str
    path: Path
    tensors: StoredTensors
    fingerprint: str


def inspect_models(specs: Sequence[str], base: BaseModel) -> list[ModelInfo]:
    """The models, checked for the base's architecture and its weights' names and shapes.

    Args:
        specs: model directories or hub ids.
        base: common base of the models.

    Raises:
        UserError: a model does not fit, or is quantised.
    """
    refuse_unmatched(specs)
    refuse_quantised(base)
    architecture = read_json(base.path / "config.json").get("model_type")
    expected = StoredTensors(base.weight_files).shapes
    found = []
    for spec, name in zip(specs, unique_names(specs), strict=True):
        if (user_path(spec) / "adapter_config.json").is_file():
            raise UserError(
                f"{name}: is an adapter, not a whole model; use `space` factor or delta"
            )
        model = resolve_base(spec)
        refuse_quantised(model)
        model_type = read_json(model.path / "config.json").get("model_type")
        if model_type != architecture:
            raise UserError(
                f"{name}: is a {model_type} model, the base {base.spec} a {architecture}; remove it"
            )
        tensors = StoredTensors(model.weight_files)
        _check_weights(name, tensors, base, expected)
        found.append(ModelInfo(name, model.path, tensors, model.fingerprint))
    return found


def _check_weights(
    name: str, tensors: StoredTensors, base: BaseModel, expected: Mapping[str, Sequence[int]]
) -> None:
    """Refuse a model that lacks a weight of the base, or has it in another shape, or has more."""
    for weight, shape in expected.items():
        mine = tensors.shapes.get(weight)
        if mine != shape:
            what = "lacks it" if mine is None else f"has it as {in_digits(mine)}"
            raise UserError(
                f"{name}: the base has {weight} of shape {in_digits(shape)}, this model "
                f"{what}; only fine-tunes of the base can be mixed"
            )
    if (extra := _of_its_own(tensors, expected)) is not None:
        raise UserError(
            f"{name}: has {extra}, which the base {base.spec} does not have, and which would be "
            "lost; only fine-tunes of the base can be mixed"
        )


def _of_its_own(tensors: StoredTensors, expected: Mapping[str, Any]) -> str | None:
    """The first weight missing in the base, other than a second copy of a shared weight."""
    for name in sorted(tensors.shapes.keys() - expected.keys()):
        shape = tensors.shapes[name]
        alike = (other for other in expected if expected[other] == shape)
        copied = any(torch.equal(tensors[other], tensors[name]) for other in alike)
        if name.endswith(".weight") and not copied:
            return name
    return None


def write_model(base: BaseModel, values: Mapping[str, Tensor], folder: Path) -> None:
    """Write a model with the base's configuration and tokenizer, one weight in memory at a time.

    Args:
        base: base; the model takes its files, shards and dtypes.
        values: weight of the base -> its new value in the base's dtype; may be
            `interfaces.Computed`.
        folder: an empty directory of ours.

    Raises:
        UserError: see `copy_companions`.
    """
    copy_companions(base, folder)
    stored = StoredTensors(base.weight_files)
    shards: dict[str, list[str]] = defaultdict(list)
    for name in values:
        shards[stored.file_of(name).name].append(name)
    total = 0
    for shard, names in shards.items():
        shapes = {n: stored.shapes[n] for n in names}
        dtypes = {n: stored.dtype(n) for n in names}
        total += write_tensors(folder / shard, shapes, dtypes, values)
    if len(shards) > 1:
        shard_of = {name: shard for shard, names in shards.items() for name in names}
        index = {"metadata": {"total_size": total}, "weight_map": shard_of}
        (folder / "model.safetensors.index.json").write_text(
            json.dumps(index, indent=2), encoding="utf-8"
        )


def copy_companions(base: BaseModel, folder: Path) -> None:
    """Copy the files beside a base's weights.

    Raises:
        UserError: a file links out of the base's directory: it could lead anywhere, and models get
            published.
    """
    home = base.path.resolve()
    if home.parent.name == "snapshots":  # the hub's cache, whose files are links to blobs/
        home = home.parent.parent
    for file in [file for pattern in _COMPANIONS for file in base.path.glob(pattern)]:
        if not file.resolve().is_relative_to(home):
            raise UserError(
                f"{file}: is a link out of {base.spec}, and would be copied with what it leads to; "
                "put the file itself there, or remove the link"
            )
        if file.is_file() and not file.name.endswith(".index.json"):
            shutil.copyfile(file, folder / file.name)


def write_tensors(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, torch.dtype],
    values: Mapping[str, Tensor],
) -> int:
    """Write a safetensors file, byte for byte as the library, with one tensor in memory at a time.

    Args:
        path: file in a directory of ours.
        shapes: name -> shape.
        dtypes: name -> dtype, one of float64, float32, bfloat16 and float16.
        values: name -> tensor with that shape and dtype; may be `interfaces.Computed`.

    Returns:
        The number of bytes of the tensors.
    """
    spelled = {dtype: name for name, dtype in DTYPES.items()}
    rank = {dtype: number for number, dtype in enumerate(spelled)}
    names = sorted(shapes, key=lambda name: (rank[dtypes[name]], name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in names:
        start = end
        end = end + math.prod(shapes[name]) * dtypes[name].itemsize
        header[name] = {
            "dtype": spelled[dtypes[name]],
            "shape": list(shapes[name]),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(values[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return end
