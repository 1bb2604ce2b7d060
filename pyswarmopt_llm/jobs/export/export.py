"""A run's result, an adapter or a model, written in the format of the program that is to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.evaluation.result import read_result
from pyswarmopt_llm.evaluation.run_files import read_about
from pyswarmopt_llm.jobs.export.gguf_file import Layout, write_lora
from pyswarmopt_llm.jobs.export.modelfile import chat_format, modelfile
from pyswarmopt_llm.jobs.export.rank import Rescored, in_words, rescored, truncated
from pyswarmopt_llm.jobs.export.source import Source, find_source, parents_of
from pyswarmopt_llm.models.adapters.write import write_adapter
from pyswarmopt_llm.models.base import load_tokenizer
from pyswarmopt_llm.models.engines.tokenizing import leading_specials
from pyswarmopt_llm.models.files import atomic_directory, check_free
from pyswarmopt_llm.models.full_model import write_model
from pyswarmopt_llm.models.quantised.embedded import source_gguf
from pyswarmopt_llm.reporting.report.card import model_card
from pyswarmopt_llm.reporting.report.front_matter import Form

MODELFILE = "Modelfile"
ADAPTER_FILE = "adapter.gguf"
BASE_FILE = "./base.gguf"  # beside the Modelfile of an adapter; its user puts the base there


@dataclass(frozen=True)
class Format:
    """A format to export to.

    Attributes:
        write: writes a source into an empty directory.
        card: what its model card says.
        adapter: whether it holds an adapter and not a whole model.
        gguf: whether it needs the package `gguf`.
    """

    write: Callable[[Source, Path], None]
    card: Form
    adapter: bool = False
    gguf: bool = False


@dataclass(frozen=True)
class Exported:
    """The output of `export_model`.

    Attributes:
        files: name -> size in bytes.
        lost: relative Frobenius error of the truncation to a rank; None if nothing was truncated.
        scores: of a truncated adapter, task by task.
        notes: what was not done, and what to do instead.
        base: the GGUF file that an adapter in GGUF goes with; "" if none is known.
    """

    files: Mapping[str, int]
    lost: float | None = None
    scores: tuple[Rescored, ...] = ()
    notes: tuple[str, ...] = ()
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

    Args:
        source: a finished run, whose result is exported, an adapter, or a model directory.
        out: the directory to create.
        form: one of `FORMATS`: a merged model for transformers and vLLM, the adapter as GGUF for
            llama.cpp and Ollama, or a PEFT adapter of smaller rank.
        base: the model that an adapter is for.
        rank: truncate the adapter to the nearest one of this rank; that of a run is scored again.

    Raises:
        UserError: whatever is wrong with the input, in one line; nothing is written then.
    """
    chosen = FORMATS[form]
    _check(form, rank)
    folder = user_path(out)
    check_free(folder)
    origin = find_source(source, base)
    if chosen.adapter and origin.adapter is None:
        raise UserError(f"{source}: is a whole model, not an adapter; use `form` merged")
    result = Exported({})
    if rank is not None:
        origin, lost = truncated(origin, rank)
        scores, notes = rescored(origin)
        result = replace(result, lost=lost, scores=scores, notes=notes)
    with _writing(folder) as part:
        chosen.write(origin, part)
        if origin.run is not None:
            cut = in_words(rank, result.lost, result.scores)
            card = _card(origin.run, origin.adapter is not None, chosen.card, cut)
            (part / "README.md").write_text(card, encoding="utf-8")
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    return replace(result, files=files, base=str(source_gguf(origin.base.spec) or ""))


def _check(form: str, rank: int | None) -> None:
    """Refuse options that do not go with the format."""
    chosen = FORMATS[form]
    if chosen.gguf:
        need_extra("gguf", f"`form` {form}")
    if rank is not None and not chosen.adapter:
        raise InvalidOption("rank", rank, "goes with `form` peft or gguf; a merged model takes the whole adapter")
    if rank is None and form == "peft":
        raise InvalidOption("form", form, "is what a search and train-expert write already; add `rank` to truncate it")


@contextmanager
def _writing(folder: Path) -> Iterator[Path]:
    """A directory that becomes `folder` if all goes well; a full disk is an error in one line."""
    try:
        with atomic_directory(folder) as part:
            yield part
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); nothing was kept") from error


def _card(run: Path, adapter: bool, form: Form, truncation: str) -> str:
    """The run's model card, for these files."""
    result = read_result(run)
    if result is None:
        raise UserError(f"{run}: is not finished; finish it with: swarm-llm resume {run}")
    about = read_about(run)
    if adapter:
        form = replace(form, sentence=" ".join(part for part in (form.sentence, truncation) if part))
    else:  # a mixture of whole models
        form = replace(form, tags=tuple(tag for tag in form.tags if tag != "lora"), sentence="")
    return model_card(about, result, parents_of(about.config), form)


# Formats


def _merged(source: Source, folder: Path) -> None:
    write_model(source.base, source.weights, folder)


def _gguf(source: Source, folder: Path) -> None:
    write_lora(source, Layout.of(source), folder / ADAPTER_FILE)
    base = source_gguf(source.base.spec)
    _write_modelfile(source, folder, BASE_FILE if base is None else str(base.absolute()))


def _peft(source: Source, folder: Path) -> None:
    if source.adapter is None:
        raise TypeError("a PEFT adapter needs an adapter")
    factors = {name.removesuffix(".weight"): (change.b, change.a) for name, change in source.changes.items()}
    name, targets = source.adapter.base_model_name or source.base.name, source.adapter.target_modules
    write_adapter(folder, factors, base_model_name=name, target_modules=targets)


def _write_modelfile(source: Source, folder: Path, base: str) -> None:
    tokenizer = load_tokenizer(source.base)
    adds_bos = leading_specials(tokenizer) == [tokenizer.bos_token_id]
    text = modelfile(ADAPTER_FILE, tokenizer, chat_format(tokenizer), adds_bos, base)
    (folder / MODELFILE).write_text(text, encoding="utf-8")


_MERGED = "The adapter is merged into the base"
FORMATS = {
    "merged": Format(_merged, Form("transformers", "merge", ("lora",), f"{_MERGED}.")),
    "gguf": Format(
        _gguf,
        Form("gguf", "adapter", ("gguf", "lora"), "The adapter is written as GGUF."),
        adapter=True,
        gguf=True,
    ),
    "peft": Format(_peft, Form("peft", "adapter", ("lora",)), adapter=True),
}
