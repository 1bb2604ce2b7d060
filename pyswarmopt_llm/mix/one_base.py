"""Prepares experts that are changes of one loaded base."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import Engine, Space
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import Adapter, AdapterInfo, changed_weights
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.kind import Pool, SpaceKind


def prepare_adapters(kind: SpaceKind, config: SearchConfig) -> tuple[Pool, Engine]:
    """The pool of adapters for one base, read one at a time, with the base loaded.

    Raises:
        UserError: an adapter does not fit the base or the others, or is damaged.
    """
    base = resolve_base(config.base)
    experts, notes = find_adapters(config, base)
    engine = resident(config, base, changed=changed_weights(experts))
    if kind.over is None:
        raise ValueError(f"{kind.name} does not mix adapters, so it needs its own `make`")
    space = kind.over([Adapter(info) for info in experts])
    return pool_of(space, engine, base, experts, notes)


def find_adapters(
    config: SearchConfig, base: BaseModel
) -> tuple[Sequence[AdapterInfo], dict[str, str]]:
    """The adapters, checked against the base and each other, and warnings.

    Raises:
        UserError: an adapter does not fit.
    """
    report = inspect_experts(config.experts, base)
    report.require(config.space)
    return report.experts, {text: text for text in map(str, report.warnings)}


def resident(
    config: SearchConfig,
    base: BaseModel,
    whole_models: bool = False,
    changed: Collection[str] = (),
) -> Engine:
    """The engine with the base loaded.

    Args:
        config: configuration of the search.
        base: base to load.
        whole_models: whether candidates replace all weights.
        changed: weights that candidates change, if known.
    """
    return load_engine(
        base,
        config.dtype,
        config.device,
        config.threads,
        batch_tokens=config.batch_tokens,
        whole_models=whole_models,
        mix=config.mix,
        system=config.system,
        changed=changed,
    )


def pool_of(
    space: Space, engine: Engine, base: BaseModel, experts: Sequence[Any], notes: dict[str, str]
) -> tuple[Pool, Engine]:
    """The pool of a search, with fingerprints and notes, and the engine."""
    prints = {info.name: info.fingerprint for info in experts}
    fingerprints = {"base": base.fingerprint, "experts": prints}
    return Pool(space, fingerprints, base.name, experts, {**notes, **engine.notes}), engine
