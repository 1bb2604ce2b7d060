"""A run's result, an adapter or a model, written in the format of the program that is to run it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pyswarmopt_llm.common.commands import command
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.base import refuse_quantised, resolve_base, scheme_of
from pyswarmopt_llm.experts.files import atomic_directory, check_free
from pyswarmopt_llm.experts.full_model import write_model
from pyswarmopt_llm.experts.quantised.embedded import source_gguf
from pyswarmopt_llm.experts.truncate import truncate_low_rank
from pyswarmopt_llm.experts.write import write_adapter
from pyswarmopt_llm.report.card import model_card
from pyswarmopt_llm.report.front_matter import Form, parents_of
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_files import read_about
from pyswarmopt_llm.tools.export.flatten import flatten, is_plain
from pyswarmopt_llm.tools.export.gguf_file import Layout, write_lora
from pyswarmopt_llm.tools.export.source import Source, find_source

MODELFILE = "Modelfile"
ADAPTER_FILE = "adapter.gguf"
BASE_FILE = "./base.gguf"  # beside the Modelfile of an adapter; its user puts the base there


_MERGED = "The adapter is merged into the base"
FORMATS = {  # what the model card says of each
    "merged": Form("transformers", "merge", ("lora",), f"{_MERGED}."),
    "gguf": Form("gguf", "adapter", ("gguf", "lora"), "The adapter is written as GGUF."),
    "peft": Form("peft", "adapter", ("lora",)),
}


@dataclass(frozen=True)
class Exported:
    """The output of `export_model`.

    Attributes:
        files: name -> size in bytes.
        lost: relative Frobenius error of the truncation to a rank; None if nothing was truncated.
        worst: the module with the largest error of its own, and this, where it was flattened.
        left_out: parameters whose change no LoRA of linear layers can hold, where it was flattened.
        base: the GGUF file that an adapter in GGUF goes with; "" if none is known.
    """

    files: Mapping[str, int]
    lost: float | None = None
    worst: tuple[str, float] | None = None
    left_out: tuple[str, ...] = ()
    base: str = ""


def export_model(
    source: str,
    out: str | Path,
    form: str = "merged",
    *,
    base: str | None = None,
    rank: int | None = None,
) -> Exported:
    """Write a model in another format; memory holds one weight at a time.

    An adapter that is no plain LoRA (DoRA, saved modules, LoHa, ...) becomes the nearest one of
    rank `rank` in `form` peft; then memory holds the base, too.

    Args:
        source: a finished run, whose result is exported, an adapter, or a model directory.
        out: the directory to create.
        form: one of `FORMATS`: a merged model for transformers and vLLM, the adapter as GGUF for
            llama.cpp and Ollama, or a PEFT adapter of smaller rank.
        base: the model that an adapter is for.
        rank: truncate the adapter to the nearest one of this rank.

    Raises:
        UserError: whatever is wrong with the input, in one line; nothing is written then.
    """
    _check(form, rank)
    folder = user_path(out)
    check_free(folder)
    if base is not None and rank is not None and form == "peft" and not is_plain(source):
        flat = flatten(source, resolve_base(base), rank)
        with _writing(folder) as part:
            _write_peft(part, flat.changes, flat.base_name, flat.changes)
        return Exported(_sizes(folder), flat.lost, flat.worst, flat.left_out)
    origin = find_source(source, base)
    if form == "merged":
        _refuse_packed(source, origin, out)
    elif origin.adapter is None:
        raise UserError(f"{source}: is a whole model, not an adapter; use `form` merged")
    lost, cut = None, ""
    if rank is not None:
        origin, lost = _truncated(origin, rank)
        cut = (
            f"It is truncated to rank {rank}, which changes its weights by {lost:.1%} in the "
            "Frobenius norm. The scores below are those of the whole adapter."
        )
    with _writing(folder) as part:
        _write(origin, form, part)
        if origin.run is not None:
            card = _card(origin.run, origin.adapter is not None, FORMATS[form], cut)
            (part / "README.md").write_text(card, encoding="utf-8")
    return Exported(_sizes(folder), lost, base=str(_gguf_of(origin) or ""))


def _sizes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in sorted(folder.iterdir())}


def _gguf_of(source: Source) -> Path | None:
    return source_gguf(scheme_of(source.base.spec)[1])


def _refuse_packed(source: str, origin: Source, out: str | Path) -> None:
    """Refuse to merge into quantised weights, and name the plain base.

    Raises:
        UserError: they are quantised.
    """
    if origin.adapter is None or not origin.base.packing:
        refuse_quantised(origin.base)
        return
    plain = scheme_of(origin.base.spec)[1] if origin.base.scheme else "PLAIN"
    way = command("export", str(origin.adapter.path), base=plain, out=str(out))
    raise UserError(
        f"{source}: the weights of {origin.base.spec} are quantised ({origin.base.packing}), and a "
        "change cannot be added to them; merge it into the plain "
        f"base ({way}), or write the adapter alone with `form` gguf or peft"
    )


def _truncated(source: Source, rank: int) -> tuple[Source, float]:
    """The nearest adapter of that rank (Eckart & Young 1936), and its relative Frobenius error.

    Modules whose rank is not above it stay as they are.
    """
    cut = {name: truncate_low_rank(change, rank) for name, change in source.changes.items()}
    lost, total = sum(part.lost for part in cut.values()), sum(part.total for part in cut.values())
    changes = {name: part.change for name, part in cut.items()}
    return replace(source, changes=changes), math.sqrt(lost / total) if total else 0.0


def _check(form: str, rank: int | None) -> None:
    """Refuse options that do not go with the format."""
    if form == "gguf":
        need_extra("gguf", "`form` gguf")
    if rank is not None and form == "merged":
        why = "goes with `form` peft or gguf; a merged model takes the whole adapter"
        raise InvalidOption("rank", rank, why)


@contextmanager
def _writing(folder: Path) -> Iterator[Path]:
    """A directory that becomes `folder` if all goes well; a full disk is an error in one line."""
    try:
        with atomic_directory(folder) as part:
            yield part
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); nothing was kept"
        ) from error


def _card(run: Path, adapter: bool, form: Form, truncation: str) -> str:
    """The run's model card, for these files."""
    result = read_result(run)
    if result is None:
        raise UserError(f"{run}: is not finished; finish it with: swarm-llm resume {run}")
    about = read_about(run)
    if adapter:
        form = replace(
            form, sentence=" ".join(part for part in (form.sentence, truncation) if part)
        )
    else:  # a mixture of whole models
        form = replace(form, tags=tuple(tag for tag in form.tags if tag != "lora"), sentence="")
    return model_card(about, result, parents_of(about.config), form)


def _write(source: Source, form: str, folder: Path) -> None:
    """Write a source in a format."""
    if form == "merged":
        write_model(source.base, source.weights, folder)
    elif form == "gguf":
        _write_gguf(source, folder)
    elif source.adapter is not None:
        name = source.adapter.base_model_name or source.base.name
        _write_peft(folder, source.changes, name, source.adapter.target_modules)


def _write_gguf(source: Source, folder: Path) -> None:
    write_lora(source, Layout.of(source), folder / ADAPTER_FILE)
    base = _gguf_of(source)
    path = BASE_FILE if base is None else str(base.absolute())
    # Greedy, as the model was scored; Ollama takes the chat template from the base's GGUF file.
    lines = (f"FROM {path}", f"ADAPTER ./{ADAPTER_FILE}", "PARAMETER temperature 0")
    text = "\n".join([*lines, "PARAMETER repeat_penalty 1", ""])
    (folder / MODELFILE).write_text(text, encoding="utf-8")


def _write_peft(
    folder: Path, changes: Mapping[str, LowRank], base_name: str, targets: Iterable[str]
) -> None:
    """Write changes of weights as an adapter of scale 1."""
    factors = {
        name.removesuffix(".weight"): (change.b, change.a) for name, change in changes.items()
    }
    modules = {target.removesuffix(".weight") for target in targets}
    write_adapter(folder, factors, base_model_name=base_name, target_modules=modules)
