"""Best single expert: the one with the best dev score; among equals the first."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.baselines.method import Merged, Method, Settings
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.adapter import Adapter


def as_patch(expert: Adapter) -> Patch:
    """The expert as it is."""
    return Patch(low_rank={f"{module}.weight": factors.low_rank() for module, factors in expert.factors.items()})


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Score each expert once, as far as the budget goes."""
    trial = settings.need_trial()
    patches = [as_patch(expert) for expert in experts[: trial.left]]
    return Merged(max(patches, key=lambda patch: trial.score(patch).value))


METHOD = Method(
    name="best-single",
    paper="none: the choice that everything else is compared with",
    spaces=("factor", "delta"),
    execute=execute,
    needs=frozenset({"dev"}),
)
