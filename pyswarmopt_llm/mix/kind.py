"""Ways to mix experts: `SpaceKind`, and the `Pool` that a kind makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Engine, MixtureSpace
from pyswarmopt_llm.experts.adapter import Adapter

OF_ONE_BASE = ("system", "thinking", "workers")  # settings


@dataclass(frozen=True)
class Pool:
    """The experts of a search, and the space over them.

    Attributes:
        space: space over the experts.
        fingerprints: of the base, if any, and of the experts.
        base_name: public name of the base; "" if the experts have several bases.
        experts: what the space was made of (`AdapterInfo` or `ModelInfo`), if it reads their
            weights.
        notes: topic -> note on the base.
    """

    space: MixtureSpace
    fingerprints: Mapping[str, Any]
    base_name: str = ""
    experts: Sequence[Any] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SpaceKind:
    """A way to mix experts; by default, LoRA adapters for one base mixed into one adapter.

    Attributes:
        name: value of `space`.
        over: makes the space over adapters; None if the experts are not adapters.
        make: finds the experts of a search, checks that they fit together, and loads an engine for
            them; raises `UserError` at the first fault.
        library: library that loads ``best/``: ``peft`` (an adapter), ``transformers`` (a whole
            model), or "" (several models without a common base).
        linear: whether a candidate's change of the base is linear in its coordinates; its mixtures
            can then be trained on dev (`train`).
        saved_as: file that marks ``best/``; "" for models and adapters.
        open: opens an engine from a directory with `saved_as`: (folder, dtype, device, threads).
        description: start of the model card; `{base}` and `{experts}` are filled in.
        size: coordinates of a candidate, given the number of experts.
    """

    name: str
    over: Callable[[Sequence[Adapter]], MixtureSpace] | None = None
    make: Callable[[SpaceKind, SearchConfig], tuple[Pool, Engine]] | None = None
    library: str = "peft"
    linear: bool = False
    saved_as: str = ""
    open: Callable[[Path, str, str, int | None], Engine] | None = None
    description: str = "A LoRA adapter for {base}: a mixture of {experts}"
    size: Callable[[int], int] = lambda experts: experts

    @cached_property
    def adapters(self) -> bool:
        """Whether candidates are LoRA adapters."""
        return self.library == "peft"

    @cached_property
    def several_models(self) -> bool:
        """Whether a candidate consists of several models."""
        return not self.library

    def check(self, config: SearchConfig) -> None:
        """Refuse settings that do not apply to this space, before anything is loaded.

        Raises:
            UserError: an option does not apply.
        """
        lacking = {} if self.adapters else {"mix": "spaces factor and delta"}
        if self.several_models:
            lacking |= dict.fromkeys(OF_ONE_BASE, "a single `base`")
        for name, where in lacking.items():
            value = getattr(config, name)
            if value != getattr(SearchConfig, name):
                why = f"is only available with {where}, not with space {self.name}; remove it"
                raise InvalidOption(name, value, why)
        if not self.several_models and not config.base:
            why = "is missing; set it to the experts' base model"
            raise InvalidOption("base", None, why)
