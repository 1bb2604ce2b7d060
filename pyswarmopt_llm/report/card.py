"""The model card of a result: origin, scores, reproduction.

The fields of its header: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

from typing import Any

from pyswarmopt_llm.report.findings import Findings, findings, labelled, method
from pyswarmopt_llm.report.front import score_lines
from pyswarmopt_llm.report.pages import code, front_matter, plain, render
from pyswarmopt_llm.report.phrases import score
from pyswarmopt_llm.run.cards import may_be_on_hub
from pyswarmopt_llm.run.directory import About
from pyswarmopt_llm.run.result import RunResult
from pyswarmopt_llm.scores.tasks import AnswerFormat
from pyswarmopt_llm.scores.tasks.templates import placeholders, render_prompt
from pyswarmopt_llm.scores.tasks.types import Item


def model_card(about: About, result: RunResult, library: str = "") -> str:
    """The README.md of ``best/``, or of its export.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        library: library that loads an export; empty: the files are those in ``best/``.

    Returns:
        Markdown with YAML front matter; every name from outside is escaped. A card is published, so
        it contains no questions and nothing that needs the run.
    """
    found = findings(about, result)
    text = render(
        "pyswarmopt_llm/report/card.md.j2",
        **vars(found),
        origin=_origin(found),
        exported=library,
        use=_use(about, result),
        score=score,
        each_score=score_lines(result),
    )
    if not about.kind.library:
        return text
    header: dict[str, Any] = {}
    if may_be_on_hub(about.base):
        header = {"base_model": about.base}
    header |= {
        "library_name": library or about.kind.library,
        "pipeline_tag": "text-generation",
        "tags": ["merge", "model-swarms", "pyswarmopt"],
    }
    return f"---\n{front_matter(header)}\n---\n\n{text}"


def _origin(found: Findings) -> str:
    """What the files are, and how they were made, in Markdown."""
    result = found.result
    data = "its own best replies" if result.expert_iteration else "the dev examples"
    trained = "Nothing was trained."
    if result.best.trained:
        trained = f"It was then fine-tuned on {data}."
    experts = f"{len(result.coefficients)} experts, found in {result.evaluations:,} evaluations"
    search = f"{experts} by {plain(method(found.about))}. {trained}"
    return found.about.kind.description.format(base=code(found.about.base), experts=search)


def _use(about: About, result: RunResult) -> dict[str, Any] | None:
    """How to ask the model, with column names in braces for the parts of a question; None where it
    does not compare options.
    """
    if (found := labelled(about, result)) is None:
        return None
    task, form = found
    answer_format: AnswerFormat = result.objectives[task].answer_format or "likelihood"
    choices = form.choices or {"A": "{option A}", "B": "{option B}"}
    columns = {name: f"{{{name}}}" for name in placeholders(form.prompt or "")}
    item = Item("", "{question}", dict(choices), "", meta=columns)
    return {
        "task": task,
        "choices": list((form.choices or {}).values()),
        "scoring": answer_format,
        "turn": render_prompt(item, answer_format, form.prompt),
    }
