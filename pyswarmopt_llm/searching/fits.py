"""Whether a search fits into the memory of a device, from shapes alone: no weights are read.

The device is the one that is there, or a card of a memory that is named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import pyswarmopt_llm.engine.memory as memory_of
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError, first_line
from pyswarmopt_llm.common.hardware import pick_device, pick_dtype
from pyswarmopt_llm.engine.memory import LEAST_TOKENS, Sizes, copies
from pyswarmopt_llm.experts.adapter import AdapterInfo, changed_weights
from pyswarmopt_llm.experts.base import INT8, BaseModel, resolve_base
from pyswarmopt_llm.experts.pretrained import quiet_transformers
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.mix.one_base import find_adapters
from pyswarmopt_llm.searching.plan import parse_workers, with_preset

CONTEXT = 2**30  # bytes that CUDA and fragments take of a card
_UNITS = {"": 10**9, "GB": 10**9, "MB": 10**6, "TB": 10**12, "GIB": 2**30, "MIB": 2**20}
_BITS = {"nf4": 4.13, "int8": 8.1, INT8: 8.1}  # of a packed weight, with its scales
_PACKED_BITS = 4.5  # of other formats
_ADAM = 16  # bytes of a trained number: itself, its gradient and two moments, in float32
_BATCHES = tuple(LEAST_TOKENS >> halvings for halvings in range(4))


@dataclass(frozen=True)
class Need:
    """Bytes that something takes on a device, and how.

    Attributes:
        bytes: in all.
        mix: how candidates get into the base.
        tokens: of a batch.
        checkpointing: whether activations are computed again in the backward pass.
    """

    bytes: int
    mix: str
    tokens: int = LEAST_TOKENS
    checkpointing: bool = False


@dataclass(frozen=True)
class Fit:
    """What a search needs on a device, and what the device has.

    Attributes:
        device: its name.
        free: bytes.
        base: bytes of its weights.
        scoring: of candidates, in the first way that fits, or else in the smallest.
        training: likewise; None where nothing is trained.
        merged: bytes of scoring with candidates merged into the base; None where it is packed.
    """

    device: str
    free: int
    base: int
    scoring: Need
    training: Need | None
    merged: int | None

    @property
    def fits(self) -> bool:
        """Whether all of it does."""
        needs = (self.scoring, self.training)
        return all(need is None or need.bytes <= self.free for need in needs)

    def lines(self) -> Iterator[str]:
        """The verdict, with its reasons."""
        verdict = "fits" if self.fits else "does not fit"
        yield f"{self.device}, {_gb(self.free)} free: {verdict} (arithmetic from shapes)"
        yield f"the base takes {_gb(self.base)}; scoring {self._in_words(self.scoring)}"
        if self.merged is not None and self.merged > self.free:
            yield f"merged, candidates need {_gb(self.merged)}; they would be added at run time"
        if self.training is not None:
            yield f"training {self._in_words(self.training)}"
        if not self.fits:
            yield "put nf4: before the base (four bits), or take a smaller one"

    def _in_words(self, need: Need) -> str:
        how = f"{_gb(need.bytes)} with {need.tokens:,} tokens a batch"
        how += " and gradient checkpointing" if need.checkpointing else ""
        missing = need.bytes - self.free
        return how if missing <= 0 else f"{how}, {_gb(missing)} too many"


def _gb(number: int) -> str:
    return f"{number / 1e9:.1f} GB"


def fit_of(config: SearchConfig, memory: str | None = None) -> Fit | None:
    """Whether a search fits into the memory that is free, or into that of a card.

    Args:
        config: of the search; only config.json of the base and headers of the adapters are read.
        memory: of a card that is not there, such as ``24GB``.

    Returns:
        None: the system does not say what is free, or the base runs elsewhere.

    Raises:
        UserError: not a size, or the experts do not fit together.
    """
    named = memory is not None
    config = with_preset(config)
    kind, workers = space_kind(config.space), parse_workers(config.workers)
    if config.served or kind.several_models:
        if named:
            why = "says what one base needs, on this machine; leave it out"
            raise InvalidOption("memory", memory, why)
        return None
    if memory is None:
        device = pick_device(config.device)
        name, free = str(device), memory_of.free_memory(device)
    else:
        device = torch.device("cuda")
        name, free = f"a GPU of {memory}", bytes_of(memory) - CONTEXT
    if free is None:
        return None
    base = resolve_base(config.base, weights=False)
    experts = find_adapters(config, base)[0] if kind.adapters else ()
    dtype = torch.bfloat16 if named and config.dtype == "auto" else None
    dtype = dtype or pick_dtype(config.dtype, device)
    needs = _Needs(base, experts, dtype, device.type == "cpu", workers.side_by_side)
    mixes = ("runtime",) if base.packing or config.mix == "runtime" else ("merged", "runtime")
    mixes = mixes if kind.adapters and config.mix != "merged" else ("merged",)
    trains = kind.linear and config.train != "off"  # by default, if it has the items
    scoring = _first(needs.scoring(mixes), free)
    return Fit(
        device=name,
        free=free,
        base=needs.base,
        scoring=scoring,
        training=_first(needs.training(scoring.mix), free) if trains else None,
        merged=None if base.packing else next(needs.scoring(("merged",))).bytes,
    )


def bytes_of(memory: str) -> int:
    """Bytes of a size of memory; without a unit these are GB.

    Example:
        >>> bytes_of("24GB"), bytes_of("0.5 GiB"), bytes_of("8")
        (24000000000, 536870912, 8000000000)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", memory.strip())
    if found is None or found[2].upper() not in _UNITS:
        raise InvalidOption("memory", memory, "not a size; write it like 24GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _first(needs: Iterator[Need], free: int) -> Need:
    """The first that fits, or else the smallest."""
    tried = []
    for need in needs:
        if need.bytes <= free:
            return need
        tried.append(need)
    return min(tried, key=lambda need: need.bytes)


def _parameters(info: AdapterInfo) -> int:
    """Number of weights of an adapter."""
    return sum(math.prod(tensor.shape) for tensor in info.tensors.values())


class _Needs:
    """The arithmetic for a base and its experts.

    Args:
        base: whose config.json is read.
        experts: adapters, by their headers.
        dtype: of the weights.
        on_cpu: there the base's own values are read from its files, and the experts' numbers lie
            beside it in float32.
        workers: processes, each with a base of its own on a GPU.
    """

    def __init__(
        self,
        base: BaseModel,
        experts: Sequence[AdapterInfo],
        dtype: torch.dtype,
        on_cpu: bool,
        workers: int,
    ) -> None:
        model = empty_model(base, dtype)
        self._sizes = Sizes.of(model)
        self._times = 1 if on_cpu else workers
        self.base = weights_of(model, base)
        factors = sum(map(_parameters, experts))
        kept, merging = copies(model, changed_weights(experts))
        added = factors * (dtype.itemsize if not on_cpu else dtype.itemsize + 4)
        self._mixed = {"runtime": added, "merged": merging + (4 * factors if on_cpu else kept)}
        self._trained = _ADAM * _parameters(experts[0]) if experts else 0

    def scoring(self, mixes: Collection[str]) -> Iterator[Need]:
        """Ways to score: mixed in each of these ways, with smaller batches of the last one."""
        *_, last = mixes
        for mix, tokens in [(mix, LEAST_TOKENS) for mix in mixes] + [(last, n) for n in _BATCHES]:
            needed = self.base + self._mixed[mix] + self._sizes.scoring(tokens)
            yield Need(self._times * needed, mix, tokens)

    def training(self, mix: str) -> Iterator[Need]:
        """Ways to train: plain, with checkpointing, with smaller batches."""
        held = self.base + self._mixed[mix] + self._trained
        for checkpointing, tokens in [(False, LEAST_TOKENS), *((True, n) for n in _BATCHES)]:
            needed = held + self._sizes.training(tokens, checkpointing)
            yield Need(needed, mix, tokens, checkpointing)


def empty_model(base: BaseModel, dtype: torch.dtype) -> Any:
    """The base without values: shapes and names of its weights.

    Raises:
        UserError: its configuration is not that of a language model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with quiet_transformers(), torch.device("meta"):
            config = AutoConfig.from_pretrained(base.path, local_files_only=True)
            return AutoModelForCausalLM.from_config(config, dtype=dtype)
    # transformers raises whatever a field of the configuration leads to
    except Exception as error:
        raise UserError(
            f"{base.spec}: cannot be loaded as a language model ({first_line(error)})"
        ) from error


def weights_of(model: Any, base: BaseModel) -> int:
    """Bytes of a model's weights, its linear layers packed if the base's are."""
    plain = {name: p.numel() * p.element_size() for name, p in model.named_parameters()}
    if base.packing:
        bits = _BITS.get(base.scheme or base.packing, _PACKED_BITS)
        output = model.get_output_embeddings()
        for name, layer in model.named_modules():
            if isinstance(layer, torch.nn.Linear) and layer is not output:
                plain[f"{name}.weight"] = int(layer.weight.numel() * bits / 8)
    return sum(plain.values())
