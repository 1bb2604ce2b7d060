"""Checks that each adapter is applied, completely, at its own scale, and also in bfloat16.

An adapter that is loaded but ignored raises no error anywhere (lm-eval issue 2432, unsloth issues
869 and 2142), and PEFT issue 3761 loses part of an adapter by a wrong scale. The change of weights
is compared with PEFT's; log-probabilities show that it reaches the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.by_token import next_token_logprobs
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.adapter import ADAPTER_FILES, AdapterInfo, changed_weights, load_factors
from pyswarmopt_llm.experts.base import BaseModel, Skeleton, resolve_base, skeleton
from pyswarmopt_llm.experts.compatibility import (
    ignored_in_words,
    in_words,
    inspect_experts,
    inspect_weights,
)
from pyswarmopt_llm.experts.files import local_directory, refuse_unmatched
from pyswarmopt_llm.experts.truncate import squared_norm
from pyswarmopt_llm.tools.flatten import check_flat, is_plain, load_by_peft

LEAST_KEPT = 0.5  # least share of an adapter's change kept in bfloat16
PROMPTS = (
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "Is this sentence friendly or rude? Thank you for your help.",
    "Name three colours.",
)
ROUNDING = 1e-5  # rounding in float32, relative to an adapter's norm
REPORT = "report it with its adapter_config.json, and mix it nowhere until then"


@dataclass(frozen=True)
class AdapterCheck:
    """The check of one adapter.

    Attributes:
        adapter: name of the adapter.
        path: path given by the user.
        problems: faults, each with a remedy; empty: none.
        warnings: oddities, as in `inspect`.
        numbers: measurements; None: the adapter could not be loaded.
    """

    adapter: str
    path: str
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    numbers: Numbers | None = None

    @property
    def ok(self) -> bool:
        """Whether it works as its files say, possibly with warnings."""
        return not self.problems

    def __str__(self) -> str:
        if self.problems:
            return f"{self.adapter}: {'; also, '.join(self.problems)}"
        verdict = f"warning: {'; also, '.join(self.warnings)}" if self.warnings else "ok"
        return f"{self.adapter}: {verdict}"


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


@dataclass(frozen=True)
class Numbers:
    """Measurements of an adapter.

    Attributes:
        norm: norm of the change of weights (Frobenius, all modules together).
        peft_norm: norm of PEFT's change.
        from_peft: norm of the difference between both, relative to the larger one.
        change: largest change of a log-probability, in nats.
        bfloat16_kept: share of the change kept in bfloat16, by projection; 1 for a packed base,
            whose weights stay unchanged.
    """

    norm: float
    peft_norm: float
    from_peft: float
    change: float
    bfloat16_kept: float


def check(
    adapters: Sequence[str | Path],
    base: str,
    device: str = "auto",
    threads: int | None = None,
) -> CheckReport:
    """Load each adapter as in a search and as in PEFT, and compare.

    Memory holds the base as in a search, and two adapters.

    Args:
        adapters: PEFT adapter directories or hub ids.
        base: base of the adapters: directory, hub id or ``embedded:smollm2-135m``.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads; None: PyTorch's choice.

    Returns:
        The problems and measurements of each adapter.

    Raises:
        UserError: an adapter is missing, or the base cannot be used. Problems of an adapter itself
            are in the report.

    Example:
        >>> for adapter in check(["adapters/math", "adapters/science"], "my/base").adapters:  # doctest: +SKIP
        ...     print(adapter)
        math: ok
        science: ok
    """
    if not adapters:
        raise UserError("no adapters given; name their directories")
    refuse_unmatched(adapters)
    for path in adapters:
        local_directory(path, ADAPTER_FILES)
    resolved = resolve_base(base)
    report = inspect_weights(inspect_experts(adapters, resolved), base)
    errors = {problem.expert: problem.text for problem in reversed(report.errors("delta"))}
    readable = [info for info in report.experts if info.name not in errors]
    found = _all_measured(readable, resolved, device, threads) if readable else {}
    checks = []
    for name, path in zip(report.names, adapters, strict=True):
        odd = tuple(problem.text for problem in report.warnings if problem.expert == name)
        if name in found:
            problems, numbers = found[name]
        else:
            problems, numbers = [_refusal(path, resolved, errors[name])], None
        checks.append(AdapterCheck(name, str(path), tuple(problems), odd, numbers))
    return CheckReport(base, tuple(checks))


Measured = tuple[list[str], Numbers | None]  # problems of an adapter, and its measurements


def _all_measured(
    infos: Sequence[AdapterInfo], base: BaseModel, device: str, threads: int | None
) -> dict[str, Measured]:
    """Measure adapters by name on the base, loaded once."""
    modules = skeleton(base)
    engine = load_engine(base, "auto", device, threads, changed=changed_weights(infos))
    return {info.name: _measured(engine, base, info, modules) for info in infos}


def _measured(
    engine: TransformersEngine, base: BaseModel, info: AdapterInfo, modules: Skeleton
) -> Measured:
    """The problems of an adapter that can be loaded, and its measurements."""
    try:
        numbers = measure(engine, base, info)
        selected = info.config.selected(modules.linear, modules.output) & modules.read
        return [*_coverage(info, selected), *_results(numbers)], numbers
    except UserError as error:
        return [str(error)], None


def _refusal(path: str | Path, base: BaseModel, error: str) -> str:
    """Why an adapter is not read: of another kind, it may be one that cannot be flattened."""
    if not is_plain(str(path)):
        try:
            check_flat(str(path), base)
        except UserError as odd:
            return odd.text
    return error


def _coverage(info: AdapterInfo, selected: frozenset[str]) -> Iterator[str]:
    """Unused tensors, and modules that the config selects but the file lacks."""
    if info.ignored:
        yield f"{ignored_in_words(info)}; select them there, or export it again"
    if lacks := sorted(selected - info.modules.keys()):
        yield (
            f"its adapter_config.json selects {in_words(lacks)}, which its file lacks: the base's "
            "stay there; export it again, or select only what was trained"
        )


def _results(numbers: Numbers) -> Iterator[str]:
    """The verdict on the measured differences; NaN is never within a bound."""
    if max(numbers.norm, numbers.peft_norm) <= 0:
        yield "changes nothing, in PEFT neither; train it, or export it again"
        return
    if not numbers.from_peft <= ROUNDING:
        yield (
            "weight 1 is not the adapter that PEFT loads: its changes of the weights differ by "
            f"{numbers.from_peft:.1%}; {REPORT}"
        )
    if not numbers.bfloat16_kept >= LEAST_KEPT:
        yield (
            f"in bfloat16 {max(numbers.bfloat16_kept, 0.0):.0%} of its change is left, the rest is "
            "lost in rounding the weights; use it in float32"
        )
    elif numbers.change <= 0:
        yield f"is not applied: log-probabilities with it are those of the base; {REPORT}"


def measure(engine: TransformersEngine, base: BaseModel, info: AdapterInfo) -> Numbers:
    """Measure an adapter's change, as loaded by the engine and by PEFT.

    Raises:
        UserError: PEFT does not load it, or log-probabilities are not numbers.
    """
    changes = load_factors(info)
    applied = next_tokens(engine, changes)
    bare = next_tokens(engine, {})  # removes it again
    by_peft = factors_by_peft(engine.model, info.path)
    norm = _norm(changes.values())
    peft_norm = _norm(by_peft.values())
    apart = [_less(changes, by_peft, name) for name in changes | by_peft]
    return Numbers(
        norm=norm,
        peft_norm=peft_norm,
        from_peft=_norm(apart) / (max(norm, peft_norm) or 1.0),
        change=float((applied - bare).abs().max()),
        bfloat16_kept=1.0 if base.packing else kept_in_bfloat16(engine.model, changes),
    )


def next_tokens(engine: TransformersEngine, changes: Mapping[str, LowRank]) -> Tensor:
    """Log-probabilities of the next token after `PROMPTS`, (prompts, V), for the base with
    `changes`.

    Raises:
        UserError: the log-probabilities are not numbers.
    """
    engine.load(Patch(low_rank=changes))
    return next_token_logprobs(engine, [engine.chat(prompt) for prompt in PROMPTS])


def _norm(changes: Iterable[LowRank]) -> float:
    """The Frobenius norm of several weights' changes together."""
    squares = math.fsum(float(squared_norm(change.b, change.a)) for change in changes)
    return math.sqrt(max(squares, 0.0))


def _less(first: Mapping[str, LowRank], second: Mapping[str, LowRank], name: str) -> LowRank:
    """The change of a weight in `first` minus the change in `second`; a missing one is 0."""
    if name not in second:
        return first[name]
    minus = LowRank(b=-second[name].b, a=second[name].a)
    return first[name].plus(minus) if name in first else minus


def kept_in_bfloat16(model: Any, changes: Mapping[str, LowRank]) -> float:
    """The share of a change kept by weights rounded to bfloat16: the projection onto the change."""
    left = whole = 0.0
    for name, change in changes.items():
        weight = model.get_parameter(name).detach().to("cpu", torch.float32)
        added = change.dense()
        moved = (weight + added).bfloat16().float() - weight.bfloat16().float()
        left += float((moved * added).sum())
        whole += float((added * added).sum())
    return left / whole if whole else 1.0


def factors_by_peft(model: Any, folder: Path) -> dict[str, LowRank]:
    """Weight -> its change by an adapter loaded with PEFT; the model stays unchanged.

    Raises:
        UserError: PEFT does not load it.
    """
    from peft.tuners.lora import LoraLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    factors = {}
    try:
        load_by_peft(model, folder)
        for name, layer in model.named_modules():
            if isinstance(layer, LoraLayer):
                (adapter,) = layer.active_adapters
                b = layer.lora_B[adapter].weight.detach()
                a = layer.lora_A[adapter].weight.detach()
                factors[f"{name}.weight"] = LowRank(b=b.cpu() * layer.scaling[adapter], a=a.cpu())
    finally:  # restore the layers, even after a failure
        wrapped = [n for n, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)]
        for name in wrapped:
            model.set_submodule(name, model.get_submodule(name).get_base_layer())
        if hasattr(model, "peft_config"):
            del model.peft_config
    return factors
