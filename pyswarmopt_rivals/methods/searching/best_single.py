"""Best single expert: the one with the best dev score; among equals the first."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_rivals.methods.changes import as_patch
from pyswarmopt_rivals.methods.method import Merged, Settings


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Score each expert once, as far as the budget goes."""
    trial = settings.need_trial()
    patches = [as_patch(expert) for expert in experts[: trial.left]]
    return Merged(max(patches, key=lambda patch: trial.score(patch).value))
