"""From names to models that answer: the experts of a search on one base, or one model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Patch, Space
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import Adapter, AdapterInfo, changed_weights, load_factors
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.experts.compatibility import (
    as_notes,
    check_weights,
    inspect_experts,
    same_weights,
)
from pyswarmopt_llm.mix.kind import Pool, SpaceKind


def open_model(
    base: str,
    adapter: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    system: str = "",
) -> Engine:
    """A base model, optionally with an adapter merged into it; or the several models of a directory
    such as RUN/best.

    Args:
        base: directory, hub id, ``embedded:NAME``, or a directory of several models.
        adapter: an adapter of this base.
        dtype: dtype of the weights, as in a search.
        device: where the model runs.
        threads: CPU threads; None: PyTorch's choice.
        system: system turn before every question.

    Returns:
        An engine with the model loaded.

    Raises:
        UserError: the base or the adapter cannot be used.

    Example:
        >>> engine = open_model("my/base", "adapters/math")  # doctest: +SKIP
        >>> engine.generate([engine.chat("Hello!")], max_new_tokens=8)  # doctest: +SKIP
        ['...']
    """
    from pyswarmopt_llm.mix import saved_kind

    kind = saved_kind(base)
    if kind is None or kind.open is None:
        patch = Patch() if adapter is None else adapter_patch(base, adapter)
        engine = load_engine(
            resolve_base(base),
            dtype,
            device,
            threads,
            system=system,
            changed=patch.low_rank.keys(),
        )
        engine.load(patch)
        return engine
    for option, value in (("adapter", adapter), ("system", system)):
        if value:
            raise UserError(f"{base}: stands for several models, which take no `{option}`")
    return kind.open(Path(base), dtype, device, threads)


def adapter_patch(base: str, adapter: str) -> Patch:
    """An adapter's change of its base.

    Args:
        base: the base.
        adapter: adapter of the base.

    Returns:
        The patch, whose tensors are read on access.

    Raises:
        UserError: the adapter does not fit.

    Example:
        >>> engine = open_model("my/base")  # doctest: +SKIP
        >>> engine.load(adapter_patch("my/base", "adapters/math"))  # doctest: +SKIP
    """
    report = inspect_experts([adapter], resolve_base(base))
    report.require("delta")
    return Patch(low_rank=load_factors(report.experts[0]))


def prepare_adapters(kind: SpaceKind, config: SearchConfig) -> tuple[Pool, Engine]:
    """The pool of adapters of one base, read one at a time, with the base loaded.

    Raises:
        UserError: an adapter does not fit the base or the others, or is damaged.
    """
    base = resolve_base(config.base)
    experts, notes = find_adapters(config, base)
    engine = resident(config, base, changed=changed_weights(experts))
    if kind.over is None:
        raise ValueError(f"{kind.name} mixes no adapters: it needs a `make` of its own")
    space = kind.over([Adapter(info) for info in experts])
    return pool_of(space, engine, base, experts, notes)


def find_adapters(
    config: SearchConfig, base: BaseModel
) -> tuple[Sequence[AdapterInfo], dict[str, str]]:
    """The adapters, checked against the base and each other, and warnings.

    Raises:
        UserError: an adapter does not fit.
    """
    report = check_weights(inspect_experts(config.experts, base))
    report.require(config.space)
    return report.experts, as_notes(report.warnings)


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
    told = {**notes, **as_notes(same_weights(prints).values()), **engine.notes}
    return Pool(space, fingerprints, base.name, experts, told), engine
