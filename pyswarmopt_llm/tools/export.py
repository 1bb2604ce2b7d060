"""Writes a run's result, an adapter or a model in the format of the program that will run it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Computed, LowRank
from pyswarmopt_llm.experts.adapter import load_factors
from pyswarmopt_llm.experts.base import (
    BaseModel,
    load_model,
    refuse_quantised,
    resolve_base,
    scheme_of,
)
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.files import atomic_directory, check_free, fill_adapter
from pyswarmopt_llm.experts.full_model import copy_companions, write_model
from pyswarmopt_llm.experts.pretrained import quiet_transformers
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.experts.truncate import truncate_low_rank
from pyswarmopt_llm.mix import saved_kind
from pyswarmopt_llm.report.card import FileKind, model_card
from pyswarmopt_llm.report.commands import chooses
from pyswarmopt_llm.searching.scoring.parents import parents_of
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import check_best, read_about
from pyswarmopt_llm.searching.use.opening import is_whole_model, result_of
from pyswarmopt_llm.tools.flatten import Loss, flatten, is_plain, stored_dtype

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
        chooses: whether the result comes from a search that compared options.
    """

    files: Mapping[str, int]
    loss: Loss | None
    chooses: bool = False


def export_model(
    source: str,
    out: str | Path,
    form: str = "merged",
    *,
    base: str | None = None,
    rank: float | None = None,
) -> Exported:
    """Write a model in another format; memory holds one weight at a time.

    An adapter that is not plain LoRA (DoRA, saved modules, LoHa, ...) becomes the nearest one of
    rank `rank` in `form` peft; memory then holds the base, too.

    Args:
        source: a finished run (its result is exported), an adapter, or a model directory.
        out: directory to create.
        form: one of `FORMATS`: a merged model, or a PEFT adapter, of smaller rank on request.
        base: base of an adapter.
        rank: truncate the adapter to the nearest one of this rank; below 1, in each module to the
            smallest rank that keeps this share of the change's squared norm.

    Raises:
        UserError: bad input, in one line; nothing is written.
    """
    if rank is not None and not (0 < rank < 1 or (rank >= 1 and rank == int(rank))):
        raise InvalidOption("rank", rank, "neither a share between 0 and 1 nor a whole number")
    if rank is not None and form == "merged":
        why = "goes with `form` peft; a merged model takes the whole adapter"
        raise InvalidOption("rank", rank, why)
    folder = user_path(out)
    check_free(folder)
    if form == "peft" and base is not None and rank is not None and not is_plain(source):
        origin = _flattened(source, resolve_base(base), rank)
    else:
        origin = find_source(source, base)
        _check(origin, source, form, out)
        origin = _truncated(origin, rank)
    with atomic_directory(folder) as part:  # completely or not at all
        _write(origin, form, part)
        if origin.run is not None:
            (part / "README.md").write_text(_card(origin, form, rank), encoding="utf-8")
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    labels = origin.run is not None and chooses(origin.run)
    return Exported(files, origin.loss, labels)


def _check(origin: Source, source: str, form: str, out: str | Path) -> None:
    """Refuse sources that do not suit the format; for merging into quantised weights, name the
    plain base.

    Raises:
        UserError: the source does not suit the format.
    """
    if form != "merged":
        if not origin.adapter:
            raise UserError(f"{source}: is a whole model, not an adapter; use `form` merged")
        return
    if not origin.adapter or not origin.base.packing:
        refuse_quantised(origin.base)
        return
    plain = scheme_of(origin.base.spec)[1] if origin.base.scheme else "PLAIN"
    way = command("export", origin.adapter, base=plain, out=str(out))
    raise UserError(
        f"{source}: the weights of {origin.base.spec} are quantised ({origin.base.packing}), and a "
        "change cannot be added to them; merge it into the plain "
        f"base ({way}), or write the adapter alone with `form` peft"
    )


def _truncated(origin: Source, rank: float | None) -> Source:
    """The nearest adapter of this rank (Eckart & Young 1936).

    Modules of at most this rank are unchanged.
    """
    if rank is None:
        return origin
    cut = {name: truncate_low_rank(change, rank) for name, change in origin.changes.items()}
    lost = sum(part.lost for part in cut.values())
    total = sum(part.total for part in cut.values())
    changes = {name: part.change for name, part in cut.items()}
    return replace(origin, changes=changes, loss=Loss(math.sqrt(lost / total) if total else 0.0))


def _write(origin: Source, form: str, folder: Path) -> None:
    """Write a source in a format."""
    if form == "merged":
        weights = origin.weights
        if origin.changes.keys() <= weights.keys():
            write_model(origin.base, weights, folder)
        else:
            _write_by_transformers(origin, folder)
    else:
        factors = {
            name.removesuffix(".weight"): (change.b, change.a)
            for name, change in origin.changes.items()
        }
        fill_adapter(
            folder, factors, base_model_name=origin.base_name, target_modules=origin.targets
        )


def _write_by_transformers(origin: Source, folder: Path) -> None:
    """Write a merged model whose files use other weight names than the loaded model.

    transformers translates the names on loading and saving; memory holds the model.
    """
    copy_companions(origin.base, folder)
    model, _ = load_model(origin.base, stored_dtype(StoredTensors(origin.base.weight_files)))
    with torch.no_grad():
        for name, change in origin.changes.items():
            weight = model.get_parameter(name)
            weight.copy_(weight.float() + change.dense())
    with quiet_transformers():
        model.save_pretrained(folder)


def _card(origin: Source, form: str, rank: float | None) -> str:
    """The run's model card, adapted to these files."""
    run = origin.run or Path()
    as_form = FORMATS[form]
    result = read_result(run)
    if result is None:
        raise UserError(f"{run}: is not finished; finish it with: swarm-llm resume {run}")
    if not origin.adapter:  # a mixture of whole models
        as_form = replace(as_form, tags=(), sentence="")
    elif origin.loss is not None:
        truncation = (
            f"It is truncated to {rank_in_words(rank)}, which changes its weights by {origin.loss.whole:.1%} "
            "in the Frobenius norm. The scores below are those of the whole adapter."
        )
        as_form = replace(as_form, sentence=f"{as_form.sentence} {truncation}".strip())
    about = read_about(run)
    parents = parents_of(about.config, result.coefficients.values())
    return model_card(about, result, parents, as_form)


@dataclass(frozen=True)
class Source:
    """A model to export.

    Attributes:
        base: base with weights, configuration and tokenizer.
        changes: weight -> the adapter's change, scale included; empty for a whole model.
        adapter: path of the adapter; "" for a whole model.
        base_name: public name of the base.
        targets: modules selected by the adapter's configuration.
        run: run directory of this result, if any.
        loss: loss from truncating the rank; None: not truncated.
    """

    base: BaseModel
    changes: Mapping[str, LowRank]
    adapter: str = ""
    base_name: str = ""
    targets: tuple[str, ...] = ()
    run: Path | None = None
    loss: Loss | None = None

    @property
    def weights(self) -> Computed[Tensor]:
        """Name -> changed weight in the base's dtype, computed on access.

        The sum is computed in float32, then rounded.
        """
        stored = StoredTensors(self.base.weight_files)

        def value(name: str) -> Tensor:
            if name not in self.changes:
                return stored[name]
            exact = stored[name].to(torch.float32) + self.changes[name].dense()
            return exact.to(stored.dtype(name))

        return Computed(stored.shapes, value)


def find_source(source: str, base: str | None) -> Source:
    """The model of a run, an adapter or a model directory.

    Args:
        source: a finished run, an adapter (directory or hub id), or a model directory.
        base: base of an adapter; None for a run or a model.

    Raises:
        UserError: several models, an adapter that does not fit the base, or a base that cannot be
            changed.
    """
    folder = user_path(source)
    model = base
    adapter = None
    is_run = (folder / "run.json").is_file()
    if is_run or is_whole_model(folder):
        if base is not None:
            what = "a run, which names its own base" if is_run else "a whole model, no adapter"
            raise InvalidOption("base", base, f"{source} is {what}; remove it")
        model, adapter = result_of(folder) if is_run else (source, None)
    else:
        adapter = source
    if (kind := saved_kind(model or folder)) is not None:
        raise UserError(
            f"{source}: is several models (space {kind.name}), which no single file can hold; run "
            f"it with swarm-llm generate --base {model}"
        )
    if model is None:
        raise InvalidOption("base", None, f"missing; name the model that {source} is an adapter of")
    if is_run:
        check_best(folder, read_about(folder))
    resolved = resolve_base(model)
    run = folder if is_run else None
    if adapter is None:
        return Source(resolved, {}, run=run)
    if run is not None and read_about(run).fingerprints.get("base") != resolved.fingerprint:
        raise UserError(
            f"{source}: the base {model} is not the one of the run any more; put it back"
        )
    return _adapter_on(resolved, adapter, run)


def _adapter_on(base: BaseModel, adapter: str, run: Path | None) -> Source:
    report = inspect_experts([adapter], base)
    report.require("delta")
    (info,) = report.experts
    targets = tuple(info.target_modules)
    return Source(base, load_factors(info), str(info.path), base.name, targets, run)


def rank_in_words(rank: float | None) -> str:
    """A rank, or the share to keep, in words.

    Example:
        >>> rank_in_words(8), rank_in_words(0.95)
        ('rank 8', 'the ranks that keep 95% of the squared norm')
    """
    if rank is None or rank >= 1:
        return f"rank {rank:g}" if rank else "its rank"
    return f"the ranks that keep {100 * rank:.4g}% of the squared norm"


def _flattened(adapter: str, base: BaseModel, rank: float) -> Source:
    changes, loss = flatten(adapter, base, rank)
    targets = tuple(weight.removesuffix(".weight") for weight in changes)
    return Source(base, changes, adapter, base.name, targets, loss=loss)
