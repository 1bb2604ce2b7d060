"""Self-consistency: every member writes several times, and all texts vote."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.groups.context import Decide, GroupContext, Verdict
from pyswarmopt_llm.groups.responses import read_ballot
from pyswarmopt_llm.groups.voting.rules import voting
from pyswarmopt_llm.tasks import Item, render_prompt


def self_consistency(context: GroupContext) -> Decide:
    """Samples of all members, one vote each; a member's ballot is the majority of its own."""
    settings = context.settings

    def decide(items: Sequence[Item]) -> list[Verdict]:
        turns = [render_prompt(item, "generate", context.template) for item in items]
        drawn = [m.generate(turns, settings.samples, settings.temperature, settings.seed) for m in context.members]
        verdicts = []
        for i, item in enumerate(items):
            ballots = [[read_ballot(item, text) for text in row[i].texts] for row in drawn]
            # First samples first: a tie between members goes to the one listed first, not to its fifth sample.
            together = voting.majority([own[j] for j in range(settings.samples) for own in ballots])
            own = tuple(voting.majority(row).answer for row in ballots)
            tokens, notes = sum(row[i].tokens for row in drawn), {"samples": ballots}
            verdicts.append(Verdict(together.answer, own, together.agreement, tokens, len(together.tied) > 1, notes))
        return verdicts

    return decide


__all__ = ["self_consistency"]
