"""Opens models by the names used on the command line."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Format, Patch
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import load_factors
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts, prompt_problems
from pyswarmopt_llm.mix import saved_kind

log = logging.getLogger(__name__)


def open_model(
    base: str,
    adapter: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    system: str = "",
    quantize: str | None = None,
) -> Engine:
    """A base model, optionally with an adapter merged into it; or the several models in a directory
    such as RUN/best.

    Args:
        base: directory, hub id, ``embedded:NAME``, or a directory of several models.
        adapter: an adapter for this base.
        dtype: dtype of the weights, as in a search.
        device: where the model runs.
        threads: CPU threads; None: PyTorch's choice.
        system: system turn before every question.
        quantize: format of the merged weights, such as ``q4_1``; None: they are not rounded.

    Returns:
        An engine with the model loaded.

    Raises:
        UserError: the base or the adapter cannot be used.

    Example:
        >>> engine = open_model("my/base", "adapters/math")  # doctest: +SKIP
        >>> engine.generate([engine.chat("Hello!")], max_new_tokens=8)  # doctest: +SKIP
        ['...']
    """
    kind = saved_kind(base)
    if kind is None or kind.open is None:
        form = format_of(quantize)
        patch = Patch(format=form)
        if adapter is not None:
            patch = adapter_patch(base, adapter, form)
        engine = load_engine(
            resolve_base(base),
            dtype,
            device,
            threads,
            system=system,
            changed=patch.low_rank.keys(),
            rounded=form is not None,
        )
        engine.load(patch)
        return engine
    if adapter or system or quantize:
        why = "remove `adapter`, `system` and `quantize`"
        raise UserError(f"{base} contains several models; {why}")
    return kind.open(Path(base), dtype, device, threads)


def format_of(quantize: str | None) -> Format | None:
    """The format of a name; None for None.

    Raises:
        UserError: there is no such format, or its package is not installed.
    """
    if quantize is None:
        return None
    from pyswarmopt_llm.formats import find_format

    return find_format(quantize)


def adapter_patch(base: str, adapter: str, form: Format | None = None) -> Patch:
    """An adapter's change to its base.

    Args:
        base: the base.
        adapter: adapter for the base.
        form: format of the merged weights; None: they are not rounded. Where the adapter has its own
            rounded weights in this format, they are taken.

    Returns:
        The patch, whose tensors are read on access.

    Raises:
        UserError: the adapter does not fit the base.

    Example:
        >>> engine = open_model("my/base")  # doctest: +SKIP
        >>> engine.load(adapter_patch("my/base", "adapters/math"))  # doctest: +SKIP
    """
    resolved = resolve_base(base)
    report = inspect_experts([adapter], resolved)
    report.require("delta")
    (info,) = report.experts
    for text in prompt_problems(info, resolved):
        log.warning("%s: %s", info.name, text)
    patch = Patch(low_rank=load_factors(info), format=form)
    if form is None:
        return patch
    from pyswarmopt_llm.formats.packed import read_packed

    return replace(patch, rounded=read_packed(info.path, form.name))
