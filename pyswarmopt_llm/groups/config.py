"""The configuration of a group and its strategies; imports no model code, so that ``--help`` can show the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyswarmopt_llm.tasks import Task


@dataclass(frozen=True)
class StrategySettings:
    """Hyperparameters of the strategies; each is the command-line option of that name (`passed` is ``--pass``).

    Attributes:
        samples: texts per member in self-consistency.
        temperature: sampling temperature.
        neighbours: number of nearest dev items, for strategies that use them.
        judge: spec of the member that compares or fuses answers; None: the best on dev.
        reward: spec of a reward model.
        rounds: maximum number of negotiation rounds after the first answers.
        agents: members of a society; a smaller group takes turns.
        passed: which arguments of the others a member reads, ``supported`` or ``different`` (`refinement.pass_on`).
        budget: maximum tokens of others' arguments per turn.
        quorum: members needed for a decision; None: more than half.
        seed: random seed of all samples.
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


@dataclass(frozen=True)
class CouncilConfig:
    """The configuration of `swarm-llm ensemble` and `swarm-llm negotiate`.

    Attributes:
        members: models, adapters, runs, mixtures or endpoints (`members.load.find_places`), most trusted first.
        strategies: names as `registry.find_names` returns them.
        task: a task file or ``builtin:NAME``; empty for a single prompt.
        out: output directory, new or resumable; None writes nothing.
        base: of the adapters among the members; None: each one's own.
        settings: of the strategies.
        dev: use only the first `dev` dev items (None: all).
        test: use only the first `test` test items (None: all).
        columns, template, split_seed: how the task is read (`load_task`).
        scoring: ``auto``, ``letter``, ``likelihood`` or ``generate``.
        dtype: ``auto``, ``bfloat16``, ``float16`` or ``float32``.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads (None: torch's default).
        allow_overlap: accept items that are in both dev and test.
        skip: skip strategies that the task or the members do not support, instead of raising.
    """

    members: tuple[str, ...]
    strategies: tuple[str, ...]
    task: str = ""
    out: str | None = None
    base: str | None = None
    settings: StrategySettings = field(default_factory=StrategySettings)
    dev: int | None = None
    test: int | None = None
    columns: tuple[str, ...] = ()
    template: tuple[str, ...] = ()
    split_seed: int = 0
    scoring: str = "auto"
    dtype: str = "auto"
    device: str = "auto"
    threads: int | None = None
    allow_overlap: bool = False
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


__all__ = ["CouncilConfig", "StrategySettings"]
