"""Prepares experts that are changes of one loaded base."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import Engine, MixtureSpace
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import Adapter, changed_weights
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.kind import Pool, SpaceKind


def prepare_adapters(kind: SpaceKind, config: SearchConfig) -> tuple[Pool, Engine]:
    """The pool of adapters for one base, read one at a time, with the base loaded.

    Raises:
        UserError: an adapter does not fit the base or the others, or is damaged.
    """
    over = kind.over
    if over is None:
        raise ValueError(f"{kind.name} does not mix adapters, so it needs its own `make`")
    base = resolve_base(config.base)
    report = inspect_experts(config.experts, base)
    report.require(config.space)
    experts = report.experts
    notes = {text: text for text in map(str, report.warnings)}
    changed = changed_weights(experts)

    def space(engine: Engine) -> MixtureSpace:
        return over([Adapter(info) for info in experts])

    return loaded(config, base, experts, space, notes, changed=changed)


def loaded(
    config: SearchConfig,
    base: BaseModel,
    experts: Sequence[Any],
    space: Callable[[Engine], MixtureSpace],
    notes: Mapping[str, str] = {},
    **how: Any,
) -> tuple[Pool, Engine]:
    """The pool of a search, and the engine with the base loaded.

    Args:
        config: configuration of the search.
        base: base to load.
        experts: their names and fingerprints.
        space: makes the space, given the engine.
        notes: topic -> note.
        **how: what candidates change; see `load_engine`.
    """
    engine = load_engine(
        base,
        config.dtype,
        config.device,
        config.threads,
        config.batch_tokens,
        mix=config.mix,
        system=config.system,
        rounded=config.quantize is not None,
        **how,
    )
    prints = {info.name: info.fingerprint for info in experts}
    fingerprints = {"base": base.fingerprint, "experts": prints}
    notes = {**notes, **engine.notes}
    return Pool(space(engine), fingerprints, base.name, experts, notes), engine
