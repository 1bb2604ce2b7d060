"""What a group does with a task: every choice that decides its figures, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from pyswarmopt_llm.groups.settings import Settings


@dataclass(frozen=True)
class CouncilConfig:
    """The configuration of `swarm-llm ensemble` and `swarm-llm negotiate`.

    Attributes:
        members: models, adapters, runs, mixtures or endpoints (`members.opening.find_places`), most trusted first.
        strategies: names as `strategies.find_names` gives them.
        task: a task file or ``builtin:NAME``; empty for a single prompt.
        out: directory to create or to go on with; None keeps nothing.
        base: of the adapters among the members; None: each one's own.
        settings: of the strategies.
        dev: use only the first `dev` dev items (None: all).
        test: the same for test.
        scoring: ``auto``, ``letter``, ``likelihood`` or ``generate``.
        dtype: ``auto``, ``bfloat16``, ``float16`` or ``float32``.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads (None: as torch finds them).
        allow_overlap: accept items that are in dev and in test.
        skip: leave out strategies that this task or these members do not allow, instead of refusing them.
    """

    members: tuple[str, ...]
    strategies: tuple[str, ...]
    task: str = ""
    out: str | None = None
    base: str | None = None
    settings: Settings = field(default_factory=Settings)
    dev: int | None = None
    test: int | None = None
    scoring: str = "auto"
    dtype: str = "auto"
    device: str = "auto"
    threads: int | None = None
    allow_overlap: bool = False
    skip: bool = False

    def flat(self) -> dict[str, object]:
        """All settings by the names of their options."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "settings"}
        return own | {one.name: getattr(self.settings, one.name) for one in fields(self.settings)}


__all__ = ["CouncilConfig"]
