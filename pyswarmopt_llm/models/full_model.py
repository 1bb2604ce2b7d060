"""Whole models as experts: fine-tunes of one base, checked against it by their headers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.models.adapters.compatibility import unique_names
from pyswarmopt_llm.models.adapters.safetensors_file import StoredTensors
from pyswarmopt_llm.models.base import BaseModel, resolve_base
from pyswarmopt_llm.models.files import read_json


@dataclass(frozen=True)
class ModelInfo:
    """A fine-tuned model.

    Attributes:
        name: the expert's name.
        path: its directory.
        tensors: its weights, read on access.
        fingerprint: see `BaseModel.fingerprint`.
    """

    name: str
    path: Path
    tensors: StoredTensors
    fingerprint: str


def inspect_models(specs: Sequence[str], base: BaseModel) -> list[ModelInfo]:
    """The models, checked to have the base's architecture and weights of the same names and shapes.

    Args:
        specs: model directories or hub ids.
        base: the model from which they were fine-tuned.

    Raises:
        UserError: a model does not fit.
    """
    architecture = read_json(base.path / "config.json").get("model_type")
    expected = StoredTensors(base.weight_files).shapes
    found = []
    for spec, name in zip(specs, unique_names(specs), strict=True):
        if (user_path(spec) / "adapter_config.json").is_file():
            raise UserError(f"{name}: is an adapter, not a whole model; use --space factor or delta")
        model = resolve_base(spec)
        theirs = read_json(model.path / "config.json").get("model_type")
        if theirs != architecture:
            raise UserError(f"{name}: is a {theirs} model, the base {base.spec} a {architecture}; remove it")
        tensors = StoredTensors(model.weight_files)
        for weight, shape in expected.items():
            mine = tensors.shapes.get(weight)
            if mine != shape:
                what = "lacks it" if mine is None else f"has it as {' x '.join(map(str, mine))}"
                raise UserError(
                    f"{name}: the base has {weight} of shape {' x '.join(map(str, shape))}, this model {what}; "
                    "only fine-tunes of the base can be mixed"
                )
        found.append(ModelInfo(name, model.path, tensors, model.fingerprint))
    return found
