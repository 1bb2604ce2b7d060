"""An adapter of any kind that PEFT can merge, as a plain LoRA: the nearest one of a rank.

What PEFT makes of the base's weights, minus the weights, is cut by SVD (see `truncate`), one
layer at a time in float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.adapter import adapter_folder, read_adapter
from pyswarmopt_llm.experts.base import BaseModel, refuse_quantised
from pyswarmopt_llm.experts.by_peft import load_by_peft, load_stored
from pyswarmopt_llm.experts.config import NotPlain, read_config
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.experts.skeleton import skeleton
from pyswarmopt_llm.experts.truncate import truncate_dense


@dataclass(frozen=True)
class Flattened:
    """A plain LoRA near an adapter.

    Attributes:
        changes: by weight of the base.
        lost: relative Frobenius error over all parameters.
        worst: the module with the largest relative error of its own, and this error.
        left_out: parameters that are changed and no linear weights; they count as lost.
        base_name: as its adapter_config.json states it, else the base's.
    """

    changes: Mapping[str, LowRank]
    lost: float
    worst: tuple[str, float]
    left_out: tuple[str, ...]
    base_name: str


def is_plain(spec: str) -> bool:
    """Whether an adapter need not be flattened; what is wrong otherwise is found later."""
    try:
        read_adapter(spec)
    except NotPlain:
        return False
    except UserError:
        return True
    return True


def flatten(spec: str, base: BaseModel, rank: int) -> Flattened:
    """The nearest plain LoRA of a rank, in memory beside the base as it is stored.

    Args:
        spec: an adapter's directory or hub id.
        base: with plain weights.
        rank: of each module.

    Raises:
        UserError: PEFT does not load it, or it changes no linear layer.
    """
    refuse_quantised(base)
    folder = adapter_folder(spec)
    config = read_config(folder / "adapter_config.json", plain=False)
    modules = skeleton(base)
    config.check_patterns(modules.linear | modules.others.keys())
    linear = {f"{module}.weight" for module in modules.linear}
    stored = StoredTensors(base.weight_files)
    model, _ = load_stored(base)
    load_by_peft(model, folder)
    changes: dict[str, LowRank] = {}
    errors: dict[str, float] = {}
    left_out: list[str] = []
    lost = total = 0.0
    for name, change in _changes(model, stored):
        square = float(change.square().sum(dtype=torch.float64))
        total += square
        if name not in linear:
            left_out.append(name)
            lost += square
            continue
        cut = truncate_dense(change, rank)
        changes[name] = cut.change
        errors[name.removesuffix(".weight")] = math.sqrt(cut.lost / cut.total)
        lost += cut.lost
    if not changes:
        raise UserError(f"{spec}: changes no linear layer of {base.spec}; train it as plain LoRA")
    worst = max(errors, key=errors.__getitem__)
    named = config.base_model_name or base.name
    return Flattened(
        changes, math.sqrt(lost / total), (worst, errors[worst]), tuple(left_out), named
    )


def _changes(model: Any, stored: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Parameter -> what the adapter adds to it, float32, where that is not zero.

    A parameter that two modules share stands for both, under the name in the base's files.
    """
    seen: set[int] = set()
    for name in stored:
        path, _, key = name.rpartition(".")
        module = _merged(model.get_submodule(path))
        parameter = getattr(module, key)
        if id(parameter) in seen:
            continue
        seen.add(id(parameter))
        change = parameter.detach().float() - stored[name].float()
        if change.any():
            yield name, change


def _merged(module: Any) -> Any:
    """A module of the base with what PEFT adds to it, merged in float32."""
    if hasattr(module, "unload_and_optionally_merge_module"):
        return module.float().unload_and_optionally_merge_module(
            merge=True, safe_merge=False, adapter_names=None
        )
    if not hasattr(module, "base_layer"):
        return module
    module.float().merge()
    return module.get_base_layer()
