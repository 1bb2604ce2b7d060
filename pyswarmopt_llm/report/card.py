"""The model card of a result: where it comes from, what it scores, how to reproduce it."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.report.commands import labelled
from pyswarmopt_llm.report.findings import findings
from pyswarmopt_llm.report.front_matter import (
    ADAPTER,
    MODEL,
    Form,
    Parent,
    front_matter,
    licence_remarks,
)
from pyswarmopt_llm.report.pages import render
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.scores.tasks.prompts import placeholders, render_prompt
from pyswarmopt_llm.scores.tasks.types import Form as Asked
from pyswarmopt_llm.scores.tasks.types import Item
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_files import About

MOST_CHOICES = 20  # named in a card


def model_card(
    about: About, result: Result, parents: Sequence[Parent] = (), form: Form | None = None
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
    kind = space_kind(about.config.space)
    form = form or (ADAPTER if kind.library == "peft" else MODEL)
    task, asked = labelled(about, result) or ("", None)
    scoring = (result.objectives[task].answer_format if task else None) or "likelihood"
    text = render(
        "pyswarmopt_llm/report/card.md.j2",
        header=front_matter(form, parents, about, result) if kind.library else "",
        kind=kind,
        form=form,
        about=about,
        result=result,
        task=task,
        task_scoring=scoring,
        choices=list(asked.choices.values()) if asked and asked.choices else [],
        most_choices=MOST_CHOICES,
        prompt=_prompt(asked, scoring).splitlines() if task else [],
        findings=findings(about, result),
        licence=licence_remarks(parents),
    )
    return text.rstrip() + "\n"


def _prompt(form: Asked | None, scoring: Scoring) -> str:
    """The user turn, with the names of columns in braces for what a question puts there."""
    choices = (None if form is None else form.choices) or {"A": "{option A}", "B": "{option B}"}
    template = None if form is None else form.prompt
    columns = {name: f"{{{name}}}" for name in placeholders(template or "")}
    item = Item("", "{question}", dict(choices), "", meta=columns)
    return render_prompt(item, scoring, template)
