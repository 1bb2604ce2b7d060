"""The YAML header of a model card: parents, licence, tags, held-out scores.

The fields: https://huggingface.co/docs/hub/model-cards and
https://huggingface.co/docs/hub/model-release-checklist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import pyswarmopt_llm.experts.quantised.embedded as embedded
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import read_text, user_path
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.files import local_directory
from pyswarmopt_llm.report.pages import one_line
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_files import About

# Licences that let a derived work be given away under another one of them, the least demanding
# first.
_PERMISSIVE = (
    "cc0-1.0",
    "unlicense",
    "mit",
    "isc",
    "bsd-2-clause",
    "bsd-3-clause",
    "apache-2.0",
    "cc-by-4.0",
)


@dataclass(frozen=True)
class Parent:
    """A model that the result is made of.

    Attributes:
        name: its public name.
        licence: as its card states it (``apache-2.0``, ``llama3.1``, ...); None if it states none.
        on_hub: whether `name` is an id of the Hub.
    """

    name: str
    licence: str | None
    on_hub: bool = False


@dataclass(frozen=True)
class Form:
    """The kind of the files beside a card.

    Attributes:
        library: what loads them: peft, transformers or gguf.
        relation: to the base: adapter, merge or quantized.
        tags: of this form.
        sentence: how they were made of what the search wrote; "" for that itself.
    """

    library: str
    relation: str
    tags: tuple[str, ...]
    sentence: str = ""


ADAPTER = Form("peft", "adapter", ("lora",))
MODEL = Form("transformers", "merge", ())


def parents_of(config: SearchConfig) -> list[Parent]:
    """Base and experts of a search over one base.

    Raises:
        UserError: the base is not there.
    """
    base = resolve_base(config.base)
    if config.base.startswith(embedded.PREFIX):
        licence: str | None = embedded.embedded_model(config.base).licence
    else:
        licence = stated_licence(base.path)
    return [Parent(base.name, licence), *map(_expert, config.experts)]


def _expert(spec: str) -> Parent:
    try:
        return Parent(
            spec, stated_licence(local_directory(spec, ["README.md"])), not user_path(spec).is_dir()
        )
    except UserError:  # it was moved after the search
        return Parent(spec, None)


def stated_licence(folder: Path) -> str | None:
    """The licence that the header of a directory's README.md states, in lower case; or None.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "README.md").write_text("---\\nlicense: Apache-2.0\\n---\\n# A model")
        ...     stated_licence(Path(folder))
        'apache-2.0'
    """
    try:
        text = read_text(folder / "README.md")
        header = yaml.safe_load(text.split("\n---", 1)[0]) if text.startswith("---\n") else None
    except (OSError, UserError, yaml.YAMLError, RecursionError):
        return None
    licence = header.get("license") if isinstance(header, dict) else None
    return licence.strip().lower() if isinstance(licence, str) and licence.isprintable() else None


def joint_licence(parents: Sequence[Parent]) -> str | None:
    """The licence of what is made of all parents, as far as they state theirs; or None.

    A permissive licence gives way to one that is not; two different ones that are not cannot both
    be kept.

    Example:
        >>> joint_licence([Parent("base", "llama3.1"), Parent("a", "mit"), Parent("b", None)])
        'llama3.1'
        >>> joint_licence([Parent("base", "llama3.1"), Parent("a", "cc-by-nc-4.0")]) is None
        True
    """
    stated = {parent.licence for parent in parents if parent.licence is not None}
    strict = sorted(stated - set(_PERMISSIVE))
    if strict:
        return strict[0] if len(strict) == 1 else None
    return max(stated, key=_PERMISSIVE.index, default=None)


def licence_conflict(parents: Sequence[Parent]) -> str | None:
    """The licences that cannot both be kept, in words; None if there are none.

    Example:
        >>> licence_conflict([Parent("b", "llama3.1"), Parent("a", "cc-by-nc-4.0")])
        'Licences conflict (b: llama3.1, a: cc-by-nc-4.0); ask the authors before you publish this.'
    """
    strict = {
        p.name: p.licence for p in parents if p.licence is not None and p.licence not in _PERMISSIVE
    }
    if len(set(strict.values())) < 2:
        return None
    each = ", ".join(f"{name}: {licence}" for name, licence in strict.items())
    return f"Licences conflict ({each}); ask the authors before you publish this."


def licence_remarks(parents: Sequence[Parent]) -> list[str]:
    """Licences to settle before publishing: those that conflict, or that nobody stated."""
    conflict = licence_conflict(parents)
    silent = [parent.name for parent in parents if parent.licence is None]
    unstated = (
        [f"No licence is stated by {', '.join(silent)}; check before you publish this."]
        if silent
        else []
    )
    return [*([conflict] if conflict else []), *unstated]


def front_matter(form: Form, parents: Sequence[Parent], about: About, result: Result) -> str:
    """The header between its two lines of dashes.

    Args:
        form: of the files.
        parents: base and experts; without them there is no licence.
        about: ``run.json``.
        result: ``result.json``.
    """
    base = one_line(about.base)
    experts = [
        one_line(parent.name)
        for parent in parents
        if parent.on_hub and one_line(parent.name) != base
    ]
    merged = form.relation == "merge" and experts
    header: dict[str, Any] = {
        "base_model": [base, *experts] if merged else base,
        "base_model_relation": form.relation,
    }
    header |= {"parents": experts} if experts else {}
    licence = joint_licence(parents)
    header |= {"license": licence} if licence else {}
    header |= {"library_name": form.library, "pipeline_tag": "text-generation"}
    header["tags"] = sorted({*form.tags, "merge", "model-swarms", "pyswarmopt"})
    if scores := _scores(result):
        header["model-index"] = [
            {"name": one_line(Path(about.config.out).name or "model"), "results": scores}
        ]
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---"


def _scores(result: Result) -> list[dict[str, Any]]:
    """The scores on test, task by task, as a model index has them."""
    return [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": one_line(name), "type": one_line(name), "split": "test"},
            "metrics": [{"type": one_line(result.objectives[name].metric), "value": outcome.value}],
        }
        for name, outcome in (result.best.test.tasks if result.best.test else {}).items()
    ]
