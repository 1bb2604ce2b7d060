"""Checks that each adapter is applied, completely, and at its own scale.

An adapter that is loaded but ignored raises no error anywhere (lm-eval issue 2432, unsloth issues
869 and 2142), and PEFT issue 3761 loses part of an adapter through a wrong scale. The change of weights
is compared with PEFT's; log-probabilities show that it reaches the model.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.by_token import next_token_logprobs
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.adapter import AdapterInfo, changed_weights, load_factors
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.tools.export import load_by_peft

log = logging.getLogger(__name__)
PROMPTS = ("What is the capital of France?", "Name three colours.")
ROUNDING = 1e-5  # rounding in float32, relative to an adapter's norm


def check(
    adapters: Sequence[str | Path], base: str, device: str = "auto", threads: int | None = None
) -> dict[str, str]:
    """Load each adapter as in a search and as in PEFT, and compare.

    It needs memory for the base, as in a search, and for two adapters.

    Args:
        adapters: PEFT adapter directories or hub ids.
        base: base of the adapters: directory, hub id or ``embedded:smollm2-135m``.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads; None: PyTorch's choice.

    Returns:
        Name of each adapter -> its fault with a remedy; "" if it works as its files specify.

    Raises:
        UserError: no adapter is given, or the base cannot be used.

    Example:
        >>> check(["adapters/math", "adapters/science"], "my/base")  # doctest: +SKIP
        {'math': '', 'science': ''}
    """
    resolved = resolve_base(base)
    report = inspect_experts(adapters, resolved)
    for problem in report.warnings:
        log.warning("%s", problem)
    faults = dict.fromkeys(report.names, "")
    faults |= {problem.expert: problem.text for problem in reversed(report.errors("delta"))}
    readable = [info for info in report.experts if not faults[info.name]]
    if readable:
        engine = load_engine(resolved, "auto", device, threads, changed=changed_weights(readable))
        bare = _next_tokens(engine, {})
        for info in readable:
            faults[info.name] = _fault(engine, info, bare)
    return faults


def _next_tokens(engine: TransformersEngine, changes: Mapping[str, LowRank]) -> Tensor:
    """Log-probabilities of the next token after `PROMPTS` with `changes`, (prompts, V)."""
    engine.load(Patch(low_rank=changes))
    return next_token_logprobs(engine, [engine.chat(prompt) for prompt in PROMPTS])


def _fault(engine: TransformersEngine, info: AdapterInfo, bare: Tensor) -> str:
    """How an adapter in this engine differs from the one in PEFT; "" if it does not.

    Args:
        engine: base, which stays unchanged.
        info: adapter.
        bare: what `_next_tokens` returns for the base.

    Raises:
        UserError: PEFT does not load the adapter.
    """
    try:
        changes = load_factors(info)
        applied = _next_tokens(engine, changes)
    except UserError as error:
        return error.text
    engine.load(Patch())
    adapted, unused, missing = load_by_peft(engine.model, info.path)
    size, apart = _distance(engine.model, changes)
    adapted.unload()
    report = "report this with its adapter_config.json, and do not mix it"
    if unused:
        return (
            f"PEFT ignores {unused[0]}, which it does not recognise; rename the tensor to use the "
            "adapter in PEFT"
        )
    if missing:
        lacks = missing[0].partition(".lora_")[0]
        return (
            f"its adapter_config.json selects {lacks}, which its file lacks, so the base model's "
            "weights are used; export it again, or select only what was trained"
        )
    if not apart <= ROUNDING * size:
        return f"its weight changes differ from those of the adapter in PEFT; {report}"
    if size <= 0:
        return "it changes nothing, not even in PEFT; train it, or export it again"
    if torch.equal(applied, bare):
        return (
            "it is not applied: log-probabilities equal those of the base model; unless rounding hides "
            f"its change, {report}"
        )
    return ""


@torch.no_grad()
def _distance(model: Any, changes: Mapping[str, LowRank]) -> tuple[float, float]:
    """The norm of the changes that PEFT has loaded into a model, and of their difference from ours."""
    from peft.tuners.lora import LoraLayer

    sizes = []
    gaps = []
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            gap = theirs = layer.get_delta_weight("default").cpu()
            if f"{name}.weight" in changes:
                gap = theirs - changes[f"{name}.weight"].dense()
            sizes.append(float(theirs.norm()))
            gaps.append(float(gap.norm()))
    return math.hypot(*sizes), math.hypot(*gaps)
