"""The model card of a result: where it comes from, what it scores, how to reproduce it.

The fields of its header: https://huggingface.co/docs/hub/model-cards and
https://huggingface.co/docs/hub/model-release-checklist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.report.findings import findings, labelled, labelling_code, user_turn
from pyswarmopt_llm.report.pages import front_matter, one_line, render
from pyswarmopt_llm.searching.scoring.parents import OTHER, Parent
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import About

MOST_CHOICES = 20  # named in a card
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
class FileKind:
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


ADAPTER = FileKind("peft", "adapter", ("lora",))
MODEL = FileKind("transformers", "merge", ())


def licence_of(parents: Sequence[Parent]) -> tuple[str | None, str | None]:
    """The licence of what is made of all parents, as far as they state theirs, and in words those
    that cannot both be kept.

    A permissive licence gives way to one that is not; two different ones that are not cannot both
    be kept.

    Example:
        >>> licence_of([Parent("base", "llama3.1"), Parent("a", "mit"), Parent("b", None)])
        ('llama3.1', None)
        >>> licence_of([Parent("b", "llama3.1"), Parent("a", "cc-by-nc-4.0")])[1]
        'Licences conflict (b: llama3.1, a: cc-by-nc-4.0); ask the authors before you publish this.'
    """
    stated = {parent.name: parent.licence for parent in parents if parent.licence is not None}
    strict = {name: licence for name, licence in stated.items() if licence not in _PERMISSIVE}
    if len({*strict.values()}) > 1:
        each = ", ".join(f"{name}: {licence}" for name, licence in strict.items())
        return None, f"Licences conflict ({each}); ask the authors before you publish this."
    if strict:
        return next(iter(strict.values())), None
    return max(stated.values(), key=_PERMISSIVE.index, default=None), None


def model_card(
    about: About, result: Result, parents: Sequence[Parent] = (), form: FileKind | None = None
) -> str:
    """The README.md of ``best/``, or of what it was exported to.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        parents: base and experts, whose licences the result inherits.
        form: of the files; None: that of ``best/``.

    Returns:
        Markdown with YAML front matter; every name from outside is escaped. A card is published: no
        question of a task is in it, and nothing that needs the run.
    """
    form = form or (ADAPTER if about.kind.adapters else MODEL)
    task, asked = labelled(about, result) or ("", None)
    scoring = (result.objectives[task].answer_format if task else None) or "likelihood"
    text = render(
        "pyswarmopt_llm/report/card.md.j2",
        **vars(findings(about, result)),
        header=_header(form, parents, about, result) if about.kind.library else "",
        form=form,
        task=task,
        task_scoring=scoring,
        choices=list(asked.choices.values()) if asked and asked.choices else [],
        most_choices=MOST_CHOICES,
        prompt=user_turn(asked, scoring).splitlines() if task else [],
        code=labelling_code(about, result, "THIS_DIRECTORY").splitlines(),
        conflict=licence_of(parents)[1],
        unstated=[parent.name for parent in parents if parent.licence is None],
        stated=[f"{parent.name}: {parent.licence}" for parent in parents if parent.licence],
    )
    return text.rstrip() + "\n"


def _header(form: FileKind, parents: Sequence[Parent], about: About, result: Result) -> str:
    """The header in YAML; its licence is one to which all parents agree, and none is silent."""
    from huggingface_hub import EvalResult, ModelCardData

    base = one_line(about.base)
    on_hub = [one_line(parent.name) for parent in parents if parent.on_hub]
    experts = [name for name in on_hub if name != base]
    tests = {} if result.best.test is None else result.best.test.tasks
    scores = [
        EvalResult(
            task_type="text-generation",
            dataset_type=one_line(name),
            dataset_name=one_line(name),
            dataset_split="test",
            metric_type=one_line(result.objectives[name].metric),
            metric_value=outcome.value,
        )
        for name, outcome in tests.items()
    ]
    all_stated = all(parent.licence for parent in parents)
    licence = (all_stated and licence_of(parents)[0]) or ""
    named = licence.removesuffix(")").partition(f"{OTHER} (")[2]
    data = ModelCardData(
        base_model=[base, *experts] if form.relation == "merge" and experts else base,
        base_model_relation=form.relation,
        parents=experts or None,
        license=(OTHER if named else licence) or None,
        license_name=named or None,
        library_name=form.library,
        pipeline_tag="text-generation",
        tags=sorted({*form.tags, "merge", "model-swarms", "pyswarmopt"}),
        model_name=one_line(Path(about.config.out).name or "model") if scores else None,
        eval_results=scores or None,
    )
    return front_matter(data.to_dict())
