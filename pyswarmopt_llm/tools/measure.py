"""Log-probabilities with an adapter loaded in several ways."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.load import load_engine
from pyswarmopt_llm.engine.passes import undefined
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.experts.by_peft import load_by_peft
from pyswarmopt_llm.tools.layer_by_layer import LayerByLayer

T = TypeVar("T")
PROMPTS = (
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "Is this sentence friendly or rude? Thank you for your help.",
    "Name three colours.",
)
ROUNDING = 3e-5  # of float32, relative to the largest log-probability


@dataclass(frozen=True)
class Numbers:
    """The largest differences of any log-probability, in nats, in float32.

    Attributes:
        rounding: up to here two results count as equal.
        change: weight 1 from the base.
        peft_change: the adapter as PEFT loads it from the base.
        from_peft: weight 1 from the adapter as PEFT loads it.
        zero_from_base: weight 0 from the base.
        again: weight 1 from weight 1 loaded a second time.
        bfloat16_kept: share of the change that is left in bfloat16, by projection; NaN where
            there was none.
        quantisation: norm of what 4 bits leave out of the weights that it changes, relative to its
            change (|W - dequant(W4)| / |B A|); None for a base that is not in 4 bits.
    """

    rounding: float
    change: float
    peft_change: float
    from_peft: float
    zero_from_base: float
    again: float
    bfloat16_kept: float = float("nan")
    quantisation: float | None = None


def measure(
    base: BaseModel, adapters: Sequence[AdapterInfo], device: str, threads: int | None
) -> dict[str, Numbers | str]:
    """The numbers of each adapter, by its name, or why there are none."""
    measured: dict[str, Numbers | str] = {}
    effects: dict[str, Tensor] = {}
    meter = Meter(base, torch.float32, device, threads)
    for info in adapters:
        compared = _attempt(meter.compare, info)
        if isinstance(compared, str):
            measured[info.name] = compared
        else:
            measured[info.name], effects[info.name] = compared
    del meter  # before the base is loaded a second time
    gc.collect()  # PEFT leaves circles
    meter = Meter(base, torch.bfloat16, device, threads)
    for info in adapters:
        numbers = measured[info.name]
        if isinstance(numbers, Numbers):
            kept = _attempt(lambda adapter: meter.kept(adapter, effects[adapter.name]), info)
            measured[info.name] = (
                kept
                if isinstance(kept, str)
                else replace(
                    numbers, bfloat16_kept=kept, quantisation=meter.quantisation(base, info)
                )
            )
    return measured


def _attempt(job: Callable[[AdapterInfo], T], info: AdapterInfo) -> T | str:
    """What a job gives; a `UserError`'s text where it fails."""
    try:
        return job(info)
    except UserError as error:
        return str(error)


class Meter:
    """A base that computes in one dtype, before the prompts.

    Packed weights stay packed, others as they are stored.

    Args:
        base: to load.
        dtype: of what is computed.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads.

    Raises:
        UserError: the base's log-probabilities are not numbers.
    """

    def __init__(
        self, base: BaseModel, dtype: torch.dtype, device: str, threads: int | None
    ) -> None:
        spelled = str(dtype).removeprefix("torch.")
        self._engine = (
            load_engine(base, spelled, device, threads)
            if base.packing
            else LayerByLayer(base, device, dtype)
        )
        self._prompts = [self._engine.chat(prompt) for prompt in PROMPTS]
        self._bare = self.of({})

    def of(self, changes: Mapping[str, LowRank]) -> Tensor:
        """Log-probabilities of the next token after the prompts, (prompts, V) float32.

        Args:
            changes: of the base, by parameter.

        Raises:
            UserError: they are not numbers.
        """
        self._engine.load(Patch(low_rank=changes))
        values = self._engine.next_token_logprobs(self._prompts)
        if not bool(values.isfinite().any(-1).all()) or bool(values.isnan().any()):
            added = " with what is added to it" if changes else ""
            raise undefined(f"{self._engine.name}{added}", self._engine.dtype)
        return values

    def kept(self, info: AdapterInfo, whole: Tensor) -> float:
        """The share of an adapter's whole effect that is left in this dtype: its projection.

        Raises:
            UserError: results are not numbers.
        """
        effect = self.of(load_factors(info)) - self._bare
        return float((effect * whole).sum() / (whole * whole).sum())

    def quantisation(self, base: BaseModel, info: AdapterInfo) -> float | None:
        """See `Numbers`."""
        if not base.packing:
            return None
        from pyswarmopt_llm.tools.quantisation import quantisation_error

        return quantisation_error(self._engine.model, base, load_factors(info))

    def compare(self, info: AdapterInfo) -> tuple[Numbers, Tensor]:
        """The numbers of an adapter in this dtype, and what it adds to the log-probabilities.

        Raises:
            UserError: PEFT does not load it, or results are not finite.
        """
        changes = load_factors(info)
        nothing = {name: LowRank(b=change.b * 0, a=change.a) for name, change in changes.items()}
        once, zero = self.of(changes), self.of(nothing)
        again, peft = self.of(load_factors(info)), self._by_peft(info.path)
        numbers = Numbers(
            rounding=ROUNDING * max(1.0, float(self._bare.abs().max())),
            change=apart(once, self._bare),
            peft_change=apart(peft, self._bare),
            from_peft=apart(once, peft),
            zero_from_base=apart(zero, self._bare),
            again=apart(again, once),
        )
        return numbers, once - self._bare

    def _by_peft(self, folder: Path) -> Tensor:
        """Log-probabilities with an adapter as PEFT loads it from a folder.

        Raises:
            UserError: PEFT does not load it.
        """
        self._engine.load(Patch())
        model = self._engine.model
        try:
            load_by_peft(model, folder)
            return self._engine.next_token_logprobs(self._prompts)
        finally:
            _unwrap(model)


def apart(first: Tensor, second: Tensor) -> float:
    """The largest difference.

    Example:
        >>> import torch
        >>> apart(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.25]))
        0.5
    """
    return float((first - second).abs().max())


def _unwrap(model: Any) -> None:
    """Put the layers of a model back that PEFT wrapped, also if it failed in the middle."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    wrapped = [name for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name in wrapped:
        model.set_submodule(name, model.get_submodule(name).get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
