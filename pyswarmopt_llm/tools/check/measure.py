"""Log-probabilities with an adapter loaded in several ways, and what they say is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.extras import BITSANDBYTES
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.passes import undefined
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import AdapterInfo
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.experts.by_peft import load_by_peft
from pyswarmopt_llm.experts.compatibility import ignored_in_words
from pyswarmopt_llm.tools.check.layer_by_layer import LayerByLayer
from pyswarmopt_llm.tools.check.quantisation import quantisation_error

PROMPTS = (
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "Is this sentence friendly or rude? Thank you for your help.",
    "Name three colours.",
)
ROUNDING = 3e-5  # of float32, relative to the largest log-probability

Changes = Mapping[str, LowRank]  # by parameter of the base
LEAST_KEPT = 0.5  # of an adapter's effect, in bfloat16
REPORT = "report it with its adapter_config.json, and mix it nowhere until then"


@dataclass(frozen=True)
class Differences:
    """The largest differences of any log-probability, in nats, in float32.

    Attributes:
        rounding: up to here two results count as equal.
        change: weight 1 from the base.
        peft_change: the adapter as PEFT loads it from the base.
        from_peft: weight 1 from the adapter as PEFT loads it.
        zero_from_base: weight 0 from the base.
        again: weight 1 from weight 1 loaded a second time.
    """

    rounding: float
    change: float
    peft_change: float
    from_peft: float
    zero_from_base: float
    again: float


class Meter:
    """A base in one dtype, before the prompts.

    Args:
        engine: the resident base.

    Attributes:
        base: the bare base's natural log-probabilities of the next token, (prompts, V) float32.

    Raises:
        UserError: those are not numbers.
    """

    def __init__(self, engine: TransformersEngine | LayerByLayer) -> None:
        self._engine = engine
        self._prompts = [engine.chat(prompt) for prompt in PROMPTS]
        self.base = self.of({})

    def of(self, changes: Changes) -> Tensor:
        """Log-probabilities of the base with these changes.

        Raises:
            UserError: they are not numbers.
        """
        self._engine.load(Patch(low_rank=changes))
        found = self._engine.next_token_logprobs(self._prompts)
        if not bool(found.isfinite().any(-1).all()) or bool(found.isnan().any()):
            added = " with what is added to it" if changes else ""
            raise undefined(f"{self._engine.name}{added}", self._engine.dtype)
        return found

    def by_peft(self, folder: Path) -> Tensor:
        """Log-probabilities of the base with an adapter as PEFT loads it from a folder.

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

    def quantisation(self, base: BaseModel, changes: Changes) -> float | None:
        """See `quantisation_error`; None for a plain base."""
        if base.packing != BITSANDBYTES:
            return None
        return quantisation_error(self._engine.model, base, changes)

    def differences(
        self, first: Tensor, changes: Changes, again: Changes, folder: Path
    ) -> Differences:
        """Figures of an adapter.

        Args:
            first: `of` its changes.
            changes: the adapter's.
            again: the adapter's, from its files again.
            folder: its directory.

        Raises:
            UserError: PEFT does not load it, or results are not finite.
        """
        nothing = {name: LowRank(b=change.b * 0, a=change.a) for name, change in changes.items()}
        zero = self.of(nothing)
        second = self.of(again)
        peft = self.by_peft(folder)
        return Differences(
            rounding=ROUNDING * max(1.0, float(self.base.abs().max())),
            change=apart(first, self.base),
            peft_change=apart(peft, self.base),
            from_peft=apart(first, peft),
            zero_from_base=apart(zero, self.base),
            again=apart(second, first),
        )


def apart(first: Tensor, second: Tensor) -> float:
    """The largest difference.

    Example:
        >>> import torch
        >>> apart(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.25]))
        0.5
    """
    return float((first - second).abs().max())


def kept(change: Tensor, whole: Tensor) -> float:
    """The share of a change that is left in another: its projection; NaN where there was none.

    Example:
        >>> import torch
        >>> kept(torch.tensor([0.5, 7.0]), torch.tensor([1.0, 0.0]))
        0.5
    """
    return float((change * whole).sum() / (whole * whole).sum())


def _unwrap(model: Any) -> None:
    """Put the layers of a model back that PEFT wrapped, also if it failed in the middle."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    wrapped = [name for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name in wrapped:
        model.set_submodule(name, model.get_submodule(name).get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def coverage_problems(info: AdapterInfo, selected: Collection[str]) -> Iterator[str]:
    """Tensors that are not used, and modules that the config selects and the file lacks."""
    if info.ignored:
        yield f"{ignored_in_words(info)}; select them there, or export it again"
    if lacks := sorted(set(selected) - info.modules.keys()):
        what = (
            lacks[0]
            if len(lacks) == 1
            else f"{lacks[0]} and {counted(len(lacks) - 1, 'more module')}"
        )
        yield (
            f"its adapter_config.json selects {what}, which its file lacks: the base's stay there; "
            "export it again, or select only what was trained"
        )


def result_problems(
    differences: Differences, changes: Changes, bfloat16_kept: float
) -> Iterator[str]:
    """The verdict on the measured differences; NaN is never within a bound.

    Args:
        differences: in float32.
        changes: the adapter's.
        bfloat16_kept: share of its effect that is left in bfloat16.
    """
    if (
        differences.peft_change <= differences.rounding
        and differences.change <= differences.rounding
    ):
        idle = len(_untrained(changes)) == len(changes)
        why = (
            "B is zero in all its modules, as before training"
            if idle
            else "its weights are too small"
        )
        yield f"changes nothing, in PEFT neither ({why}); train it, or export it again"
        return
    if differences.change <= differences.rounding:
        change = f"{differences.peft_change:.2g}"
        yield (
            f"is not applied: PEFT's loading changes log-probabilities by {change}, ours not; "
            f"{REPORT}"
        )
        return
    if not differences.from_peft <= differences.rounding:
        yield (
            "weight 1 is not the adapter that PEFT loads: log-probabilities differ by "
            f"{differences.from_peft:.2g}, where it changes the base's by "
            f"{differences.peft_change:.2g}; {REPORT}"
        )
    if not differences.zero_from_base <= 0:
        yield (
            "weight 0 is not the base: log-probabilities differ by "
            f"{differences.zero_from_base:.2g}; {REPORT}"
        )
    if not differences.again <= 0:
        yield (
            "loaded again it gives another result: log-probabilities differ by "
            f"{differences.again:.2g}; see that nothing writes its files"
        )
    if not bfloat16_kept >= LEAST_KEPT:
        yield (
            f"in bfloat16 {max(bfloat16_kept, 0.0):.0%} of its effect is left, the rest is lost in "
            "rounding the weights; use it in float32"
        )


def notes(
    changes: Changes, same_a: Sequence[tuple[str, float]], quantisation: float | None
) -> Iterator[str]:
    """Remarks on a healthy adapter.

    Args:
        changes: the adapter's.
        same_a: name and cosine of those before it whose A is the same at random.
        quantisation: see `Numbers`.
    """
    if quantisation is not None:
        yield (
            f"rounding the base to 4 bits changes its weights {quantisation:.2g} times as much as "
            "the adapter does (|W - dequant(W4)| / |change|)"
        )
    idle = _untrained(changes)
    if 0 < len(idle) < len(changes):
        first = idle[0].removesuffix(".weight")
        yield (
            f"B is zero in {len(idle)} of {len(changes)} modules, such as {first}: training "
            "never reached them"
        )
    if same_a:
        name, cosine = max(same_a, key=lambda pair: pair[1])
        more = f" and {len(same_a) - 1} more" if len(same_a) > 1 else ""
        yield f"the same random A as {name}{more} (cosine {cosine:.2f}): trained from one seed"


def _untrained(changes: Changes) -> list[str]:
    """Parameters whose B is zero."""
    return [name for name, change in changes.items() if not change.b.any()]
