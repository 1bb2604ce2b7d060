"""Writes a run's result or an adapter as a merged model, or as a smaller adapter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import atomic_directory, user_path
from pyswarmopt_llm.common.interfaces import Computed, LowRank
from pyswarmopt_llm.experts.base import BaseModel, load_model, resolve_base
from pyswarmopt_llm.experts.files import scheme_of, write_adapter
from pyswarmopt_llm.experts.full_model import copy_companions, write_model
from pyswarmopt_llm.experts.pretrained import quiet_transformers
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.experts.truncate import truncate_low_rank
from pyswarmopt_llm.mix.load import adapter_patch
from pyswarmopt_llm.report.card import FileKind, model_card
from pyswarmopt_llm.searching.scoring.parents import parents_of
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import read_about
from pyswarmopt_llm.searching.use.opening import check_unchanged, is_whole_model, result_of
from pyswarmopt_llm.tools.flatten import Loss, flatten, is_plain

FORMATS = {  # with a sentence for the model card
    "merged": FileKind("transformers", "merge", ("lora",), "The adapter is merged into the base."),
    "peft": FileKind("peft", "adapter", ("lora",)),
}


@dataclass(frozen=True)
class Exported:
    """The output of `export_model`.

    Attributes:
        files: name -> size in bytes.
        loss: loss from truncating the rank; None if nothing was truncated.
    """

    files: Mapping[str, int]
    loss: Loss | None


@dataclass(frozen=True)
class Source:
    """An adapter to export.

    Attributes:
        base: its base.
        changes: weight -> its change, scale included.
        run: run directory of this result, if any.
        loss: loss from truncating the rank; None: not truncated.
    """

    base: BaseModel
    changes: Mapping[str, LowRank]
    run: Path | None = None
    loss: Loss | None = None


def export_model(
    source: str,
    out: str | Path,
    form: str = "merged",
    *,
    base: str | None = None,
    rank: int | None = None,
) -> Exported:
    """Write an adapter in another format; memory holds one file of weights at a time.

    An adapter that is not plain LoRA (DoRA, saved modules, LoHa, ...) becomes the nearest one of
    rank `rank` in `form` peft; memory then holds the base twice.

    Args:
        source: a finished run (its result is exported), or an adapter.
        out: directory to create.
        form: one of `FORMATS`: a merged model, or a PEFT adapter, of smaller rank on request.
        base: base of an adapter.
        rank: truncate the adapter to the nearest one of this rank.

    Raises:
        UserError: bad input, in one line; nothing is written.
    """
    if form == "peft" and base is not None and rank is not None and not is_plain(source):
        resolved = resolve_base(base)
        changes, loss = flatten(source, resolved, rank)
        found = Source(resolved, changes, loss=loss)
    else:
        found = _truncated(_found(source, base), rank)
    folder = user_path(out)
    card = None if found.run is None else _card(found, found.run, form, rank)
    if form == "merged":
        _refuse_packed(found.base, source, out)
        with atomic_directory(folder) as part:  # completely or not at all
            _merge(found, part)
            if card is not None:
                (part / "README.md").write_text(card, encoding="utf-8")
    else:
        factors = {
            name.removesuffix(".weight"): (change.b, change.a)
            for name, change in found.changes.items()
        }
        write_adapter(folder, factors, base_model_name=found.base.name, card=card)
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    return Exported(files, found.loss)


def _found(source: str, base: str | None) -> Source:
    """The adapter of a run, or one with its base.

    Raises:
        UserError: a whole model, an adapter that does not fit the base, or a run whose files have
            changed.
    """
    folder = user_path(source)
    run = folder if (folder / "run.json").is_file() else None
    model = base
    adapter: str | None = source
    if run is not None:
        if base is not None:
            raise InvalidOption("base", base, f"{source} is a run, which names its own; remove it")
        model, adapter = result_of(run)
        check_unchanged((model, adapter))
    if adapter is None or is_whole_model(user_path(adapter)):
        whole = source if run is None else model
        raise UserError(
            f"{source}: is one or several whole models, no adapter to merge or to cut; use "
            f"{whole} as a base"
        )
    if model is None:
        raise InvalidOption("base", None, f"missing; name the model that {source} is an adapter of")
    return Source(resolve_base(model), adapter_patch(model, adapter).low_rank, run)


def _refuse_packed(base: BaseModel, source: str, out: str | Path) -> None:
    """Refuse to merge into quantised weights, and name the plain base.

    Raises:
        UserError: the base's weights are packed.
    """
    if base.packing:
        plain = scheme_of(base.spec)[1] if base.scheme else "PLAIN"
        way = command("export", source, base=plain, out=str(out))
        raise UserError(
            f"{source}: the weights of {base.spec} are quantised ({base.packing}), and a change "
            f"cannot be added to them; merge it into the plain base ({way}), or write the adapter "
            "alone with `form` peft"
        )


def _truncated(source: Source, rank: int | None) -> Source:
    """The nearest adapter of this rank (Eckart & Young 1936).

    Modules of at most this rank are unchanged.
    """
    if rank is None:
        return source
    cut = {name: truncate_low_rank(change, rank) for name, change in source.changes.items()}
    lost = sum(part.lost for part in cut.values())
    total = sum(part.total for part in cut.values())
    changes = {name: part.change for name, part in cut.items()}
    return replace(source, changes=changes, loss=Loss(math.sqrt(lost / total) if total else 0.0))


def _merge(source: Source, folder: Path) -> None:
    """Write the base with the changes added in float32 and rounded once."""
    base = source.base
    stored = StoredTensors(base.weight_files)

    def merged(name: str) -> Tensor:
        value = stored[name]
        if name in source.changes:
            value = (value.float() + source.changes[name].dense()).to(value.dtype)
        return value

    if source.changes.keys() <= stored.keys():
        write_model(base, Computed(stored.shapes, merged), folder)
        return
    # Files that name weights otherwise: transformers translates on loading and saving.
    copy_companions(base, folder)
    largest = max(stored, key=lambda name: math.prod(stored.shapes[name]))
    model, _ = load_model(base, stored.dtype(largest))
    with torch.no_grad():
        for name, change in source.changes.items():
            weight = model.get_parameter(name)
            weight.copy_(weight.float() + change.dense())
    with quiet_transformers():
        model.save_pretrained(folder)


def _card(source: Source, run: Path, form: str, rank: int | None) -> str:
    """The run's model card, adapted to these files."""
    kind = FORMATS[form]
    result = read_result(run)
    if result is None:
        raise UserError(f"{run}: is not finished; finish it with: swarm-llm resume {run}")
    if source.loss is not None:
        truncation = (
            f"It is truncated to rank {rank}, which changes its weights by "
            f"{source.loss.whole:.1%} in the Frobenius norm. The scores below are those of the "
            "whole adapter."
        )
        kind = replace(kind, sentence=f"{kind.sentence} {truncation}".strip())
    about = read_about(run)
    return model_card(about, result, parents_of(about.config, result.coefficients.values()), kind)
