"""What a way to mix experts is: `SpaceKind`, and the `Pool` that it makes of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Engine, Patch, Space
from pyswarmopt_llm.experts.adapter import Adapter

# Settings that some kinds take, at their defaults in all others -> where they belong.
_OPTIONS = {
    "contrast": "`space` token",
    "mix": "spaces factor and delta",
    "system": "one `base`",
    "thinking": "one `base`",
}


# Settings of a search -> the values besides None that leave it the paper's, and any other in words.
_DEPARTURES: dict[str, tuple[Container[Any], str]] = {
    "start": (("auto", "segments"), "starts: {}"),
    "max_iter": (range(1, sys.maxsize), "no iterations"),
    "method": (("auto", "swarm"), "candidates proposed by a model of the {}"),
    "train": (("auto", "off"), "training on the dev examples"),
    "contrast": ((False,), "negative weights that count against a token"),
}


@dataclass(frozen=True)
class Pool:
    """The experts of a search, and the space over them.

    Attributes:
        space: over the experts.
        fingerprints: fingerprints of the base, if there is one, and of the experts.
        base_name: the base's public name; "" where the experts have several.
        experts: what the space was made of, where it reads their weights (`AdapterInfo` or
            `ModelInfo`).
        notes: what to know of the base, by topic.
    """

    space: Space
    fingerprints: Mapping[str, Any]
    base_name: str = ""
    experts: Sequence[Any] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


def _own_size(experts: int) -> int:
    return experts


def _no_words(patch: Patch, names: Sequence[str]) -> str | None:
    return None


@dataclass(frozen=True)
class SpaceKind:
    """A way to mix experts; by default of LoRA adapters of one base, mixed into one adapter.

    Attributes:
        name: as `space` takes it.
        over: makes the space over adapters; None where others are mixed.
        make: finds the experts of a search, proves that they fit together, and loads what runs
            them; raises `UserError` with the first thing that is wrong.
        library: what loads ``best/``: ``peft`` (an adapter), ``transformers`` (a whole model), or
            "" (several models side by side, which need no common base).
        options: which of the settings contrast, mix, system and thinking it takes.
        published: whether a candidate is what the paper of Model Swarms makes of coefficients.
        linear: whether what a candidate adds to the base is linear in its coordinates; a mixture
            that was found can then be trained on dev (`train`).
        averages: whether the mean of positions is a candidate worth scoring.
        remembers: whether the probabilities of options are those of the experts, mixed: after these
            a candidate costs no pass.
        saved_as: the file that marks ``best/``; "" for models and adapters.
        open: an engine with what is `saved_as` in a directory: (folder, dtype, device, threads).
        title, description: how the model card begins; `{base}` and `{experts}` are filled in.
        size: coordinates of a candidate of so many experts.
        in_words: a candidate in words, for ``result.json``; None: its coefficients say all of it.
    """

    name: str
    over: Callable[[Sequence[Adapter]], Space] | None = None
    make: Callable[[SpaceKind, SearchConfig], tuple[Pool, Engine]] | None = None
    library: str = "peft"
    options: frozenset[str] = frozenset({"mix", "system", "thinking"})
    published: bool = False
    linear: bool = False
    averages: bool = True
    remembers: bool = False
    saved_as: str = ""
    open: Callable[[Path, str, str, int | None], Engine] | None = None
    title: str = "An adapter found by a swarm of experts"
    description: str = "A LoRA adapter for {base}: the mixture of {experts}"
    size: Callable[[int], int] = _own_size
    in_words: Callable[[Patch, Sequence[str]], str | None] = _no_words

    @property
    def adapters(self) -> bool:
        """Whether candidates are LoRA adapters."""
        return self.library == "peft"

    @property
    def several_models(self) -> bool:
        """Whether a candidate is several models side by side."""
        return not self.library

    def check(self, config: SearchConfig) -> None:
        """Refuse settings that do not go with this space, before anything is loaded.

        Raises:
            UserError: names the option.
        """
        for name, where in _OPTIONS.items():
            value = getattr(config, name)
            if name not in self.options and value != getattr(SearchConfig, name):
                why = f"goes with {where} only, not with {self.name}; remove it"
                raise InvalidOption(name, value, why)
        if not self.several_models and not config.base:
            why = "missing; name the model that the experts are adapters of"
            raise InvalidOption("base", None, why)

    def departures(self, config: Mapping[str, Any]) -> list[str]:
        """The differences of a search over this space from Model Swarms, published or released.

        Args:
            config: a `SearchConfig` as a dict; what it does not say is at its default.
        """
        departures = [] if self.published else [f"space {self.name}"]
        for name, (plain, text) in _DEPARTURES.items():
            value = config.get(name, getattr(SearchConfig, name))
            if value is not None and value not in plain:
                departures.append(text.format(value))
        return departures
