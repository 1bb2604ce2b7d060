"""Spaces: the ways to mix experts, as searches, reports and commands know them; the module of one is
imported when it is used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Patch, Space
from pyswarmopt_llm.common.registry import lazy, plugins, unknown
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
        fingerprints: of the base, if there is one, and of the experts.
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


_prepare_adapters = lazy("pyswarmopt_llm.mix.one_base:prepare_adapters")


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
    make: Callable[[SpaceKind, SearchConfig], tuple[Pool, Engine]] = _prepare_adapters
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


_BUILT_IN = (
    SpaceKind("factor", lazy("pyswarmopt_llm.mix.factor:FactorSpace"), published=True),
    SpaceKind("delta", lazy("pyswarmopt_llm.mix.delta:DeltaSpace"), linear=True),
    SpaceKind(
        "full",
        make=lazy("pyswarmopt_llm.mix.full:prepare"),
        library="transformers",
        options=frozenset(),
        published=True,
        title="A model found by a swarm of experts",
        description="A model like {base}: the mixture of {experts}",
    ),
    SpaceKind(
        "token",
        make=lazy("pyswarmopt_llm.tokens.space:prepare"),
        library="",
        options=frozenset({"contrast"}),
        published=True,
        remembers=True,
        saved_as="mixture.json",
        open=lazy("pyswarmopt_llm.tokens.space:open_mixture"),
        title="A mixture of models found by a swarm",
        description=(
            "A weighted sum of the next-token distributions of {experts} `mixture.json` names the "
            "models, which stay where they are. Use this directory as a base model:"
        ),
    ),
)
_KINDS = {kind.name: kind for kind in _BUILT_IN}


def register(kind: SpaceKind) -> None:
    """Make a kind of space known by its name, which `SearchConfig.space` takes.

    Raises:
        ValueError: a kind of this package has that name.
    """
    if any(kind.name == built_in.name for built_in in _BUILT_IN):
        raise ValueError(f"{kind.name!r} is the name of a built-in space; choose another")
    _KINDS[kind.name] = kind


def space_kind(name: str) -> SpaceKind:
    """The kind of space of that name.

    Raises:
        UserError: there is none.

    Example:
        >>> space_kind("delta").several_models, space_kind("token").several_models
        (False, True)
    """
    if name in _KINDS:
        return _KINDS[name]
    if name in plugins("spaces"):
        return plugins("spaces")[name].load()
    raise unknown("space", name, dict.fromkeys((*_KINDS, *plugins("spaces"))))


def saved_kind(folder: str | Path) -> SpaceKind | None:
    """The kind of space whose file a directory such as RUN/best holds; None for a model or an
    adapter.
    """
    # of another package: NAME.json, known without importing it
    files = {name: f"{name}.json" for name in plugins("spaces")}
    files |= {name: kind.saved_as for name, kind in _KINDS.items() if kind.saved_as}
    for name, file in files.items():
        if (user_path(folder) / file).is_file():
            return space_kind(name)
    return None


def is_whole_model(folder: Path) -> bool:
    """Whether a directory holds a model, or several with the space that mixes them, and no
    adapter.
    """
    whole = saved_kind(folder) is not None or (folder / "config.json").is_file()
    return whole and not (folder / "adapter_config.json").is_file()


def build_space(name: str, experts: Sequence[Adapter]) -> Space:
    """The space of that name over these adapters.

    Args:
        name: ``factor``, ``delta``, or another kind that mixes adapters.
        experts: adapters; those whose weights are not held are read one at a time.

    Raises:
        UserError: no such space, no experts, or experts that it cannot mix.
    """
    over = space_kind(name).over
    if over is None:
        why = "mixes whole models, not adapters; use one of: factor, delta"
        raise InvalidOption("space", name, why)
    if not experts:
        raise UserError("no experts given; name their directories with `experts`")
    return over(experts)
