"""Approximates an adapter of any kind that PEFT can merge by the nearest plain LoRA.

PEFT's change of the base's modules decides. Each changed module is applied (cut by SVD), counted as
lost, or refused by name: nothing of an adapter is ignored silently.
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
from pyswarmopt_llm.experts.compatibility import in_digits, in_words
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


@dataclass(frozen=True)
class Flat:
    """A plain LoRA, and its loss.

    Attributes:
        changes: weight -> its change, scale included.
        loss: loss from the rank, and from changes that no LoRA can hold.
    """

    changes: Mapping[str, LowRank]
    loss: Loss


def is_plain(spec: str) -> bool:
    """Whether an adapter is plain LoRA; other faults are found later."""
    try:
        read_adapter(spec)
    except NotPlain:
        return False
    except UserError:
        return True
    return True


def flatten(spec: str, base: BaseModel, rank: float) -> Flat:
    """The nearest plain LoRA with a given rank to an adapter of any kind that PEFT can merge.

    PEFT's weights minus the base's weights are cut by SVD (see `truncate`), one layer at a time in
    float32, besides the base as stored.

    Args:
        spec: an adapter's directory or hub id.
        base: base with plain weights.
        rank: rank of each module; for a share see `truncate_dense`.

    Raises:
        UserError: see `check_flat`.
    """
    modules = check_flat(spec, base)
    folder = adapter_folder(spec)
    stored = StoredTensors(base.weight_files)
    model, _ = load_model(base, stored_dtype(stored))
    before = _Original(model, stored)
    load_by_peft(model, folder)
    changes: dict[str, LowRank] = {}
    left_out: list[str] = []
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
    return Flat(changes, Loss(math.sqrt(lost / total), tuple(left_out)))


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
    config = read_config(folder / "adapter_config.json", plain=False)
    modules = skeleton(base)
    config.check_patterns(modules.linear | modules.others.keys())
    _refuse_other_sizes(folder, base, modules)
    model = empty_model(base)
    unplaced = load_by_peft(model, folder, low_cpu_mem_usage=True)
    if unplaced:
        task = str(getattr(config.peft.task_type, "value", config.peft.task_type))
        why = "" if task in ("CAUSAL_LM", "None") else f" (its task_type is {task})"
        raise UserError(
            f"{spec}: {base.spec} has no {in_words(unplaced)}, which it changes{why}: PEFT leaves "
            "that out; give the model that it was trained on, or remove those tensors from its file"
        )
    if not any(path in modules.linear for path, _ in _adapted(model)):
        raise UserError(f"{spec}: changes no linear layer of {base.spec}; {OTHER_WAY}")
    return modules


def _refuse_other_sizes(folder: Path, base: BaseModel, modules: Skeleton) -> None:
    """Refuse whole weights whose size differs in this base, for example because of added tokens.

    Raises:
        UserError: names the first one.
    """
    for key, header in adapter_headers(folder).items():
        name = key.removeprefix(PREFIX).replace(".base_layer.", ".")
        module = name.rpartition(".")[0]
        here = modules.shapes.get(name) or modules.shapes.get(f"{module}.weight")
        if ".lora_" in name or here is None or not name.endswith(".weight") or here == header.shape:
            continue
        sizes = f"{in_digits(header.shape)}, in {base.spec} {in_digits(here)}"
        raise UserError(
            f"{folder}: has {name} of shape {sizes}: the vocabularies (first numbers) or sizes "
            "differ; give the model that it was trained on, with its added tokens "
            "(resize_token_embeddings, then save_pretrained)"
        )


class _Original:
    """The base's parameters by name, float32.

    Parameters that its files hold under the same name with the same values are read from there; the
    others (other names, fused experts, another dtype) are copied.
    """

    def __init__(self, model: Any, stored: StoredTensors) -> None:
        self._stored = stored
        first = {id(parameter): name for name, parameter in model.named_parameters()}
        every = model.named_parameters(remove_duplicate=False)
        self._names = {name: first[id(parameter)] for name, parameter in every}
        self._copies = {
            name: parameter.detach().clone()
            for name, parameter in model.named_parameters()
            if not _is_stored(name, parameter, stored)
        }

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> Tensor:
        own = self._names[name]  # a shared parameter has its first name
        value = self._copies[own] if own in self._copies else self._stored[own]
        return value.float()


def _is_stored(name: str, parameter: Tensor, stored: StoredTensors) -> bool:
    """Whether the base's files hold a parameter under its name, bit for bit."""
    if name not in stored.shapes or stored.dtype(name) != parameter.dtype:
        return False
    return torch.equal(stored[name], parameter)


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


def _changes(model: Any, before: _Original) -> Iterator[tuple[str, Tensor]]:
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


def _change(name: str, parameter: Tensor, before: _Original) -> Iterator[tuple[str, Tensor]]:
    change = parameter.detach().float()
    if name in before:
        change = change - before[name]
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
        raise UserError(f"PEFT does not load it ({_reason(error)}); export it again") from error
    return [key.removeprefix(PREFIX) for key in found.unexpected_keys]


def _reason(error: Exception) -> str:
    """PEFT's message; of errors with a list, the first entry."""
    first, *rest = str(error).strip().splitlines() or [""]
    return rest[0].strip() if first.endswith(":") and rest else first_line(error)
