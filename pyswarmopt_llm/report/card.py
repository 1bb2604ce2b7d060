"""The model card of a result: origin, scores, reproduction.

The fields of its header: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyswarmopt.base.words import counted, visible
from pyswarmopt_llm.common.events import mixture_text
from pyswarmopt_llm.report.commands import labelled
from pyswarmopt_llm.report.findings import Findings, findings, method
from pyswarmopt_llm.report.pages import code, plain
from pyswarmopt_llm.report.phrases import about_weights, one_line, score, versions_text
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.scores.tasks.templates import placeholders, render_prompt
from pyswarmopt_llm.scores.tasks.types import Form, Item
from pyswarmopt_llm.searching.scoring.parents import OTHER, Parent, may_be_on_hub
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import About

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

MOST_CHOICES = 20  # most names in a card
# Licences whose works may be relicensed under another of them, least demanding first.
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
    """A kind of model files beside a card.

    Attributes:
        library: library that loads the files: peft or transformers.
        relation: relation to the base: adapter, merge or quantized.
        tags: tags of the format.
        sentence: how the files were made from the search's files; "" for the latter.
    """

    library: str
    relation: str
    tags: tuple[str, ...]
    sentence: str = ""


ADAPTER = FileKind("peft", "adapter", ("lora",))
MODEL = FileKind("transformers", "merge", ())


def licence_of(parents: Sequence[Parent]) -> tuple[str | None, str | None]:
    """The licence of a work derived from all parents, as far as stated; and a sentence about
    licences that conflict.

    A permissive licence gives way to a restrictive one; two different restrictive ones conflict.

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
    """The README.md of ``best/``, or of its export.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        parents: base and experts; the result inherits their licences.
        form: kind of the files; None: as in ``best/``.

    Returns:
        Markdown with YAML front matter; every name from outside is escaped. A card is published, so
        it contains no questions and nothing that needs the run.
    """
    form = form or (ADAPTER if about.kind.adapters else MODEL)
    found = findings(about, result)
    lines = [f"# {about.kind.title}", "", plain(found.verdict.sentence), "", _origin(found)]
    if form.sentence:
        lines += ["", plain(form.sentence)]
    lines += _use(about, result)
    lines += ["", "## Scores", "", "| model | test (95% interval) | dev (used for selection) |"]
    lines.append("|---|---|---|")
    for label, model in found.rows.items():
        lines.append(f"| {plain(label)} | {score(model.test)} | {score(model.dev)} |")
    lines.append("")
    lines += [f"- {plain(line)}" for line in (*found.verdict.reasons, *found.notes)]
    lines += ["", "## Weights", "", plain(mixture_text(result.coefficients)), ""]
    lines.append(about_weights(about.config.space))
    if conflict := licence_of(parents)[1]:
        lines += ["", plain(conflict)]
    if unstated := [parent.name for parent in parents if parent.licence is None]:
        named = plain(", ".join(unstated))
        lines += ["", f"{named} states no licence; check before you publish this."]
    lines += ["", "## Reproduce", "", f"    {one_line(found.command)}", ""]
    lines.append(plain(versions_text(about.versions)))
    text = visible("\n".join(lines).rstrip() + "\n")
    if not about.kind.library:
        return text
    from huggingface_hub import ModelCard

    header = _header(form, parents, about, result)
    return str(ModelCard(f"---\n{header.to_yaml(line_break=chr(10))}\n---\n\n{text}"))


def _origin(found: Findings) -> str:
    """What the files are, and how they were found, in Markdown."""
    result = found.result
    trained = "Nothing was trained."
    if result.best.trained:
        trained = "It was then fine-tuned on the dev examples."
    if result.best.trained and result.expert_iteration is not None:
        trained = "It was then trained on its own best replies (expert iteration)."
    experts = counted(len(result.coefficients), "expert")
    evaluations = counted(result.evaluations, "evaluation")
    search = f"{experts}, found in {evaluations} by {plain(method(found.about))}. {trained}"
    return found.about.kind.description.format(base=code(found.about.base), experts=search)


def _use(about: About, result: Result) -> list[str]:
    """How to ask the model, in Markdown; no lines where it does not compare options."""
    task, form = labelled(about, result) or ("", None)
    if form is None:
        return []
    scoring = result.objectives[task].answer_format or "likelihood"
    choices = list((form.choices or {}).values())
    names = ", ".join(map(code, choices[:MOST_CHOICES])) or "a question's options"
    more = len(choices) - MOST_CHOICES
    also = f" and {more} more" if more > 0 else ""
    compared = "the letter" if scoring == "letter" else "the text, per byte,"
    system = f" after the system turn {code(about.config.system)}" if about.config.system else ""
    return [
        *("", "## Use", ""),
        f"It selects one of {names}{also} ({code(task)}) by the log-probability of {compared}",
        f"of each option as the reply to this user turn{system}:",
        "",
        *(f"    {one_line(line)}" for line in user_turn(form, scoring).splitlines()),
    ]


def user_turn(form: Form, scoring: Scoring) -> str:
    """The user turn, with column names in braces for the parts of a question."""
    choices = form.choices or {"A": "{option A}", "B": "{option B}"}
    columns = {name: f"{{{name}}}" for name in placeholders(form.prompt)} if form.prompt else {}
    item = Item("", "{question}", dict(choices), "", meta=columns)
    return render_prompt(item, scoring, form.prompt)


def _header(
    form: FileKind, parents: Sequence[Parent], about: About, result: Result
) -> ModelCardData:
    """The header; it names a licence only if all parents state one and agree, and a base only by
    its id on the Hub, which takes no card with another name.
    """
    from huggingface_hub import EvalResult, ModelCardData

    base = about.base if may_be_on_hub(about.base) else None
    experts = [_safe(parent.name) for parent in parents if parent.on_hub and parent.name != base]
    bases = [base, *experts] if base and experts and form.relation == "merge" else base
    tests = {} if result.best.test is None else result.best.test.tasks
    scores = [
        EvalResult(
            task_type="text-generation",
            dataset_type=_safe(name),
            dataset_name=_safe(name),
            dataset_split="test",
            metric_type=_safe(result.objectives[name].metric),
            metric_value=outcome.value,
        )
        for name, outcome in tests.items()
    ]
    all_stated = all(parent.licence for parent in parents)
    licence = (all_stated and licence_of(parents)[0]) or ""
    named = licence.removesuffix(")").partition(f"{OTHER} (")[2]
    return ModelCardData(
        base_model=bases,
        base_model_relation=base and form.relation,
        parents=experts or None,
        license=(OTHER if named else licence) or None,
        license_name=named or None,
        library_name=form.library,
        pipeline_tag="text-generation",
        tags=sorted({*form.tags, "merge", "model-swarms", "pyswarmopt"}),
        model_name=_safe(Path(about.config.out).name or "model") if scores else None,
        eval_results=scores or None,
    )


def _safe(name: str) -> str:
    return visible(one_line(name))
