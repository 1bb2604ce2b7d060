"""Whole models fine-tuned from one base: checked by their headers, and written in its format."""

from __future__ import annotations

import filecmp
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.experts.base import BaseModel, load_tokenizer, refuse_quantised, resolve_base
from pyswarmopt_llm.experts.compatibility import unique_names
from pyswarmopt_llm.experts.files import model_files
from pyswarmopt_llm.experts.safetensors_file import StoredTensors, read_header, require_finite

_DAMAGED = "check the models' weights; one is damaged, or the sum is too large for the base's dtype"
# Files beside the weights that make a loadable model.
_COMPANIONS = frozenset({".json", ".jinja", ".model", ".txt"})


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
    refuse_quantised(base)
    expected = StoredTensors(base.weight_files).shapes
    found = []
    for spec, name in zip(specs, unique_names(specs), strict=True):
        if (user_path(spec) / "adapter_config.json").is_file():
            raise UserError(
                f"{name} is an adapter, not a whole model; set `space` to factor or delta"
            )
        model = resolve_base(spec)
        refuse_quantised(model)
        if model.model_type != base.model_type:
            raise UserError(
                f"{name} has model type {model.model_type}, but {base.spec} has {base.model_type}; "
                "remove the model"
            )
        tensors = StoredTensors(model.weight_files)
        _check_weights(name, tensors, base, expected)
        _check_tokens(name, model, base)
        found.append(ModelInfo(name, model.path, tensors, model.fingerprint))
    return found


def _check_weights(
    name: str, tensors: StoredTensors, base: BaseModel, expected: Mapping[str, Sequence[int]]
) -> None:
    """Refuse a model that lacks a weight of the base, or has it in another shape, or has more."""
    for weight in sorted(expected.keys() | tensors.shapes):
        here = expected.get(weight)
        there = tensors.shapes.get(weight)
        if here != there and not (here is None and _is_copy(tensors, weight, expected)):
            raise UserError(
                f"{name}: the shape of {weight} is {there or 'missing'}, but "
                f"{here or 'missing'} in the base model {base.spec}; "
                "use only models fine-tuned from that base model"
            )


def _check_tokens(name: str, model: BaseModel, base: BaseModel) -> None:
    """Refuse a model whose tokenizer gives a token of the base another number: its rows of embeddings
    are of other tokens, whatever their shape.
    """
    if not (_has_tokenizer(model) and _has_tokenizer(base)) or _same_tokenizer(model, base):
        return
    theirs = load_tokenizer(model).get_vocab()
    for token, number in load_tokenizer(base).get_vocab().items():
        if theirs.get(token, number) != number:
            raise UserError(
                f"{name}: its tokenizer gives {token!r} the number {theirs[token]}, but that of "
                f"{base.spec} {number}, so their embeddings are of different tokens; use only models "
                "fine-tuned from that base model"
            )


def _has_tokenizer(model: BaseModel) -> bool:
    names = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
    return any((model.path / name).is_file() for name in names)


def _same_tokenizer(model: BaseModel, base: BaseModel) -> bool:
    """Whether both have the same tokenizer.json."""
    theirs, ours = (each.path / "tokenizer.json" for each in (model, base))
    return theirs.is_file() and ours.is_file() and filecmp.cmp(theirs, ours, shallow=False)


def _is_copy(tensors: StoredTensors, name: str, expected: Mapping[str, Sequence[int]]) -> bool:
    """Whether a tensor is no weight, or a second copy of a shared one."""
    alike = (other for other in expected if expected[other] == tensors.shapes[name])
    return not name.endswith(".weight") or any(
        torch.equal(tensors[other], tensors[name]) for other in alike
    )


def write_model(base: BaseModel, values: Mapping[str, Tensor], folder: Path) -> None:
    """Write a model in the base's own files, one of them in memory at a time.

    Args:
        base: base; the model takes its configuration, its tokenizer, and which file has which weight.
        values: weight of the base -> its new value in the base's dtype; may be
            `interfaces.Computed`.
        folder: an empty directory of ours.

    Raises:
        UserError: see `copy_companions`.
    """
    copy_companions(base, folder)
    files: dict[str, str] = {}
    for file in base.weight_files:
        names = [name for name in read_header(file) if name in values]
        if names:
            part = {name: values[name].contiguous() for name in names}
            require_finite(f"the mixture for {base.spec}", part.items(), _DAMAGED)
            save_file(part, folder / file.name, {"format": "pt"})
            files |= dict.fromkeys(names, file.name)
    text = json.dumps({"metadata": {}, "weight_map": files}, indent=2)
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def copy_companions(base: BaseModel, folder: Path) -> None:
    """Copy the files beside a base's weights.

    Raises:
        UserError: a file links out of the base's directory: it could lead anywhere, and models get
            published.
    """
    home = base.path.resolve()
    if home.parent.name == "snapshots":  # the hub's cache, whose files are links to blobs/
        home = home.parent.parent
    for file in model_files(base.path):
        if file.suffix not in _COMPANIONS or file.name.endswith(".index.json"):
            continue
        if not file.resolve().is_relative_to(home):
            raise UserError(
                f"{file} is a link to a file outside {base.spec}, which would be copied; replace "
                "the link with the file, or remove it"
            )
        copy = folder / file.relative_to(base.path)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)
