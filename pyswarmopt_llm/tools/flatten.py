"""Approximates an adapter of any kind that PEFT can merge by the nearest plain LoRA.

PEFT's merged weights minus the base's decide: PEFT's own `convert_to_lora` drops DoRA's magnitudes and
what PiSSA takes from the base. Each changed parameter is applied (cut by SVD), counted as lost, or
refused by name.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.adapter import (
    OTHER_WAY,
    NotPlain,
    adapter_folder,
    adapter_headers,
    read_adapter,
    read_config,
)
from pyswarmopt_llm.experts.base import (
    BaseModel,
    Skeleton,
    empty_model,
    load_model,
    refuse_quantised,
    skeleton,
)
from pyswarmopt_llm.experts.compatibility import in_words
from pyswarmopt_llm.experts.files import PREFIX
from pyswarmopt_llm.experts.pretrained import quiet_bitsandbytes
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.experts.truncate import truncate_dense


@dataclass(frozen=True)
class Loss:
    """Loss from a smaller rank.

    Attributes:
        whole: relative Frobenius error over all parameters.
        left_out: parameters whose change no LoRA of linear layers can hold; they count as lost.
    """

    whole: float
    left_out: tuple[str, ...] = ()


def is_plain(spec: str) -> bool:
    """Whether an adapter is plain LoRA; other faults are found later."""
    try:
        read_adapter(spec)
    except NotPlain:
        return False
    except UserError:
        return True
    return True


def flatten(spec: str, base: BaseModel, rank: float) -> tuple[dict[str, LowRank], Loss]:
    """The nearest plain LoRA with a given rank to an adapter of any kind that PEFT can merge.

    PEFT's weights minus the base's weights are cut by SVD (see `truncate`), one layer at a time in
    float32; memory holds the base twice.

    Args:
        spec: an adapter's directory or hub id.
        base: base with plain weights.
        rank: rank of each module; for a share see `truncate_dense`.

    Returns:
        Weight -> its change, scale included; and the loss.

    Raises:
        UserError: see `check_flat`.
    """
    modules = check_flat(spec, base)
    model, _ = load_model(base, stored_dtype(StoredTensors(base.weight_files)))
    parameters = model.named_parameters(remove_duplicate=False)
    before = {name: value.detach().clone() for name, value in parameters}
    load_by_peft(model, adapter_folder(spec))
    changes: dict[str, LowRank] = {}
    left_out = []
    lost = total = 0.0
    for name, change in _changes(model, before):
        square = float(change.square().sum(dtype=torch.float64))
        total += square
        if name.removesuffix(".weight") not in modules.linear:
            left_out.append(name)
            lost += square
            continue
        changes[name], cut, _ = truncate_dense(change, rank)
        lost += cut
    if not changes:
        raise UserError(f"{spec}: changes no linear layer of {base.spec}; {OTHER_WAY}")
    return changes, Loss(math.sqrt(lost / total), tuple(left_out))


def stored_dtype(stored: StoredTensors) -> torch.dtype:
    """The dtype of a model's largest weight."""
    largest = max(stored, key=lambda name: math.prod(stored.shapes[name]))
    return stored.dtype(largest)


def check_flat(spec: str, base: BaseModel) -> Skeleton:
    """Refuse adapters that `flatten` cannot make plain, by names and shapes only.

    Returns:
        The base's modules.

    Raises:
        UserError: the base is packed, PEFT does not load the adapter, ignores part of it, or it
            changes no linear layer.
    """
    refuse_quantised(base)
    folder = adapter_folder(spec)
    read_config(folder / "adapter_config.json", plain=False)
    adapter_headers(folder)
    modules = skeleton(base)
    model = empty_model(base)
    unplaced = load_by_peft(model, folder, low_cpu_mem_usage=True)
    if unplaced:
        raise UserError(
            f"{spec}: {base.spec} has no {in_words(unplaced)}, which it changes: PEFT leaves that "
            "out; give the model that it was trained on, or remove those tensors from its file"
        )
    if not any(path in modules.linear for path, _ in _adapted(model)):
        raise UserError(f"{spec}: changes no linear layer of {base.spec}; {OTHER_WAY}")
    return modules


def _adapted(model: Any) -> Iterator[tuple[str, Any]]:
    """The modules that PEFT has replaced, by name, none inside another."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    last = None
    for path, module in model.named_modules():
        inside = last is not None and path.startswith(f"{last}.")
        if not inside and isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper):
            last = path
            yield path, module


def _changes(model: Any, before: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Parameter -> its non-zero change by the adapter, float32.

    Modules are merged as copies: if two share a parameter, each has its own change, as in PEFT.

    Raises:
        UserError: the adapter adds a parameter that the base does not have.
    """
    adapted = dict(_adapted(model))
    inside = tuple(f"{path}." for path in adapted)
    for name, parameter in model.named_parameters():
        if not name.startswith(inside):
            yield from _change(name, parameter, before)
    for path, module in adapted.items():
        merged = _merged(copy.deepcopy(module).float())
        for key, parameter in merged.named_parameters():
            yield from _change(f"{path}.{key}", parameter, before)


def _change(
    name: str, parameter: Tensor, before: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    change = parameter.detach().float()
    if name in before:
        change = change - before[name].float()
    elif not name.endswith(".bias"):
        raise UserError(f"{name}: the adapter adds it to the base, which no LoRA can hold")
    if change.any():
        yield name, change


def _merged(module: Any) -> Any:
    """A module of the base, merged with PEFT's changes."""
    if hasattr(module, "unload_and_optionally_merge_module"):
        return module.unload_and_optionally_merge_module(
            merge=True, safe_merge=False, adapter_names=None
        )
    layer = module.get_base_layer()
    if any(getattr(module, "lora_bias", {}).values()) and layer.bias is None:
        layer.bias = torch.nn.Parameter(torch.zeros(layer.out_features))  # PEFT merges into a bias
    module.merge()
    return layer


def load_by_peft(model: Any, folder: Path, **options: Any) -> list[str]:
    """Load an adapter into a model by PEFT, which wraps the model's layers.

    Args:
        model: base.
        folder: directory of the adapter.
        options: options of ``PeftModel.from_pretrained``.

    Returns:
        The tensors of the file that PEFT ignores.

    Raises:
        UserError: PEFT does not load it.
    """
    quiet_bitsandbytes()  # peft imports it if installed
    import peft

    device = "cpu" if model.device.type == "meta" else str(model.device)
    options |= {"torch_device": device}
    try:
        # It initialises missing tensors at random, and warns.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
            adapted = peft.PeftModel.from_pretrained(model, folder, **options).eval()
            # Again, for its return value, which `from_pretrained` does not return.
            found = adapted.load_adapter(folder, "default", **options)
    except Exception as error:  # any error that a configuration causes
        if out_of_memory(error):
            raise
        raise UserError(
            f"PEFT does not load it ({_reason(error)}); export it again, or give the model that it "
            "was trained on, with its added tokens"
        ) from error
    return [key.removeprefix(PREFIX) for key in found.unexpected_keys]


def _reason(error: Exception) -> str:
    """PEFT's message; of errors with a list, the first entry."""
    first, *rest = str(error).strip().splitlines() or [""]
    return rest[0].strip() if first.endswith(":") and rest else first_line(error)
