"""The model card of a result: where it comes from, what it scores, how to reproduce it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import MODEL_SWARMS, PARTICLES, SearchConfig
from pyswarmopt_llm.evaluation.result import RunResult
from pyswarmopt_llm.evaluation.run_files import About
from pyswarmopt_llm.reporting.commands import labelled
from pyswarmopt_llm.reporting.findings import findings
from pyswarmopt_llm.reporting.report.front_matter import (
    ADAPTER,
    MODEL,
    Form,
    Parent,
    front_matter,
    licence_remarks,
)
from pyswarmopt_llm.reporting.report.pages import code, plain, render
from pyswarmopt_llm.spaces import space_kind
from pyswarmopt_llm.tasks import Scoring
from pyswarmopt_llm.tasks.prompts import placeholders, render_prompt
from pyswarmopt_llm.tasks.types import Form as Asked
from pyswarmopt_llm.tasks.types import Item

MOST_CHOICES = 20  # named in a card


def _use(about: About, result: RunResult) -> tuple[str, list[str]] | None:
    """Advice on labelling with it, and the lines of the prompt, if the task has choices.

    A card is published: no question of the task is in it, and nothing that needs the run.
    """
    labelling = labelled(about, result)
    if labelling is None:
        return None
    task, form = labelling
    choices = (
        []
        if form is None or form.choices is None
        else [code(text) for text in form.choices.values()]
    )
    which = (
        f"one of {', '.join(choices[:MOST_CHOICES])}" if choices else "one of a question's options"
    )
    more = f" and {len(choices) - MOST_CHOICES} more" if len(choices) > MOST_CHOICES else ""
    scoring = result.task(task).scoring
    system = f" after the system turn {code(about.config.system)}" if about.config.system else ""
    scored = "letter" if scoring == "letter" else "text, per byte,"
    return (
        f"It chooses {which}{more}, by the {scoring} of each ({code(task)}), and is not meant to "
        f"write. The user turn of the chat{system}, with the question in place of "
        f"{code('{question}')}, is below; of each option, the log-probability of its {scored} as the reply "
        "is compared:",
        _prompt(form, scoring).splitlines(),
    )


def _prompt(form: Asked | None, scoring: str) -> str:
    """The user turn, with the names of columns in braces for what a question puts there."""
    choices = (None if form is None else form.choices) or {"A": "{option A}", "B": "{option B}"}
    template = None if form is None else form.prompt
    columns = {name: f"{{{name}}}" for name in placeholders(template or "")}
    item = Item("", "{question}", dict(choices), "", meta=columns)
    shown: Scoring = "likelihood"  # the options are not in the prompt
    if scoring == "letter":
        shown = "letter"
    return render_prompt(item, shown, template)


def method_text(config: SearchConfig) -> str:
    """The search method, and its differences from Model Swarms as published.

    Example:
        >>> method_text(SearchConfig("b", ("x",), (), "r", optimizer="model-swarms", space="factor", particles=10))
        'Model Swarms as published (10 particles, at most 50 iterations)'
        >>> method_text(SearchConfig("b", ("x",), (), "r", optimizer="model-swarms", space="delta", start="sums"))
        'Model Swarms, not as published (space delta, starts: sums)'
    """
    if config.optimizer != MODEL_SWARMS:
        return f"{config.optimizer}, space {config.space}"
    source = "as in the authors' code" if config.compat == "reference" else "as published"
    if departures := space_kind(config.space).departures(asdict(config)):
        return f"Model Swarms, not {source} ({', '.join(departures)})"
    size = max(config.particles or PARTICLES, len(config.experts))
    most = counted(config.iterations, "iteration")
    return f"Model Swarms {source} ({counted(size, 'particle')}, at most {most})"


def _trained(result: RunResult) -> str:
    """The training that was done."""
    if not result.trained:
        return "Nothing was trained."
    iteration = result.expert_iteration
    if iteration is None:
        return "What it found was trained on the dev items."
    replies = f"its best replies to {counted(iteration.kept, 'prompt')}"
    sampled = f"{counted(iteration.round, 'round')}, {iteration.replies:,} replies written"
    return f"What it found was trained on {replies} (expert iteration: {sampled})."


def model_card(
    about: About, result: RunResult, parents: Sequence[Parent] = (), form: Form | None = None
) -> str:
    """The README.md of ``best/``, or of what it was exported to.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        parents: base and experts, whose licences the result inherits.
        form: of the files; None: that of ``best/``.

    Returns:
        Markdown with YAML front matter; every name from outside is escaped.
    """
    kind = space_kind(about.config.space)
    form = form or (ADAPTER if kind.library == "peft" else MODEL)
    method = plain(method_text(about.config))
    searched = f"found by a search in {counted(result.evaluations, 'evaluation')} with {method}"
    cited = (
        "; Feng et al., 2024, arXiv:2410.11163" if about.config.optimizer == MODEL_SWARMS else ""
    )
    experts = (
        f"{counted(len(result.coefficients), 'expert')}, {searched}{cited}. {_trained(result)}"
    )
    text = render(
        "pyswarmopt_llm/reporting/report/card.md.j2",
        header=front_matter(form, parents, about, result) if kind.library else "",
        kind=kind,
        description=kind.description.format(base=code(about.base), experts=experts),
        form=form,
        use=_use(about, result),
        findings=findings(about, result),
        scoring=result.scoring,
        space=about.config.space,
        licence=licence_remarks(parents),
        data=[*about.config.tasks, *about.config.utilities],
        versions=", ".join(f"{name} {version}" for name, version in about.versions.items()),
    )
    return text.rstrip() + "\n"
