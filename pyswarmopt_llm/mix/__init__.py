"""Spaces: the ways to mix experts, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyswarmopt_llm.common.config import MIXTURE, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, MixtureSpace
from pyswarmopt_llm.common.registry import plugins, unknown
from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.mix.factor import FactorSpace
from pyswarmopt_llm.mix.full import prepare as prepare_models
from pyswarmopt_llm.mix.kind import Pool, SpaceKind
from pyswarmopt_llm.mix.one_base import prepare_adapters

TOKEN = "token"  # its kind is imported when it is chosen
_BUILT_IN = (
    SpaceKind("factor", FactorSpace),
    SpaceKind("delta", DeltaSpace, linear=True),
    SpaceKind(
        "full",
        make=prepare_models,
        library="transformers",
        description="A model with the architecture of {base}: a mixture of {experts}",
    ),
)
_KINDS = {kind.name: kind for kind in _BUILT_IN}


def make_pool(kind: SpaceKind, config: SearchConfig) -> tuple[Pool, Engine]:
    """The pool of a search, and the engine for its candidates; by default for adapters.

    Raises:
        UserError: the experts or the base cannot be used.
    """
    make = kind.make or prepare_adapters
    return make(kind, config)


def space_kind(name: str) -> SpaceKind:
    """The kind of space with this name.

    Raises:
        UserError: there is no such kind.

    Example:
        >>> space_kind("delta").several_models, space_kind("token").several_models
        (False, True)
    """
    if name in _KINDS:
        return _KINDS[name]
    if name == TOKEN:
        from pyswarmopt_llm.tokens.space import Token

        return Token
    of_plugins = plugins("spaces")
    if name in of_plugins:
        return of_plugins[name].load()
    raise unknown("space", name, dict.fromkeys((*_KINDS, TOKEN, *of_plugins)))


def saved_kind(folder: str | Path) -> SpaceKind | None:
    """The kind of space whose file is in a directory such as RUN/best; None for a model or adapter."""
    path = user_path(folder)
    for name, file in _saved_files().items():
        if (path / file).is_file():
            return space_kind(name)
    return None


def _saved_files() -> dict[str, str]:
    """Name of a kind of space -> the file that shows it, told without importing the kind: a kind of
    another package has NAME.json. Kinds that save a model or an adapter have none.
    """
    files = {TOKEN: MIXTURE}
    files |= {name: f"{name}.json" for name in plugins("spaces")}
    files |= {name: kind.saved_as for name, kind in _KINDS.items() if kind.saved_as}
    return files


def build_space(name: str, experts: Sequence[Adapter]) -> MixtureSpace:
    """The space with this name over these adapters.

    Args:
        name: ``factor``, ``delta``, or another kind that mixes adapters.
        experts: adapters; unloaded weights are read one adapter at a time.

    Raises:
        UserError: there is no such space, or it cannot mix the experts.
    """
    over = space_kind(name).over
    if over is None:
        why = "mixes whole models, not adapters; use factor or delta"
        raise InvalidOption("space", name, why)
    return over(experts)
