"""Writes a run's result or an adapter as a merged model, or as a smaller adapter; an adapter of
another kind that PEFT can merge becomes the nearest plain LoRA.

The conversion uses PEFT's merged weights minus the base's, because PEFT's own `convert_to_lora` drops
DoRA's magnitudes and what PiSSA takes from the base.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.files.regular import atomic_directory, user_path
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.common.interfaces import Computed, LowRank, Patch
from pyswarmopt_llm.engine.mixing import PatchedWeights
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
    load_model,
    refuse_quantised,
    resolve_base,
    skeleton,
)
from pyswarmopt_llm.experts.compatibility import in_words
from pyswarmopt_llm.experts.files import PREFIX, write_adapter
from pyswarmopt_llm.experts.full_model import copy_companions, write_model
from pyswarmopt_llm.experts.pretrained import quiet_bitsandbytes, quiet_transformers
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.experts.truncate import truncate_dense, truncate_low_rank
from pyswarmopt_llm.mix.load import adapter_patch
from pyswarmopt_llm.report.card import model_card
from pyswarmopt_llm.report.run import read_run
from pyswarmopt_llm.searching.scoring.cards import parents_of
from pyswarmopt_llm.searching.use.opening import check_unchanged, is_whole_model, result_of

Changes = Mapping[str, LowRank]  # weight -> its change, scale included


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
class Exported:
    """The output of `export_model`.

    Attributes:
        files: name -> size in bytes.
        loss: loss from truncating the rank; None if nothing was truncated.
    """

    files: Mapping[str, int]
    loss: Loss | None


def export_model(
    source: str,
    out: str | Path,
    form: str = "merged",
    *,
    base: str | None = None,
    rank: int | None = None,
) -> Exported:
    """Write an adapter in another format; memory holds one file of weights at a time.

    With a rank, an adapter that is not plain LoRA (DoRA, saved modules, LoHa, ...) becomes the
    nearest one; memory then holds the base twice.

    Args:
        source: a finished run (its result is exported), or an adapter.
        out: directory to create.
        form: one of `FORMATS`: a merged model, or a PEFT adapter.
        base: base of an adapter.
        rank: truncate the adapter to the nearest one of this rank.

    Raises:
        UserError: bad input, in one line; nothing is written.
    """
    run = None
    if (user_path(source) / "run.json").is_file():
        run = user_path(source)
    model, adapter = _adapter_of(source, run, base)
    changes, loss = _changes(model, adapter, rank)
    card = None if run is None else _card(run, form, loss)
    folder = user_path(out)
    if form == "merged":
        refuse_quantised(model)
        with atomic_directory(folder) as part:  # completely or not at all
            _merge(model, changes, part)
            if card is not None:
                (part / "README.md").write_text(card, encoding="utf-8")
    else:
        factors = {name.removesuffix(".weight"): (c.b, c.a) for name, c in changes.items()}
        write_adapter(folder, factors, base_model_name=model.name, card=card)
    return Exported({file.name: file.stat().st_size for file in sorted(folder.iterdir())}, loss)


def _adapter_of(source: str, run: Path | None, base: str | None) -> tuple[BaseModel, str]:
    """The base and the adapter of a run, or of an adapter with its base."""
    adapter: str | None = source
    if run is not None:
        if base is not None:
            raise InvalidOption(
                "base",
                base,
                f": {source} is a run, which names its own base model; remove this option",
            )
        base, adapter = result_of(run)
        check_unchanged((base, adapter))
    if adapter is None or is_whole_model(user_path(adapter)):
        raise UserError(f"{source} is a whole model, not an adapter; use it (RUN/best) as is")
    if base is None:
        raise InvalidOption("base", None, f"is missing; set it to the base model of {source}")
    return resolve_base(base), adapter


def _changes(base: BaseModel, adapter: str, rank: int | None) -> tuple[Changes, Loss | None]:
    """The adapter's changes, or the nearest ones of this rank (Eckart & Young 1936)."""
    try:
        read_adapter(adapter)
    except NotPlain:
        if rank is None:
            raise
        return flatten(adapter, base, rank)
    changes = adapter_patch(base.spec, adapter).low_rank
    if rank is None:
        return changes, None
    cut = {name: truncate_low_rank(change, rank) for name, change in changes.items()}
    lost = sum(part.lost for part in cut.values())
    total = sum(part.total for part in cut.values())
    return {name: part.change for name, part in cut.items()}, Loss(math.sqrt(lost / (total or 1.0)))


def _merge(base: BaseModel, changes: Changes, folder: Path) -> None:
    """Write the base with the changes added in float32 and rounded once."""
    stored = StoredTensors(base.weight_files)

    def merged(name: str) -> Tensor:
        value = stored[name]
        if name in changes:
            value = (value.float() + changes[name].dense()).to(value.dtype)
        return value

    if changes.keys() <= stored.keys():
        write_model(base, Computed(stored.shapes, merged), folder)
        return
    # Files that name weights otherwise: transformers translates on loading and saving.
    copy_companions(base, folder)
    largest = max(stored, key=lambda name: math.prod(stored.shapes[name]))
    model, _ = load_model(base, stored.dtype(largest))
    PatchedWeights(model).load(Patch(low_rank=changes))
    with quiet_transformers():
        model.save_pretrained(folder)


def _card(run: Path, form: str, loss: Loss | None) -> str:
    """The run's model card, adapted to these files."""
    opened, result = read_run(run)
    library, made = "transformers", "The adapter is merged into the base."
    if form == "peft":
        library, made = "peft", ""
    if loss is not None:
        made = (
            f"Its rank was reduced, which alters its weight changes by {loss.whole:.1%} (Frobenius "
            "norm). The scores below were measured with the whole adapter."
        )
    parents = parents_of(opened.config, result.coefficients.values())
    return model_card(opened.about, result, parents, library, made)


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
    before = {
        name: value.detach().clone()
        for name, value in model.named_parameters(remove_duplicate=False)
    }
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
        raise UserError(f"{spec} changes no linear layer of {base.spec}; {OTHER_WAY}")
    return changes, Loss(math.sqrt(lost / total), tuple(left_out))


def _merged_by_peft(model: Any, folder: Path, base: BaseModel) -> Any:
    """The base with the adapter merged into it."""
    adapted, ignored, missing = load_by_peft(model, folder)
    if missing:
        raise UserError(f"the file in {folder} has no {missing[0]}; export the adapter again")
    if ignored:
        raise UserError(
            f"{folder} changes {in_words(ignored)}, which {base.spec} does not have, so PEFT ignores "
            "them; use the model it was trained on, or remove those tensors"
        )
    try:
        return adapted.merge_and_unload()
    except Exception as error:
        if out_of_memory(error):
            raise
        raise UserError(
            f"PEFT cannot merge {folder} ({first_line(error)}); merge it with the library that wrote it"
        ) from error


def load_by_peft(model: Any, folder: Path) -> tuple[Any, list[str], list[str]]:
    """Load an adapter into a model by PEFT, which wraps the model's layers.

    Args:
        model: base.
        folder: directory of the adapter.

    Returns:
        PEFT's model, the tensors of the file that it ignores, and those that the file lacks.

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
            f"PEFT cannot load {folder} ({reason}); export it again, or use the model it was trained "
            "on, with its added tokens"
        ) from error
    ignored = [key.removeprefix(PREFIX) for key in found.unexpected_keys]
    # VB-LoRA's layers share one stored bank.
    return adapted, ignored, [key for key in found.missing_keys if "_bank" not in key]
