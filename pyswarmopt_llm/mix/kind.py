"""Kinds of spaces, as searches, reports and commands know them: the objects behind `space`."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.interfaces import Engine, Patch, Space
from pyswarmopt_llm.experts.adapter import Expert

# Settings that some kinds take, at their defaults in all others -> where they belong.
_OPTIONS = {
    "contrast": "`space` token",
    "mix": "spaces factor and delta",
    "system": "one `base`",
}

# Settings of a search -> the values besides None that leave it the paper's, and any other in words.
_DEPARTURES: dict[str, tuple[Container[Any], str]] = {
    "start": (("auto", "segments"), "starts: {}"),
    "max_iter": (range(1, sys.maxsize), "no iterations"),
    "surrogate": ((), "candidates proposed by a model of the {}"),
    "train": (("auto", "off"), "training on the dev items"),
    "confirm": ((), "leaders scored again on {} fresh items"),
    "contrast": ((False,), "negative weights that count against a token"),
}


@dataclass(frozen=True)
class Prepared:
    """A space with the engine that runs its candidates, as a search works with them.

    Attributes:
        space: over the experts.
        engine: runs its candidates.
        fingerprints: of the base, if there is one, and of the experts.
        base_name: the base's public name; "" where the experts have several.
        experts: what the space was made of, where it reads their weights (`AdapterInfo` or
            `ModelInfo`).
        notes: what to know of the base, by topic.
        decided: settings that the device's memory has decided; a run that goes on keeps them.
    """

    space: Space
    engine: Engine
    fingerprints: Mapping[str, Any]
    base_name: str = ""
    experts: Sequence[Any] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    decided: Mapping[str, Any] = field(default_factory=dict)


class SpaceKind(ABC):
    """A way to mix experts. A new one is a file with a subclass and `register(ItsKind())`.

    Kinds that have a name are final: one made from another would inherit `trains` and `published`.

    Attributes:
        name: as `space` takes it.
        options: which of the settings contrast, mix and system it takes.
        several_models: whether a candidate is several models side by side, which need no common
            base.
        takes_workers: whether other processes can score candidates (`workers`).
        trains: whether the mixture that was found can be trained on dev (`train`), as in ``delta``.
        linear: whether what a candidate adds to the base is linear in its coordinates.
        published: whether a candidate is what the paper of Model Swarms makes of coefficients.
        averages: whether the mean of positions is a candidate worth scoring.
        adapters: whether candidates are LoRA adapters.
        library: what loads ``best/``: ``peft``, ``transformers``, or "" where only this package
            does.
        saved_as: the file that marks ``best/``; "" for models and adapters.
        title, description: how the model card begins; `{base}` and `{experts}` are filled in.
    """

    name: ClassVar[str]
    options: ClassVar[frozenset[str]] = frozenset()
    several_models: ClassVar[bool] = False
    takes_workers: ClassVar[bool] = True
    trains: ClassVar[bool] = False
    linear: ClassVar[bool] = False
    published: ClassVar[bool] = False
    averages: ClassVar[bool] = True
    adapters: ClassVar[bool] = False
    library: ClassVar[str] = ""
    saved_as: ClassVar[str] = ""
    title: ClassVar[str] = "A result of a swarm of experts"
    description: ClassVar[str] = "Made of {experts}"

    @abstractmethod
    def prepare(self, config: SearchConfig) -> Prepared:
        """Find the experts, prove that they fit together, and load what runs them.

        Raises:
            UserError: the first thing that is wrong.
        """

    def check(self, config: SearchConfig) -> None:
        """Refuse settings that do not go with this space, before anything is loaded.

        Raises:
            UserError: names the option.
        """
        self.check_options({name: getattr(config, name) for name in _OPTIONS})
        if not self.several_models and not config.base:
            raise InvalidOption(
                "base", None, "missing; name the model that the experts are adapters of"
            )

    def check_options(self, values: Mapping[str, Any]) -> None:
        """Refuse settings that belong to other kinds, where they are not at their defaults.

        Raises:
            UserError: names the option.
        """
        for name, value in values.items():
            if name not in self.options and value != getattr(SearchConfig, name):
                raise InvalidOption(
                    name, value, f"goes with {_OPTIONS[name]} only, not with {self.name}; remove it"
                )

    def size(self, experts: int) -> int:
        """Coordinates of a candidate of so many experts."""
        return experts

    def departures(self, config: Mapping[str, Any]) -> list[str]:
        """In what a search over this space is not Model Swarms, neither as published nor as
        released.

        Args:
            config: a `SearchConfig` as a dict; what it does not say is at its default.
        """
        departures = [] if self.published else [f"space {self.name}"]
        for name, (plain, text) in _DEPARTURES.items():
            value = config.get(name, getattr(SearchConfig, name))
            if value is not None and value not in plain:
                departures.append(text.format(value))
        return departures

    def over_adapters(self, experts: Sequence[Expert]) -> Space:
        """The space over these adapters.

        Raises:
            UserError: it mixes something else, or cannot mix these.
        """
        raise InvalidOption(
            "space", self.name, "mixes whole models, not adapters; use one of: factor, delta"
        )

    def open(self, folder: Path, dtype: str, device: str, threads: int | None) -> Engine:
        """An engine with what `Space.save` wrote; for kinds with `saved_as`.

        Raises:
            UserError: the file is damaged, or what it names is not there.
        """
        raise UserError(f"{folder}: a result of space {self.name} cannot be loaded on its own")

    def in_words(self, patch: Patch, names: Sequence[str]) -> str | None:
        """A candidate in words, for ``result.json``; None: its coefficients say all of it."""
        return None
