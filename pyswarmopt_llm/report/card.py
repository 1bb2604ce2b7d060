"""The model card of a result: where it comes from, what it scores, how to reproduce it.

The fields of its header: https://huggingface.co/docs/hub/model-cards and
https://huggingface.co/docs/hub/model-release-checklist.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.report.findings import findings, labelled
from pyswarmopt_llm.report.pages import one_line, render
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.scores.tasks.types import Form, Item, placeholders, render_prompt
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import About

MOST_CHOICES = 20  # named in a card


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


def model_card(about: About, result: Result, form: FileKind | None = None) -> str:
    """The README.md of ``best/``, or of what it was exported to.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        form: of the files; None: that of ``best/``.

    Returns:
        Markdown with YAML front matter; every name from outside is escaped. A card is published: no
        question of a task is in it, and nothing that needs the run.
    """
    form = form or (ADAPTER if about.kind.adapters else MODEL)
    task, asked = labelled(about, result) or ("", Form("", None, None, ""))
    scoring = (result.objectives[task].answer_format if task else None) or "likelihood"
    text = render(
        "pyswarmopt_llm/report/card.md.j2",
        **vars(findings(about, result)),
        header=_header(form, about, result) if about.kind.library else "",
        form=form,
        task=task,
        task_scoring=scoring,
        choices=list((asked.choices or {}).values()),
        most_choices=MOST_CHOICES,
        prompt=_prompt(asked, scoring).splitlines() if task else [],
    )
    return text.rstrip() + "\n"


def _prompt(form: Form, scoring: Scoring) -> str:
    """The user turn, with the names of columns in braces for what a question puts there."""
    choices = form.choices or {"A": "{option A}", "B": "{option B}"}
    columns = {name: f"{{{name}}}" for name in placeholders(form.prompt or "")}
    item = Item("", "{question}", dict(choices), "", meta=columns)
    return render_prompt(item, scoring, form.prompt)


def _header(form: FileKind, about: About, result: Result) -> str:
    """The header in YAML; its licence is for whoever publishes it to state."""
    from huggingface_hub import EvalResult, ModelCardData

    parents = [about.base]
    if form.relation == "merge":  # of those of the hub
        parents += [spec for spec in about.config.experts if not user_path(spec).exists()]
    models = list(dict.fromkeys(map(one_line, parents)))
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
    data = ModelCardData(
        base_model=models if len(models) > 1 else models[0],
        base_model_relation=form.relation,
        library_name=form.library,
        pipeline_tag="text-generation",
        tags=sorted({*form.tags, "merge", "model-swarms", "pyswarmopt"}),
        model_name=one_line(Path(about.config.out).name or "model") if scores else None,
        eval_results=scores or None,
    )
    return str(data.to_yaml())
