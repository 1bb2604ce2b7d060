"""The functions of the strategies in `registry`, by name; importing this module loads model code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyswarmopt_groups.ensembles.learned import attentive, stacked, trusted
from pyswarmopt_groups.ensembles.reranking import fuse, reward
from pyswarmopt_groups.ensembles.selection import by_neighbours, cascade, nearest
from pyswarmopt_groups.ensembles.votes import (
    confidence,
    majority,
    ranked,
    self_consistency,
    weighted,
)
from pyswarmopt_groups.negotiation.coalition import coalition
from pyswarmopt_groups.negotiation.consensus_game import consensus_game
from pyswarmopt_groups.negotiation.paxos import consensus
from pyswarmopt_groups.negotiation.refinement import refine
from pyswarmopt_groups.negotiation.societies import measures, society
from pyswarmopt_groups.negotiation.stackelberg import leader_and_follower

FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        majority,
        weighted,
        confidence,
        ranked,
        self_consistency,
        stacked,
        trusted,
        attentive,
        nearest,
        cascade,
        by_neighbours,
        fuse,
        reward,
        refine,
        consensus,
        consensus_game,
        leader_and_follower,
        coalition,
        society,
    )
}
# for further metrics of a split
MEASURES: dict[str, Callable[..., dict[str, Any]]] = {"society": measures}
