"""A device that is not the CPU, on any machine: tensors with real numbers that refuse to be mixed
with those of the CPU, as a GPU's do, and a count of what waits for the device.

torch lets a tensor subclass stand for the backend PrivateUse1. Each of its operations is made on the
CPU, after its devices were checked.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_NAME = "card"
_COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
# Takes indices of the CPU: torch moves them.
_INDEXED = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put_.default,
    torch.ops.aten.index_put.default,
    torch.ops.aten._index_put_impl_.default,
}
_ready: list[torch.device] = []


def card() -> torch.device:
    """The device; registered once in a process."""
    if not _ready:
        _setup_privateuseone_for_python_backend(_NAME)
        # torch 2.14 asks a registered device for it wherever something is trained, on the CPU too
        getattr(torch, _NAME).get_amp_supported_dtype = lambda: [torch.bfloat16]
        _ready.append(torch.device(_NAME, 0))
    return _ready[0]


class OnCard(torch.Tensor):
    """A tensor on the card; `there` has its numbers."""

    there: Tensor

    @staticmethod
    def __new__(cls, there: Tensor) -> Self:
        with torch.inference_mode(False):  # of which a subclass has no views outside
            made: Self = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls,
                there.size(),
                strides=there.stride(),
                storage_offset=there.storage_offset(),
                dtype=there.dtype,
                device=card(),
            )
        made.there = there
        return made

    def __init__(self, there: Tensor) -> None:
        pass

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {}, None)


def _run(func: Any, args: Any, kwargs: dict[str, Any], waits: Counter[str] | None) -> Any:
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, Tensor)]
    mine = [t for t in tensors if isinstance(t, OnCard)]
    asked = kwargs.get("device")
    to_card = asked is not None and torch.device(asked).type == _NAME
    if not mine and not to_card:
        return func(*args, **kwargs)
    if func not in _COPIES and mine:
        checked = tree_flatten(args[0] if func in _INDEXED else (args, kwargs))[0]
        others = [
            t for t in checked if isinstance(t, Tensor) and not isinstance(t, OnCard) and t.dim()
        ]
        if others:
            raise RuntimeError(f"{func}: expected all tensors to be on one device: card and cpu")
    target = args[0] if args and isinstance(args[0], Tensor) else None
    leaves = bool(mine) and (
        (asked is not None and not to_card)
        or (func is torch.ops.aten.copy_.default and not isinstance(target, OnCard))
    )
    waiting = leaves or func is torch.ops.aten._local_scalar_dense.default
    if waiting and waits is not None:
        waits[str(func)] += 1
    plain = {k: v for k, v in kwargs.items() if k != "device"}
    if asked is not None:
        plain["device"] = torch.device("cpu")
    args, plain = tree_map_only(OnCard, lambda t: t.there, (args, plain))
    result = func(*args, **plain)
    if func._schema.is_mutable and target is not None and result is args[0]:
        return target
    return result if leaves else tree_map_only(Tensor, OnCard, result)


class _Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # In inference mode composite operations arrive whole.
        composite = torch._C._dispatch_has_kernel_for_dispatch_key
        if composite(func.name(), "CompositeImplicitAutograd"):
            with self:
                return func.decompose(*args, **(kwargs or {}))
        return _run(func, args, kwargs or {}, self.waits)


@contextmanager
def with_card() -> Iterator[Counter[str]]:
    """Within this context the card is there.

    Yields:
        Operation -> how often the host waited for the card, by reading a number or a tensor.
    """
    card()
    with _Operations() as operations, _Functions():
        yield operations.waits


class _Functions(TorchFunctionMode):
    """What torch does before it dispatches: the fused kernel of attention, here by its definition,
    and tensors out of numbers.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention and isinstance(args[0], OnCard):
            return _attend(*args, **(kwargs or {}))
        if func is torch.Tensor.tolist and isinstance(args[0], OnCard):
            return args[0].cpu().tolist()
        device = (kwargs or {}).get("device")
        if func is torch.tensor and device is not None and torch.device(device).type == _NAME:
            return func(*args, **{**kwargs, "device": "cpu"}).to(device)
        return func(*args, **(kwargs or {}))


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:
        times = query.shape[1] // key.shape[1]
        key, value = (x.repeat_interleave(times, 1) for x in (key, value))
    scores = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
        scores = scores.masked_fill(~seen, -torch.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ value
