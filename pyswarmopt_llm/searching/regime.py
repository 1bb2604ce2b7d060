"""What to expect of a search, by what its user has; a dry run prints it."""

from __future__ import annotations

from collections.abc import Iterator

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import LEAST_DEV
from pyswarmopt_llm.searching.plan import Plan

FEW_LABELS = 100  # with fewer, a tuned mixture often scores higher than one tuned adapter


def regime(plan: Plan) -> Iterator[str]:
    """What to expect, one sentence for each thing that the user has. Measured in
    research/notes/few-labels.md, search-then-train.md, written-answers.md, fronts and quantised.md;
    docs/how-to/worth-it.md has the figures.
    """
    if plan.config.front:
        yield (
            "several scores: compare the front with your best adapter at a few strengths, which may be "
            "enough if there are only two adapters"
        )
    elif plan.kind.several_models:
        yield "different architectures: only their predictions can be mixed, and every answer needs all models"
    elif plan.objectives.written:
        yield (
            "scored replies: a search helps most if the base model scores near 0; otherwise "
            "training it on its own best replies may be enough, which the search tries as well"
        )
    elif not plan.without_options:
        yield _on_labels(plan)
    if plan.config.quantize:
        yield (
            f"a file of few bits: all models are scored as {plan.config.quantize} holds them, since "
            "rounding may undo what an adapter changes"
        )


def _on_labels(plan: Plan) -> str:
    """What to expect with this number of labels."""
    labels = counted(plan.items, "label")
    if plan.items < LEAST_DEV:
        return f"{labels}: mixing may help, but with so few luck has a large part; label {LEAST_DEV} or more"
    if plan.items < FEW_LABELS:
        return (
            f"{labels}: so few often gain from a search if your adapters know different parts of the "
            "task, but seldom if one of them was made for it"
        )
    return (
        f"{labels}: with so many, fine-tuning your best adapter is usually as good; the search does "
        "that too, `quick` only that"
    )
