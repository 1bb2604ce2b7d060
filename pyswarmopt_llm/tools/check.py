"""Checks that each adapter is applied, completely, and at its own scale.

An adapter that is loaded but ignored raises no error anywhere (lm-eval issue 2432, unsloth issues
869 and 2142), and PEFT issue 3761 loses part of an adapter through a wrong scale. The change of weights
is compared with PEFT's; log-probabilities show that it reaches the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.by_token import next_token_logprobs
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.adapter import AdapterInfo, changed_weights, load_factors
from pyswarmopt_llm.experts.base import Skeleton, resolve_base, skeleton
from pyswarmopt_llm.experts.compatibility import ignored_in_words, in_words, inspect_experts
from pyswarmopt_llm.experts.truncate import squared_norm
from pyswarmopt_llm.tools.export import load_by_peft

PROMPTS = ("What is the capital of France?", "Name three colours.")
ROUNDING = 1e-5  # rounding in float32, relative to an adapter's norm


@dataclass(frozen=True)
class AdapterCheck:
    """The check of one adapter.

    Attributes:
        adapter: name of the adapter.
        path: path given by the user.
        problems: faults, each with a remedy; empty: none.
    """

    adapter: str
    path: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it works as its files specify."""
        return not self.problems

    def __str__(self) -> str:
        return f"{self.adapter}: {'; also, '.join(self.problems) or 'ok'}"


@dataclass(frozen=True)
class CheckReport:
    """The result of `check`.

    Attributes:
        base: base given by the user.
        adapters: one check per adapter, in the given order.

    Example:
        >>> report = check(["adapters/math"], "my/base")  # doctest: +SKIP
        >>> report.ok, [adapter.adapter for adapter in report.adapters]  # doctest: +SKIP
        (True, ['math'])
    """

    base: str
    adapters: tuple[AdapterCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether no adapter has a problem."""
        return all(adapter.ok for adapter in self.adapters)


def check(
    adapters: Sequence[str | Path], base: str, device: str = "auto", threads: int | None = None
) -> CheckReport:
    """Load each adapter as in a search and as in PEFT, and compare.

    It needs memory for the base, as in a search, and for two adapters.

    Args:
        adapters: PEFT adapter directories or hub ids.
        base: base of the adapters: directory, hub id or ``embedded:smollm2-135m``.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads; None: PyTorch's choice.

    Returns:
        The problems of each adapter.

    Raises:
        UserError: no adapter is given, or the base cannot be used. Problems of an adapter itself
            are in the report.

    Example:
        >>> for adapter in check(["adapters/math", "adapters/science"], "my/base").adapters:  # doctest: +SKIP
        ...     print(adapter)
        math: ok
        science: ok
    """
    resolved = resolve_base(base)
    report = inspect_experts(adapters, resolved)
    found = {problem.expert: [problem.text] for problem in reversed(report.errors("delta"))}
    readable = [info for info in report.experts if info.name not in found]
    if readable:
        modules = skeleton(resolved)
        engine = load_engine(resolved, "auto", device, threads, changed=changed_weights(readable))
        for info in readable:
            try:
                found[info.name] = [*_coverage(info, modules), *_differences(engine, info)]
            except UserError as error:
                found[info.name] = [str(error)]
    checks = (
        AdapterCheck(name, str(path), tuple(found[name]))
        for name, path in zip(report.names, adapters, strict=True)
    )
    return CheckReport(base, tuple(checks))


def _coverage(info: AdapterInfo, modules: Skeleton) -> Iterator[str]:
    """Unused tensors, and modules that the config selects but the file lacks."""
    if info.ignored:
        yield f"{ignored_in_words(info)}; select them there, or export it again"
    selected = info.config.selected(modules.linear, modules.output) & modules.read
    if lacks := sorted(selected - info.modules.keys()):
        yield (
            f"its adapter_config.json selects {in_words(lacks)}, which its file lacks, so the "
            "base model's weights are used; export it again, or select only what was trained"
        )


def _differences(engine: TransformersEngine, info: AdapterInfo) -> Iterator[str]:
    """Differences between an adapter in this engine and in PEFT; NaN is never within a bound.

    Raises:
        UserError: PEFT does not load it, or log-probabilities are not numbers.
    """
    changes = load_factors(info)
    applied = _next_tokens(engine, changes)
    bare = _next_tokens(engine, {})  # removes it again
    by_peft, ignored = _changes_by_peft(engine.model, info.path)
    foreign = [key for key in ignored if not any(module in key for module in info.ignored)]
    norm = max(_norm(changes), _norm(by_peft))
    minus = {name: LowRank(-change.b, change.a) for name, change in by_peft.items()}
    apart = _norm(Patch(low_rank=changes).with_low_rank(minus).low_rank)
    report = "report this with its adapter_config.json, and do not mix it"
    if norm <= 0:
        yield "it changes nothing, not even in PEFT; train it, or export it again"
    elif foreign:
        yield (
            f"PEFT ignores {in_words(foreign)}, whose names it does not recognise; rename these "
            "tensors to use the adapter in PEFT"
        )
    elif not apart <= ROUNDING * norm:
        yield (
            f"its weight changes differ by {apart / norm:.1%} from those of the adapter in PEFT; "
            f"{report}"
        )
    elif not float((applied - bare).abs().max()) > 0:
        yield (
            "it is not applied: log-probabilities equal those of the base model; unless rounding hides "
            f"its change, {report}"
        )


def _next_tokens(engine: TransformersEngine, changes: Mapping[str, LowRank]) -> Tensor:
    """Log-probabilities of the next token after `PROMPTS` with `changes`, (prompts, V)."""
    engine.load(Patch(low_rank=changes))
    return next_token_logprobs(engine, [engine.chat(prompt) for prompt in PROMPTS])


def _norm(changes: Mapping[str, LowRank]) -> float:
    """The Frobenius norm of several weights' changes."""
    squared = sum(float(squared_norm(c.b, c.a)) for c in changes.values())
    return math.sqrt(max(squared, 0.0))  # NaN stays NaN


def _changes_by_peft(model: Any, folder: Path) -> tuple[dict[str, LowRank], list[str]]:
    """Weight -> its change by an adapter loaded with PEFT, and the tensors that it leaves out; the
    model stays unchanged.
    """
    from peft.tuners.lora import LoraLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    changes = {}
    try:
        _, ignored, _ = load_by_peft(model, folder)
        for name, layer in model.named_modules():
            if isinstance(layer, LoraLayer):
                (adapter,) = layer.active_adapters
                b = layer.lora_B[adapter].weight.detach().cpu()
                a = layer.lora_A[adapter].weight.detach().cpu()
                changes[f"{name}.weight"] = LowRank(b=b * layer.scaling[adapter], a=a)
    finally:  # restore the layers, even after a failure
        for name, layer in list(model.named_modules()):
            if isinstance(layer, BaseTunerLayer):
                model.set_submodule(name, layer.get_base_layer())
        model.__dict__.pop("peft_config", None)
    return changes, ignored
