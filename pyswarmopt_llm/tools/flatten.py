"""Approximates an adapter of any kind that PEFT can merge by the nearest plain LoRA.

PEFT's merged weights minus the base's decide: PEFT's own `convert_to_lora` drops DoRA's magnitudes and
what PiSSA takes from the base.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.adapter import OTHER_WAY, adapter_folder, adapter_headers, read_config
from pyswarmopt_llm.experts.base import BaseModel, load_model, refuse_quantised, skeleton
from pyswarmopt_llm.experts.compatibility import in_words
from pyswarmopt_llm.experts.files import PREFIX
from pyswarmopt_llm.experts.pretrained import quiet_bitsandbytes
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


def flatten(spec: str, base: BaseModel, rank: int) -> tuple[dict[str, LowRank], Loss]:
    """The nearest plain LoRA with a given rank to an adapter of any kind that PEFT can merge.

    PEFT's weights minus the base's weights are cut by SVD (see `truncate`). Memory holds the base
    twice in float32.

    Args:
        spec: an adapter's directory or hub id.
        base: base with plain weights.
        rank: rank of each module.

    Returns:
        Weight -> its change, scale included; and the loss.

    Raises:
        UserError: the base is packed, PEFT does not merge the adapter or ignores part of it, or it
            changes no linear layer.
    """
    refuse_quantised(base)
    folder = adapter_folder(spec)
    read_config(folder / "adapter_config.json", plain=False)
    adapter_headers(folder)
    linear = skeleton(base).linear
    model, _ = load_model(base, torch.float32)
    parameters = model.named_parameters(remove_duplicate=False)
    before = {name: value.detach().clone() for name, value in parameters}
    changes: dict[str, LowRank] = {}
    left_out = []
    lost = total = 0.0
    for name, value in _merged_by_peft(model, folder, base).named_parameters():
        change = value.detach() - before.get(name, torch.zeros(()))
        square = float(change.square().sum(dtype=torch.float64))
        total += square
        if square and name.removesuffix(".weight") in linear:
            changes[name], square, _ = truncate_dense(change, rank)
        elif square:
            left_out.append(name)
        lost += square
    if not changes:
        raise UserError(f"{spec}: changes no linear layer of {base.spec}; {OTHER_WAY}")
    return changes, Loss(math.sqrt(lost / total), tuple(left_out))


def _merged_by_peft(model: Any, folder: Path, base: BaseModel) -> Any:
    """The base with the adapter merged into it."""
    adapted, ignored = load_by_peft(model, folder)
    if ignored:
        raise UserError(
            f"{folder}: {base.spec} has no {in_words(ignored)}, which it changes: PEFT leaves that "
            "out; give the model that it was trained on, or remove those tensors from its file"
        )
    try:
        return adapted.merge_and_unload()
    except (AttributeError, ValueError, NotImplementedError, TypeError) as error:
        raise UserError(f"{folder}: PEFT cannot merge it ({first_line(error)})") from error


def load_by_peft(model: Any, folder: Path) -> tuple[Any, list[str]]:
    """Load an adapter into a model by PEFT, which wraps the model's layers.

    Args:
        model: base.
        folder: directory of the adapter.

    Returns:
        PEFT's model, and the tensors of the file that it ignores.

    Raises:
        UserError: PEFT does not load it.
    """
    quiet_bitsandbytes()  # peft imports it if installed
    import peft

    options = {"torch_device": str(model.device)}
    try:
        # It initialises missing tensors at random, and warns.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
            adapted = peft.PeftModel.from_pretrained(model, folder, **options).eval()
            # Again, for its return value, which `from_pretrained` does not return.
            found = adapted.load_adapter(folder, "default", **options)
    except Exception as error:  # any error that a configuration causes
        if out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"PEFT does not load it ({reason}); export it again, or give the model that it was "
            "trained on, with its added tokens"
        ) from error
    return adapted, [key.removeprefix(PREFIX) for key in found.unexpected_keys]
