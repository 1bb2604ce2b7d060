"""What strategies can be told; importing this loads nothing else, so that ``--help`` can show the defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What strategies can be told; each is the option of that name on the command line (`passed` is ``--pass``).

    Attributes:
        samples: texts of each member in self-consistency.
        temperature: of samples.
        neighbours: dev items nearest to an item, for strategies that look at them.
        judge: spec of the member that compares or fuses answers; None: the best on dev.
        reward: spec of a reward model.
        rounds: most rounds of a negotiation after the first answers.
        agents: members of a society; a group with fewer takes turns.
        passed: which arguments of others a member is shown, ``supported`` or ``different`` ones (`refinement.pass_on`).
        budget: most tokens of others' arguments that a member is shown in a round.
        quorum: members that a decision needs; None: more than half.
        seed: of all samples.
        device: of a reward model.
    """

    samples: int = 5
    temperature: float = 0.7
    neighbours: int = 15
    judge: str | None = None
    reward: str | None = None
    rounds: int = 3
    agents: int = 3
    passed: str = "supported"
    budget: int = 256
    quorum: int | None = None
    seed: int = 0
    device: str = "auto"


__all__ = ["Settings"]
