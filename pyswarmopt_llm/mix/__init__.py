"""Spaces: the ways to mix experts.

A kind of space (`SpaceKind`) is one module, which is imported when its kind is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from pyswarmopt_llm.common import registry
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.common.registry import plugins
from pyswarmopt_llm.experts.adapter import Expert
from pyswarmopt_llm.mix.kind import SpaceKind

_MODULES = {
    "factor": "mix.factor:Factor",
    "delta": "mix.delta:Delta",
    "full": "mix.full:Full",
    "token": "tokens.space:Token",
}
# known without importing its module; of another package: NAME.json
_SAVED_AS = {"token": "mixture.json"}
_KINDS: dict[str, SpaceKind] = {}


def register(kind: SpaceKind) -> None:
    """Make a kind of space known by its name, which `SearchConfig.space` takes.

    Raises:
        ValueError: a kind of this package has that name.
    """
    if kind.name in _MODULES:
        raise ValueError(f"{kind.name!r} is the name of a built-in space; choose another")
    _KINDS[kind.name] = kind


def space_kind(name: str) -> SpaceKind:
    """The kind of space of that name, imported on first use.

    Raises:
        UserError: there is none.

    Example:
        >>> space_kind("delta").several_models, space_kind("token").several_models
        (False, True)
    """
    if name not in _KINDS:
        if name in _MODULES:
            _KINDS[name] = registry.load(f"pyswarmopt_llm.{_MODULES[name]}")()
        elif name in plugins("spaces"):
            register(plugins("spaces")[name].load()())
        else:
            raise registry.unknown(
                "space", name, dict.fromkeys((*_MODULES, *plugins("spaces"), *_KINDS))
            )
    return _KINDS[name]


def saved_kind(folder: str | Path) -> SpaceKind | None:
    """The kind of space whose file a directory such as RUN/best holds; None for a model or an
    adapter.
    """
    files = _SAVED_AS | {name: f"{name}.json" for name in plugins("spaces")}
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


def build_space(name: str, experts: Sequence[Expert]) -> Space:
    """The space of that name over these adapters.

    Args:
        name: ``factor``, ``delta``, or another kind that mixes adapters.
        experts: adapters; those of type `AdapterFile` are read one at a time.

    Raises:
        UserError: no such space, no experts, or experts that it cannot mix.
    """
    kind = space_kind(name)
    if not experts:
        raise UserError("no experts given; name their directories with `experts`")
    return kind.over_adapters(experts)


def uniform_position(space: Space) -> Tensor:
    """The position of the uniform average of all experts, (size,): the mean of the vertices."""
    return space.vertices().mean(0)


__all__ = [
    "SpaceKind",
    "build_space",
    "is_whole_model",
    "register",
    "saved_kind",
    "space_kind",
    "uniform_position",
]
