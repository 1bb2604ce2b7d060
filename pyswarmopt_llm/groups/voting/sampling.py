"""Self-consistency: every member writes several times, and all texts vote."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.groups.context import Room, Verdict
from pyswarmopt_llm.groups.responses import read_ballot
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.groups.voting.rules import voting
from pyswarmopt_llm.tasks import Item, render_prompt


def self_consistency(room: Room) -> Decide:
    """Samples of all members, one vote each; a member's ballot is the majority of its own.

    Raises:
        UserError: temperature 0, at which all samples are the same.
    """
    n, temperature = room.settings.samples, room.settings.temperature
    if n > 1 and temperature == 0:
        raise UserError(f"--temperature 0: the {n} samples of self-consistency would be one; give 0.7, say")

    def decide(items: Sequence[Item]) -> list[Verdict]:
        turns = [render_prompt(item, "generate", room.template) for item in items]
        said = [member.generate(turns, n, temperature, room.settings.seed) for member in room.members]
        verdicts = []
        for i, item in enumerate(items):
            ballots = [[read_ballot(item, text) for text in row[i].texts] for row in said]
            # First samples first: a tie between members goes to the one listed first, not to its fifth sample.
            together = voting.majority([own[j] for j in range(n) for own in ballots])
            own = tuple(voting.majority(row).answer for row in ballots)
            tokens = sum(row[i].tokens for row in said)
            notes = {"samples": ballots}
            verdicts.append(Verdict(together.answer, own, together.agreement, tokens, len(together.tied) > 1, notes))
        return verdicts

    return decide


__all__ = ["self_consistency"]
