"""All strategies by name: what a user can ask for, with its source. Importing this loads no model code.

To add one: a function from `Room` to `Decide` in a file of `ensemble/` or `negotiation/`, and a line in a table below.

Example:
    >>> VOTES["borda"]
    'points by place (de Borda 1784)'
    >>> find_names(["vote:majority", "weighted"], VOTES)
    Traceback (most recent call last):
    pyswarmopt_llm.common.errors.UserError: --strategy vote:majority: unknown; did you mean majority?
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.registry import unknown

if TYPE_CHECKING:
    from pyswarmopt_llm.groups.strategy import Strategy

VOTES = {
    "majority": "what most members say (Wang 2023)",
    "weighted": "log-odds of dev accuracies (Nitzan 1982)",
    "confidence": "calibrated probabilities (Taubenfeld 2025)",
    "borda": "points by place (de Borda 1784)",
    "condorcet": "duels, completed by Schulze (2011)",
    "copeland": "duels won (Copeland 1951)",
    "reciprocal-rank": "sum of 1 / (60 + rank) (Cormack 2009)",
    "debiased": "majority without the liking for places (Zhou 2023)",
    "nearest": "those who are right on the nearest dev items (Ko 2008)",
    "cascade": "one after the other until sure (Wald 1945)",
    "route-neighbours": "the best on the nearest dev items alone (Woods 1997)",
    "route-likelihood": "by the experts' likelihood of the question (Mavromatis 2024)",
    "repaired": "majority; unreadable answers are asked for again",
    "rank-pairs": "a judge compares all pairs (Jiang 2023)",
    "fuse": "the judge writes from the best three (Jiang 2023)",
    "self-consistency": "several samples of each member (Wang 2023)",
    "reward": "a reward model chooses (Cobbe 2021)",
}

NEGOTIATIONS = {
    "refine": "rounds of arguments until all agree (Du 2023)",
    "consensus": "proposals and a quorum, though members fail (Lamport 1998)",
    "game": "proposer and evaluator in equilibrium (Jacob 2023)",
    "stackelberg": "leader and follower (Conitzer 2006)",
    "coalition": "plan, slots and answer by who does each best (Mangal 2024)",
    "societies": "all traits and thinking patterns (Zhang 2023)",
}

SOCIETY = "society:"  # society:cce:ddr names one: two confident and an easy-going one, who debate twice and reflect


def society_names(agents: int, rounds: int) -> list[str]:
    """All societies of Zhang et al.: from all confident to all easy-going, every order of debate and reflection.

    Example:
        >>> society_names(1, 1)
        ['society:c:d', 'society:c:r', 'society:e:d', 'society:e:r']
    """
    traits = ["c" * (agents - easy) + "e" * easy for easy in range(agents + 1)]
    patterns = ["".join(order) for order in itertools.product("dr", repeat=rounds)]
    return [f"{SOCIETY}{who}:{how}" for who in traits for how in patterns]


def find_names(
    wanted: Sequence[str], known: Collection[str], agents: int = 3, rounds: int = 3, where: str = "--strategy"
) -> list[str]:
    """The strategies that a user names, ``all`` and ``societies`` written out, each once.

    Args:
        wanted: names.
        known: `VOTES` or `NEGOTIATIONS`.
        agents: of each society.
        rounds: of each society.
        where: the option, for messages.

    Raises:
        UserError: none, or an unknown one; names the nearest, or all.
    """
    found: list[str] = []
    for name in wanted:
        for one in known if name == "all" else (name,):
            if one not in known and not (one.startswith(SOCIETY) and "societies" in known):
                raise unknown(where, one, known, f"use all or some of: {', '.join(known)}")
            found += society_names(agents, rounds) if one == "societies" else [one]
    if not found:
        raise UserError(f"{where}: none given; use all or some of: {', '.join(known)}")
    return list(dict.fromkeys(found))


def load_strategy(name: str) -> Strategy:
    """The strategy of that name, as `find_names` gives it.

    Raises:
        UserError: a society that cannot be.
    """
    from pyswarmopt_llm.groups.catalogue import CATALOGUE, society

    return society(name) if name.startswith(SOCIETY) else CATALOGUE[name]


__all__ = ["NEGOTIATIONS", "SOCIETY", "VOTES", "find_names", "load_strategy", "society_names"]
