"""The strategies themselves, behind the names of `collective.strategies`."""

from __future__ import annotations

from pyswarmopt_llm.groups.negotiation import coalition, games, protocol, refinement, societies
from pyswarmopt_llm.groups.strategies import SOCIETY
from pyswarmopt_llm.groups.strategy import Strategy
from pyswarmopt_llm.groups.voting import cleaning, reranking, routing, sampling, selection, votes
from pyswarmopt_llm.groups.voting.rules import voting

CATALOGUE: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("majority", "Wang et al. 2023, arXiv 2203.11171", votes.majority),
        Strategy("weighted", "Nitzan and Paroush 1982", votes.weighted, dev=True),
        Strategy("confidence", "Taubenfeld et al. 2025, arXiv 2502.06233", votes.confidence, dev=True),
        Strategy("borda", "de Borda 1784", votes.ranked(voting.borda)),
        Strategy("condorcet", "Schulze 2011", votes.ranked(voting.condorcet)),
        Strategy("copeland", "Copeland 1951", votes.ranked(voting.copeland)),
        Strategy("reciprocal-rank", "Cormack, Clarke and Buettcher 2009", votes.ranked(voting.reciprocal_rank)),
        Strategy("debiased", "Zhou et al. 2023, arXiv 2309.17249", cleaning.debiased, dev=True, choices=True),
        Strategy("nearest", "Ko, Sabourin and Britto 2008", selection.nearest, dev=True, embeds=True),
        Strategy("cascade", "Wald 1945; Chen et al. 2023, arXiv 2305.05176", selection.cascade, dev=True, choices=True),
        Strategy("route-neighbours", "Woods, Kegelmeyer and Bowyer 1997", routing.by_neighbours, dev=True, embeds=True),
        Strategy(
            "route-likelihood",
            "Mavromatis et al. 2024, arXiv 2404.11531",
            routing.by_likelihood,
            dev=True,
            likelihoods=True,
        ),
        Strategy("repaired", "none", cleaning.repaired),
        Strategy("rank-pairs", "Jiang, Ren and Lin 2023, arXiv 2306.02561", reranking.rank_pairs),
        Strategy("fuse", "Jiang, Ren and Lin 2023, arXiv 2306.02561", reranking.fuse),
        Strategy("self-consistency", "Wang et al. 2023, arXiv 2203.11171", sampling.self_consistency),
        Strategy("reward", "Cobbe et al. 2021, arXiv 2110.14168", reranking.reward, extra="reward"),
        Strategy("refine", "Du et al. 2023, arXiv 2305.14325", refinement.refine),
        Strategy("consensus", "Lamport 1998", protocol.consensus, tolerant=True),
        Strategy("game", "Jacob et al. 2023, arXiv 2310.09139", games.consensus_game, likelihoods=True),
        Strategy("stackelberg", "Conitzer and Sandholm 2006", games.leader_and_follower, dev=True, choices=True),
        Strategy("coalition", "Mangal et al. 2024, arXiv 2408.01380", coalition.coalition, dev=True),
    )
}


def society(name: str) -> Strategy:
    """The society behind a name such as ``society:cce:ddr``.

    Raises:
        UserError: unknown traits or patterns.
    """
    traits, patterns = societies.parse(name.removeprefix(SOCIETY), name)
    return Strategy(
        name,
        "Zhang et al. 2023, arXiv 2310.02124",
        lambda room: societies.society(room, traits, patterns),
        measure=lambda items, verdicts: societies.measures(items, verdicts, patterns),
    )


__all__ = ["CATALOGUE", "society"]
