"""The plan of a search: what was asked for, and every setting with the value that was decided.

It is decided once (`decide`), printed, priced and stored in ``run.json``. Resuming, workers and
analyses read it and decide nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pyswarmopt_llm.common.config import TRANSFORMERS, SearchConfig, given_settings
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.mix.kind import SpaceKind

OF_ITERATIONS = ("optimizer", "max_iter", "patience", "settings", "drop_k", "drop_n")


@dataclass(frozen=True)
class Plan:
    """A search that is decided.

    Attributes:
        config: the settings, every one with its value. While a search is being decided, these are
            the settings that were asked for.
        given: the settings that were given.
        why: topic -> why something was chosen, or was not, where a user should know.
    """

    config: SearchConfig
    given: Mapping[str, Any] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> SpaceKind:
        """The kind of space."""
        return space_kind(self.config.space)

    @property
    def size(self) -> int:
        """Coefficients of a candidate."""
        return self.kind.size(len(self.config.experts))

    @property
    def alone(self) -> bool:
        """Whether the search's own process does everything."""
        return self.config.processes == 1

    @property
    def local(self) -> bool:
        """Whether one process does everything, with its own base."""
        return self.config.engine == TRANSFORMERS and self.alone

    def with_settings(self, **values: Any) -> Self:
        """The plan with other values of these settings."""
        return replace(self, config=replace(self.config, **values))

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that were not given."""
        settings = given_settings(self.config).items()
        return {name: value for name, value in settings if name not in self.given}

    @property
    def trains(self) -> bool:
        """Whether something is trained at the end."""
        return self.config.train == "on"

    @property
    def proposals(self) -> int:
        """Candidates that a model proposes at most."""
        return self.config.proposals or 0

    @property
    def races(self) -> bool:
        """Whether the experts race, as where a model of the items is to propose mixtures of them."""
        return self.config.method == "items"

    @property
    def iterations_given(self) -> list[str]:
        """Settings of iterations that were given; `max_iter` 0 asks for none."""
        if self.given.get("max_iter") == 0:
            return []
        return [name for name in OF_ITERATIONS if name in self.given]

    @property
    def side_by_side(self) -> int:
        """Candidates that are scored at the same time, as far as that is known."""
        return max(self.config.processes, 1)

    @property
    def evaluations(self) -> int:
        """Evaluations if nothing stops the search early."""
        return self.config.population * (self.config.iterations + 1) + self.proposals
