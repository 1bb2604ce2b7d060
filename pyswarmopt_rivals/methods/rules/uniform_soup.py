"""Uniform soup: the plain average of all experts (Wortsman et al. 2022, arXiv 2203.05482, there of whole models).

In ``factor`` space A and B are averaged each, as in a swarm's search; in ``delta`` space dW = (1/n) sum dW_i.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.spaces import build_space, uniform_position
from pyswarmopt_rivals.methods.method import Merged, Settings


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """The average; the candidate that a search in that space scores as its uniform average."""
    space = build_space(settings.space, experts)
    return Merged(space.realise(uniform_position(space)))
