"""The configuration of a group and its strategies; imports no model code, so that ``--help`` can show the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated

from pyswarmopt_llm.common.options import (
    OUTPUT,
    TASK,
    Columns,
    Dev,
    Device,
    Dtype,
    Option,
    Overlap,
    Scoring,
    SplitSeed,
    Template,
    Test,
    Threads,
    documented,
)

if TYPE_CHECKING:
    from pyswarmopt_llm.tasks import Task


@documented
@dataclass(frozen=True)
class VoteSettings:
    """Hyperparameters of the strategies of `swarm-llm ensemble`."""

    samples: Annotated[int, Option("Texts a member (self-consistency).", "N", least=1)] = 5
    temperature: Annotated[float, Option("Of samples.", "T", hidden=True, least=0)] = 0.7
    neighbours: Annotated[int, Option("Dev items (nearest, route-neighbours).", "K", hidden=True, least=1)] = 15
    judge: Annotated[str | None, Option("Who compares and fuses (the best on dev).", "M")] = None
    reward: Annotated[str | None, Option("Reward model (reward).", "R")] = None
    seed: Annotated[int, Option("Of samples.", "S", hidden=True, least=0)] = 0


@documented
@dataclass(frozen=True)
class NegotiationSettings:
    """Hyperparameters of the strategies of `swarm-llm negotiate`."""

    rounds: Annotated[int, Option("Most rounds (refine, societies).", "R", least=1)] = 3
    agents: Annotated[int, Option("Agents of each society.", "N", least=1)] = 3
    passed: Annotated[str, Option("supported or different arguments (refine).", "P", name="pass")] = "supported"
    budget: Annotated[int, Option("Most tokens of arguments a turn (refine).", "N", hidden=True, least=0)] = 256
    quorum: Annotated[int | None, Option("Members a decision needs (more than half).", "Q", least=1)] = None


@dataclass(frozen=True)
class StrategySettings(NegotiationSettings, VoteSettings):
    """Hyperparameters of all strategies.

    Attributes:
        device: of a reward model.
    """

    device: str = "auto"


@documented
@dataclass(frozen=True)
class CouncilConfig:
    """The configuration of a group: its members, the task and the machine.

    ``strategies`` are names as `registry.find_names` returns them; with ``skip``, those that the task or the members do
    not support are left out instead of refused. ``settings`` are the strategies'. An empty ``task`` stands for a single
    prompt, no ``out`` for nothing written, no ``base`` for each adapter's own.
    """

    members: Annotated[
        tuple[str, ...], Option("Models, adapters, runs, mixtures or URL#MODEL; trusted first.", "M...", TASK)
    ]
    strategies: tuple[str, ...] = ()
    task: Annotated[str, Option("File, builtin:, hub: or published:NAME.", "T", TASK)] = ""
    out: Annotated[str | None, Option("To create, or to go on with (nothing is kept).", "DIR", OUTPUT)] = None
    base: Annotated[str | None, Option("Base of the adapters (each one's own).", "B", TASK)] = None
    settings: StrategySettings = field(default_factory=StrategySettings)
    dev: Dev = None
    test: Test = None
    columns: Columns = ()
    template: Template = ()
    split_seed: SplitSeed = 0
    scoring: Scoring = "auto"
    dtype: Dtype = "auto"
    device: Device = "auto"
    threads: Threads = None
    allow_overlap: Overlap = False
    skip: bool = False

    def load(self) -> Task:
        """The task.

        Raises:
            UserError: it cannot be read.
        """
        from pyswarmopt_llm.tasks import load_task

        names = ("dev", "test", "allow_overlap", "columns", "template", "split_seed")
        return load_task(self.task, **{name: getattr(self, name) for name in names})

    def flat(self) -> dict[str, object]:
        """All fields, those of `settings` included, by name."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "settings"}
        return own | {one.name: getattr(self.settings, one.name) for one in fields(self.settings)}


__all__ = ["CouncilConfig", "NegotiationSettings", "StrategySettings", "VoteSettings"]
