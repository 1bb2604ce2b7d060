"""Writes a run's result or an adapter as a merged model, or as a smaller adapter; an adapter of
another kind that PEFT can merge becomes the nearest plain LoRA.

The conversion uses PEFT's merged weights minus the base's, because PEFT's own `convert_to_lora` drops
DoRA's magnitudes and what PiSSA takes from the base.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.extras import missing_extra
from pyswarmopt_llm.common.files.regular import atomic_directory, user_path
from pyswarmopt_llm.common.hardware import out_of_memory
from pyswarmopt_llm.common.interfaces import Format
from pyswarmopt_llm.common.options import FORMATS
from pyswarmopt_llm.common.own import is_function
from pyswarmopt_llm.engine.mixing import PatchedWeights
from pyswarmopt_llm.experts.adapter import (
    NotPlain,
    adapter_folder,
    read_adapter,
    read_config,
    read_whole,
)
from pyswarmopt_llm.experts.base import (
    BaseModel,
    linear_layers,
    load_model,
    refuse_quantised,
    resolve_base,
)
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.files import PREFIX, write_adapter
from pyswarmopt_llm.experts.full_model import copy_companions
from pyswarmopt_llm.experts.pretrained import loading, quiet_bitsandbytes, quiet_transformers
from pyswarmopt_llm.experts.quantised import type_of_file
from pyswarmopt_llm.experts.safetensors_file import StoredTensors, require_finite
from pyswarmopt_llm.experts.truncate import Truncated, truncate_dense, truncate_low_rank
from pyswarmopt_llm.mix import saved_kind
from pyswarmopt_llm.mix.load import adapter_patch, format_of
from pyswarmopt_llm.report.card import model_card
from pyswarmopt_llm.report.write import read_run
from pyswarmopt_llm.run.directory import read_about
from pyswarmopt_llm.use.opening import check_unchanged, metrics_of_task, model_of

log = logging.getLogger(__name__)
_TOO_LARGE = (
    "its change is too large for this dtype; use a base model stored in float32 or bfloat16"
)
_LENGTH = 16  # tokens of the text on which a flat adapter is compared
# What the logits of a flat adapter may differ by: rounding in float32, and a share of its effect.
_LOGIT_ROUNDING = 1e-3
_LOGIT_SHARE = 0.01
_LIBRARY = {"merged": "transformers", "peft": "peft"}  # format -> library that loads it
# Missing tensors that PEFT does not need: of towers, such as for images, and VB-LoRA's shared bank.
_UNNEEDED = re.compile("tower|vision|visual|image|audio|_bank")


def export_model(
    source: str,
    out: str | Path,
    form: str = "merged",
    *,
    base: str | None = None,
    rank: int | None = None,
) -> float | None:
    """Write an adapter in another format.

    The base is in memory once. It is there twice, in float32, if `rank` is set and the adapter is
    not a plain LoRA (DoRA, PiSSA, LoHa, ...).

    Args:
        source: a finished run (its result is exported), or an adapter.
        out: directory to create.
        form: ``merged`` (a merged model) or ``peft`` (an adapter).
        base: base of an adapter.
        rank: truncate the adapter to the nearest one of this rank.

    Returns:
        Relative Frobenius error of the weight changes; None without a rank.

    Raises:
        UserError: bad input, in one line; nothing is written.
    """
    model, adapter = _adapter_of(source, base)
    card = None
    quantize = None
    if _is_run(source):
        run, result = read_run(user_path(source))
        card = model_card(run.about, result, _LIBRARY[form])
        quantize = run.about.config.quantize
    folder = user_path(out)
    if form == "merged":
        with atomic_directory(folder) as part:  # completely or not at all
            _save_merged(model, adapter, part, format_of(quantize))
            if card is not None:
                (part / "README.md").write_text(card, encoding="utf-8")
        return None
    factors, error = _factors(model, adapter, rank)
    write_adapter(folder, factors, base_model_name=model.name, card=card)
    return error


def lines_on_rounding(source: str, base: str | None = None) -> list[str]:
    """What is left of a merged adapter in the format of its base's file, with advice if that is little.

    Args:
        source: a finished run, or an adapter.
        base: base of an adapter.

    Returns:
        Nothing unless the base comes from a GGUF file of a type that can be written here; nothing for a
        search with `quantize` either, whose scores say it.
    """
    model, adapter = _adapter_of(source, base)
    if _is_run(source) and read_run(user_path(source))[0].about.config.quantize:
        return []
    name = type_of_file(model.spec)
    if name not in FORMATS or (name == "q4_k_m" and missing_extra("llama_cpp")):
        return []
    from pyswarmopt_llm.formats import find_format
    from pyswarmopt_llm.formats.survival import survival, survival_lines

    (info,) = inspect_experts([adapter], model).experts
    return list(survival_lines("the adapter", survival(model, info, [find_format(name)])))


def scoring_command(source: str, out: str, base: str | None = None) -> str:
    """The command that compares a truncated adapter with its source on test.

    Args:
        source: a finished run, or an adapter.
        out: the truncated adapter.
        base: base of an adapter.
    """
    if not _is_run(source):
        return command("eval", base=base, adapter=out, against=source, task="TASK.json")
    about = read_about(user_path(source))
    first = about.task_names[0]
    metrics = metrics_of_task(about, first)
    named = len(metrics) > 1 or any(map(is_function, metrics))  # a function needs consent again
    return command(
        "eval",
        run=source,
        adapter=out,
        against=f"{source}/best",
        task=first if len(about.task_names) > 1 else None,
        metric=metrics[0] if named else None,
    )


def _is_run(source: str) -> bool:
    return (user_path(source) / "run.json").is_file()


def _adapter_of(source: str, base: str | None) -> tuple[BaseModel, str]:
    """The base and the adapter of a run, or of an adapter with its base."""
    if base is not None and _is_run(source):
        why = f": {source} is a run, which names its own base model; remove this option"
        raise InvalidOption("base", base, why)
    model = model_of(base or "", source)
    check_unchanged(model)
    name, adapter = model
    if saved_kind(name) is not None:
        raise UserError(
            f"{source} is a mixture of several models, which no single file can hold; run it with: "
            f"{command('generate', 'YOUR QUESTION', **{'run' if _is_run(source) else 'base': source})}"
        )
    if adapter is None:
        raise UserError(f"{source} is a whole model, not an adapter; use it (RUN/best) as is")
    return resolve_base(name), adapter


def _factors(
    base: BaseModel, adapter: str, rank: int | None
) -> tuple[dict[str, tuple[Tensor, Tensor]], float | None]:
    """Module -> (b, a) of the adapter, or of the nearest one of this rank, and its error."""
    try:
        read_adapter(adapter)
    except NotPlain:
        if rank is None:
            raise
        parts = flatten(adapter, base, rank)
    else:
        changes = adapter_patch(base.spec, adapter).low_rank
        parts = {name: truncate_low_rank(change, rank) for name, change in changes.items()}
    factors = {name.removesuffix(".weight"): (c.b, c.a) for name, (c, _, _) in parts.items()}
    if rank is None:
        return factors, None
    lost = sum(part.lost for part in parts.values())
    return factors, math.sqrt(lost / (sum(part.total for part in parts.values()) or 1.0))


@torch.no_grad()
def flatten(spec: str, base: BaseModel, rank: int) -> dict[str, Truncated]:
    """The nearest plain LoRA with a given rank to an adapter of any kind that PEFT can merge.

    PEFT's weights minus the base's weights are cut by SVD (see `truncate`).

    Args:
        spec: an adapter's directory or hub id.
        base: base with plain weights.
        rank: rank of each module.

    Returns:
        Weight -> its change, scale included, with the loss.

    Raises:
        UserError: PEFT cannot merge the adapter, or it changes no linear layers, or other parts.
    """
    linear = linear_layers(base)
    merged, expected = _merged_by_peft(base, spec)
    plain, _ = load_model(base, torch.float32)
    before = dict(plain.named_parameters(remove_duplicate=False))
    parts = {}
    for name, value in merged.named_parameters():
        change = value - before.get(name, torch.zeros(()))
        if change.any():
            if name.removesuffix(".weight") not in linear:
                raise UserError(
                    f"{spec} also changes {name}, which a LoRA of linear layers cannot hold; merge the "
                    "adapter with PEFT's merge_and_unload and set `space` to full"
                )
            parts[name] = truncate_dense(change, rank)
    if not parts:
        raise UserError(f"{spec} does not change {base.spec}; train it, or export it again")
    _check_logits(spec, plain, merged, parts, expected)
    return parts


def _check_logits(
    spec: str, plain: Any, merged: Any, changed: Iterable[str], expected: Tensor
) -> None:
    """Check that the changes of these weights, each in its own layer, are the adapter's.

    Args:
        spec: adapter.
        plain: base; its layers get hooks.
        merged: base with the adapter merged into its weights.
        changed: names of the changed weights.
        expected: logits of the base with the adapter, not merged.

    Raises:
        UserError: the logits differ, as with layers that share a weight.
    """
    bare = logits_of(plain)
    for name in changed:
        layer = plain.get_submodule(name.removesuffix(".weight"))
        layer.register_forward_hook(partial(_by_weight, merged.get_parameter(name)))
    apart = (logits_of(plain) - expected).abs().max()
    if not apart <= _LOGIT_ROUNDING + _LOGIT_SHARE * (expected - bare).abs().max():
        raise UserError(
            f"{spec}: as a plain LoRA it would give other logits than in PEFT (by {apart:.2g}), for "
            "example because layers share a weight; use it with PEFT"
        )


def _by_weight(weight: Tensor, layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The output of a linear layer with another weight."""
    return torch.nn.functional.linear(inputs[0], weight, layer.bias)


def logits_of(model: Any) -> Tensor:
    """A model's logits for a short text of its first tokens, (L, V)."""
    rows = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(min(_LENGTH, rows))[None]
    logits: Tensor = model(input_ids=ids).logits[0]
    return logits


def _save_merged(base: BaseModel, adapter: str, folder: Path, form: Format | None) -> None:
    """Write the base with the adapter merged into it, in the base's dtype; or as a format holds it, in
    float32, which alone keeps all values of a format, so that its own tool finds the same codes.
    """
    from transformers import GenerationConfig

    refuse_quantised(base)
    patch = adapter_patch(base.spec, adapter, form)
    model, _ = load_model(base, "auto" if form is None else torch.float32)
    mixing = PatchedWeights(model, StoredTensors(base.weight_files))
    mixing.load(patch)
    changed = ((name, model.get_parameter(name)) for name in patch.low_rank)
    require_finite(f"{adapter} merged into {base.spec} ({model.dtype})", changed, _TOO_LARGE)
    # save_pretrained refuses some bases' own, which is copied below
    model.generation_config = GenerationConfig()
    try:
        with quiet_transformers():
            model.save_pretrained(folder)
    except (OSError, SafetensorError):  # of the disk: `atomic_directory` names the output
        raise
    except Exception as error:
        why = f"transformers cannot save the merged model ({first_line(error)}); set `form` to peft"
        raise UserError(f"{base.spec}: {why}") from error
    copy_companions(base, folder)


def _merged_by_peft(base: BaseModel, spec: str) -> tuple[Any, Tensor]:
    """The base with an adapter merged into it by PEFT, in float32, and its logits before merging.

    Raises:
        UserError: the base is packed, weights are not finite, or PEFT does not merge the adapter or
            ignores part of it.
    """
    refuse_quantised(base)
    folder = adapter_folder(spec)
    config = read_config(folder / "adapter_config.json", plain=False)
    if config.unknown:
        names = ", ".join(config.unknown)
        log.warning("%s: the installed PEFT does not know %s, and ignores it", spec, names)
    require_finite(str(folder), read_whole(folder), "train or export the adapter again")
    model, _ = load_model(base, torch.float32)
    adapted, ignored, missing = load_by_peft(model, folder)
    if wrong := [*missing, *ignored]:
        raise UserError(
            f"{folder} does not match {base.spec} at {wrong[0]}, so PEFT would lose part of it; use the "
            "model it was trained on, or export it again"
        )
    with loading(str(folder), "PEFT cannot merge it; use the library that wrote it"):
        expected = logits_of(adapted)
        return adapted.merge_and_unload(), expected


def load_by_peft(model: Any, folder: Path) -> tuple[Any, list[str], list[str]]:
    """Load an adapter into a model by PEFT, which wraps the model's layers.

    Args:
        model: base.
        folder: directory of the adapter.

    Returns:
        PEFT's model, the tensors of the file that it ignores, and those that the file lacks, without
        `_UNNEEDED` ones.

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
    missing = [key.removeprefix(PREFIX) for key in found.missing_keys if not _UNNEEDED.search(key)]
    return adapted, ignored, missing
