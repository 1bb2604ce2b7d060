"""DARE, TIES: drop entries at random, rescale the rest, then elect signs and average the experts that agree.

Yu et al. 2024, arXiv 2311.03099: DARE as a plug-in before TIES (Yadav et al. 2023, arXiv 2306.01708).
The random drop takes the place of the trimming, as in peft. Density is 1 - p; the default is that of `dare_linear`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.baselines.changes import combine
from pyswarmopt_llm.baselines.method import Merged, Method, Settings
from pyswarmopt_llm.baselines.rules.dare_linear import drop_and_rescale
from pyswarmopt_llm.baselines.rules.ties import elect_and_merge
from pyswarmopt_llm.models.adapters.adapter import Adapter


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """DARE and TIES of each module."""
    generator = settings.generator()
    return combine(
        experts,
        settings,
        lambda changes, weights: elect_and_merge(drop_and_rescale(changes, settings.density, generator), weights),
    )


METHOD = Method(
    name="dare-ties",
    paper="Yu et al. 2024, arXiv 2311.03099",
    spaces=("delta", "factor"),
    execute=execute,
    weight=1.0,
    density=0.5,
    needs=frozenset({"seed"}),
)
