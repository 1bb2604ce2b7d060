"""All strategies by name; importing this module loads no model code.

To add one: a function from `GroupContext` to `Decide` in a file of `voting/` or `negotiation/`, and an entry in `VOTES`
or `NEGOTIATIONS`.

Example:
    >>> VOTES["borda"].text
    'points by place (de Borda 1784)'
    >>> find_names(["vote:majority", "weighted"], VOTES)
    Traceback (most recent call last):
    pyswarmopt_llm.common.errors.UserError: strategy vote:majority: unknown; did you mean majority?
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.registry import load, lookup, unknown

if TYPE_CHECKING:
    from pyswarmopt_groups.context import Decide, GroupContext, Verdict
    from pyswarmopt_llm.tasks import Item

Need = Literal["reward", "samples", "dev", "choices", "likelihoods", "embeddings", "judge"]


@dataclass(frozen=True)
class Strategy:
    """A strategy of a group, with what it needs.

    Attributes:
        name: as the user writes it.
        text: one line of help.
        source: author, year, arXiv number or journal.
        function: ``module:function`` within this package; imported on use.
        needs: what it cannot run without; ``samples`` that differ need a temperature above 0, ``embeddings`` a model in
            this process, a ``judge`` a member that does more than vote.
        arguments: of the function, after the context.
        tolerant: whether it continues when members fail.
        measure: function for further metrics of a split; also takes `arguments`.
        module: that it needs of an extra (`common.extras`).
    """

    name: str
    text: str
    source: str
    function: str
    needs: Collection[Need] = ()
    arguments: tuple[str, ...] = ()
    tolerant: bool = False
    measure: str | None = None
    module: str | None = None

    def fit(self, context: GroupContext) -> Decide:
        """Fit on dev, if needed; returns the function that decides items."""
        decide: Decide = load(f"pyswarmopt_groups.{self.function}")(context, *self.arguments)
        return decide

    def measures(self, items: Sequence[Item], verdicts: Sequence[Verdict]) -> dict[str, Any]:
        """Further metrics for the strategy's row of ``result.json``."""
        if self.measure is None:
            return {}
        metrics: dict[str, Any] = load(f"pyswarmopt_groups.{self.measure}")(items, verdicts, *self.arguments)
        return metrics


def _table(*strategies: Strategy) -> dict[str, Strategy]:
    return {strategy.name: strategy for strategy in strategies}


# fmt: off
VOTES = _table(
    Strategy("majority", "what most members say (Wang 2023)",
             "Wang et al. 2023, arXiv 2203.11171", "voting.votes:majority"),
    Strategy("weighted", "log-odds of dev accuracies (Nitzan 1982)",
             "Nitzan and Paroush 1982", "voting.votes:weighted", {"dev"}),
    Strategy("confidence", "calibrated probabilities (Taubenfeld 2025)",
             "Taubenfeld et al. 2025, arXiv 2502.06233", "voting.votes:confidence", {"dev"}),
    Strategy("stacked", "weights of log-probabilities, learned together (Wolpert 1992)",
             "Wolpert 1992; Ting and Witten 1999, arXiv 1105.5466", "voting.stacking:stacked", {"dev", "choices"}),
    Strategy("trust", "weights that follow agreement (Dawid 1979)",
             "Dawid and Skene 1979", "voting.trust:trusted", {"dev"}),
    Strategy("borda", "points by place (de Borda 1784)",
             "de Borda 1784", "voting.votes:ranked", arguments=("borda",)),
    Strategy("condorcet", "duels, completed by Schulze (2011)",
             "Schulze 2011", "voting.votes:ranked", arguments=("condorcet",)),
    Strategy("nearest", "those who are right on the nearest dev items (Ko 2008)",
             "Ko, Sabourin and Britto 2008", "voting.selection:nearest", {"dev", "embeddings"}),
    Strategy("cascade", "one after the other until sure (Wald 1945)",
             "Wald 1945; Chen et al. 2023, arXiv 2305.05176", "voting.selection:cascade", {"dev", "choices"}),
    Strategy("route-neighbours", "the best on the nearest dev items alone (Woods 1997)",
             "Woods, Kegelmeyer and Bowyer 1997", "voting.routing:by_neighbours", {"dev", "embeddings"}),
    Strategy("route-likelihood", "by the experts' likelihood of the question (Mavromatis 2024)",
             "Mavromatis et al. 2024, arXiv 2404.11531", "voting.routing:by_likelihood",
             {"dev", "likelihoods"}, module="sklearn"),
    Strategy("repaired", "majority; unreadable answers are requested again",
             "none", "voting.votes:repaired"),
    Strategy("fuse", "the judge writes from the best three (Jiang 2023)",
             "Jiang, Ren and Lin 2023, arXiv 2306.02561", "voting.reranking:fuse", {"judge"}),
    Strategy("self-consistency", "several samples of each member (Wang 2023)",
             "Wang et al. 2023, arXiv 2203.11171", "voting.votes:self_consistency", {"samples"}),
    Strategy("reward", "a reward model chooses (Cobbe 2021)",
             "Cobbe et al. 2021, arXiv 2110.14168", "voting.reranking:reward", {"reward"}),
)

NEGOTIATIONS = _table(
    Strategy("refine", "rounds of arguments until all agree (Du 2023)",
             "Du et al. 2023, arXiv 2305.14325", "negotiation.refinement:refine"),
    Strategy("consensus", "proposals and a quorum, though members fail (Lamport 1998)",
             "Lamport 1998", "negotiation.protocol:consensus", tolerant=True),
    Strategy("game", "proposer and evaluator in equilibrium (Jacob 2023)",
             "Jacob et al. 2023, arXiv 2310.09139", "negotiation.consensus_game:consensus_game", {"likelihoods"}),
    Strategy("stackelberg", "leader and follower (Conitzer 2006)",
             "Conitzer and Sandholm 2006", "negotiation.matrix_games:leader_and_follower", {"dev", "choices"}),
    Strategy("coalition", "plan, slots and answer by who does each best (Mangal 2024)",
             "Mangal et al. 2024, arXiv 2408.01380", "negotiation.coalition:coalition", {"dev"}),
    Strategy("societies", "all traits and thinking patterns (Zhang 2023)",
             "Zhang et al. 2023, arXiv 2310.02124", "negotiation.societies:society",
             measure="negotiation.societies:measures"),
)
# fmt: on

SOCIETY = "society:"  # society:cce:ddr: two confident agents and an easy-going one debate twice, then reflect


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
    wanted: Sequence[str], known: Collection[str], agents: int = 3, rounds: int = 3, where: str = "`strategy`"
) -> list[str]:
    """The strategies that a user names, without duplicates; ``all`` and ``societies`` (by agents and rounds) expanded.

    Raises:
        UserError: an empty list, or an unknown name; suggests the nearest, or lists all.
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
    """The strategy of a name that `find_names` returns.

    Raises:
        UserError: an unknown name, or a society with unknown traits or patterns.
    """
    if not name.startswith(SOCIETY):
        return lookup("strategy", name, {**VOTES, **NEGOTIATIONS})
    traits, _, patterns = name.removeprefix(SOCIETY).partition(":")
    if not traits or not patterns or set(traits) - set("ce") or set(patterns) - set("dr"):
        raise UserError(
            f"`strategy` {name}: write society:TRAITS:PATTERNS, such as society:cce:ddr (c confident, e easy-going; "
            "d debate, r reflect)"
        )
    return replace(NEGOTIATIONS["societies"], name=name, arguments=(traits, patterns))
