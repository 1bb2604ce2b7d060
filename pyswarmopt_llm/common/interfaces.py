"""The interfaces: a space turns positions into patches, an engine runs them, a utility scores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from pyswarmopt_llm.common.statistics import Score as Score

T = TypeVar("T")
Pairs = Sequence[tuple[str, str]]  # context and continuation


@dataclass(frozen=True)
class LowRank:
    """A weight change ``dW = b @ a``, with the LoRA scale folded into ``b``.

    Attributes:
        b: (out_features, rank), float32.
        a: (rank, in_features), float32.
    """

    b: Tensor
    a: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """(out_features, in_features)."""
        return self.b.shape[0], self.a.shape[1]

    def dense(self) -> Tensor:
        """The dense change, (out_features, in_features), float32.

        Example:
            >>> import torch
            >>> LowRank(b=torch.ones(2, 1), a=torch.tensor([[1.0, 2.0]])).dense().tolist()
            [[1.0, 2.0], [1.0, 2.0]]
        """
        return self.b @ self.a

    def plus(self, other: LowRank) -> LowRank:
        """The sum of both changes; its rank is the sum of the ranks.

        Example:
            >>> import torch
            >>> change = LowRank(b=torch.ones(2, 1), a=torch.tensor([[1.0, 2.0]]))
            >>> change.plus(change).dense().tolist()
            [[2.0, 4.0], [2.0, 4.0]]
        """
        return LowRank(b=torch.cat([self.b, other.b], dim=1), a=torch.cat([self.a, other.a]))

    def without_zeros(self) -> LowRank:
        """The same change without zero columns of b and their rows of a; of a zero change, rank 1 and
        all zeros.

        Example:
            >>> import torch
            >>> change = LowRank(b=torch.tensor([[0.0, 2.0]]), a=torch.tensor([[5.0], [3.0]]))
            >>> change.without_zeros().a.tolist()
            [[3.0]]
        """
        used = self.b.any(dim=0)
        if used.all():
            return self
        if not used.any():  # nobody's factors are kept
            return LowRank(b=self.b[:, :1], a=torch.zeros_like(self.a[:1]))
        return LowRank(b=self.b[:, used], a=self.a[used])


class Computed(Mapping[str, T]):
    """A mapping with values computed on access and not kept: one weight at a time in memory.

    Args:
        shapes: name -> shape of its weight, known without computing it.
        make: name -> value.

    Example:
        >>> squares = Computed({"2": (1,), "3": (1,)}, lambda name: int(name) ** 2)
        >>> dict(squares)
        {'2': 4, '3': 9}
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], make: Callable[[str], T]) -> None:
        self.shapes = shapes
        self._make = make

    def __getitem__(self, name: str) -> T:
        if name not in self.shapes:
            raise KeyError(name)
        return self._make(name)

    def __contains__(self, name: object) -> bool:
        return name in self.shapes  # the default method would compute the value

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


class Format(Protocol):
    """How a file holds weights in few bits; see the room `formats`.

    Attributes:
        name: such as ``q4_1``.
    """

    @property
    def name(self) -> str:
        """Name of the format."""

    def layout(self, model: Any) -> Mapping[str, str]:
        """Parameter of a model -> type that holds it, for the weights that the format changes."""

    def rounded(self, value: Tensor, kind: str) -> Tensor:
        """The values that a type holds for these, float32."""


@dataclass(frozen=True)
class Patch:
    """A candidate: how it differs from the loaded base.

    Keys are the base's parameter names, as in `named_parameters()`, for example
    ``model.layers.0.self_attn.q_proj.weight``. The engine merges `low_rank` into a copy of the
    base's value in float32 and rounds once to the model's dtype, like peft's `merge_and_unload`;
    likewise `full_rank`, changes of (out_features, in_features) float32; `dense` replaces a value.
    An empty patch is the base itself. Any of these mappings may be `Computed`. `mixture` and
    `graph` are for an engine with several loaded models. `mixture` holds the weights of their
    next-token distributions, which sum to 1; `graph` says who reads whose message, in calling
    order, and its last node answers. With a `format`, all weights of the merged model are as the
    format holds them; those in `rounded` have these values of the format, float32, in place of the nearest.

    Example:
        >>> patch = sl.adapter_patch("my/base", "adapters/math")  # doctest: +SKIP
        >>> next(iter(patch.low_rank))  # doctest: +SKIP
        'model.layers.0.self_attn.q_proj.weight'
    """

    low_rank: Mapping[str, LowRank] = field(default_factory=dict)
    dense: Mapping[str, Tensor] = field(default_factory=dict)
    mixture: tuple[float, ...] = ()
    graph: tuple[Any, ...] = ()
    full_rank: Mapping[str, Tensor] = field(default_factory=dict)
    format: Format | None = None
    rounded: Mapping[str, Tensor] = field(default_factory=dict)

    def scaled(self, strength: float) -> Patch:
        """The patch with its low-rank changes times a number, computed on access, and not rounded yet.

        Example:
            >>> change = {"w": LowRank(b=torch.ones(2, 1), a=torch.ones(1, 2))}
            >>> Patch(change).scaled(3.0).low_rank["w"].dense().tolist()
            [[3.0, 3.0], [3.0, 3.0]]
        """

        def times(name: str) -> LowRank:
            change = self.low_rank[name]
            return LowRank(b=change.b * strength, a=change.a)

        return replace(self, low_rank=Computed(shapes_of(self.low_rank), times), rounded={})

    def with_low_rank(self, changes: Mapping[str, LowRank]) -> Patch:
        """The patch with further low-rank changes, added on access to existing ones, and not rounded yet.

        Example:
            >>> change = {"w": LowRank(b=torch.ones(2, 1), a=torch.ones(1, 2))}
            >>> both = Patch({**change, "v": change["w"]}).with_low_rank(change)
            >>> {name: change.dense()[0, 0].item() for name, change in both.low_rank.items()}
            {'w': 2.0, 'v': 1.0}
        """

        def both(name: str) -> LowRank:
            return reduce(LowRank.plus, [part[name] for part in parts if name in part])

        parts = (self.low_rank, changes)
        shapes = {**shapes_of(self.low_rank), **shapes_of(changes)}
        return replace(self, low_rank=Computed(shapes, both), rounded={})


def shapes_of(part: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
    """Shapes of the changes in a part of a patch, without computing any."""
    if isinstance(part, Computed):
        return part.shapes
    return {name: tuple(value.shape) for name, value in part.items()}


class Engine(Protocol):
    """Runs a model. One base stays loaded for a whole run; `load` applies a candidate to it.

    Subclasses inherit defaults: one model without a length limit. Methods that read text raise
    `UserError` if it exceeds the context window.

    Attributes:
        progress: called after each batch of texts with the number of texts read so far and the
            total of this call; None: no listener.
        notes: topic -> note on how the engine runs.
        decided: settings decided by its device's memory; a resumed run keeps them.
        thinking: maximum number of thinking tokens before a reply; 0: no thinking.
        dtype: dtype of the weights.
        window: context window in tokens; None: unknown, or each of the `members` has its own.
        likelihoods: whether `loglikelihood` accepts continuations of several tokens.
        members: name -> model, if several are loaded side by side; empty for one model.
        message_tokens: tokens of messages that a member writes besides the answer; its window must
            also hold them.
        parameter_names: weights that `Patch.dense` may replace; empty if it may not.

    Example:
        >>> engine = sl.open_model("my/base")  # doctest: +SKIP
        >>> engine.load(sl.adapter_patch("my/base", "adapters/math"))  # doctest: +SKIP
        >>> engine.loglikelihood([(engine.chat("2 + 2?"), "4")])  # doctest: +SKIP
        [-1.72]
    """

    progress: Callable[[int, int], None] | None = None
    notes: Mapping[str, str] = MappingProxyType({})
    decided: Mapping[str, Any] = MappingProxyType({})
    thinking: int = 0
    dtype: torch.dtype
    window: int | None = None
    likelihoods: bool = True
    members: Mapping[str, Any] = MappingProxyType({})
    message_tokens: int = 0
    parameter_names: tuple[str, ...] = ()

    def load(self, patch: Patch) -> None:
        """Make the loaded model `base + patch`; the previous patch is removed exactly."""

    def loglikelihood(self, pairs: Pairs) -> list[float]:
        """Natural log of P(continuation | context) of each pair, summed over tokens."""

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Greedy continuations of the prompts, without the prompt and without special tokens."""

    def chat(self, user: str, earlier: Sequence[Mapping[str, str]] = ()) -> str:
        """`user` as a user turn in the model's chat template, after `earlier` turns (role,
        content), ready for the assistant's turn.
        """

    def count_tokens(self, text: str) -> int:
        """Tokens that the model reads for a text, summed over several models."""
        return sum(member.count_tokens(text) for member in self.members.values())


class Utility(Protocol):
    """A metric on a task's items: the score of an engine's loaded model.

    Example:
        >>> def short(engine, indices=None):  # doctest: +SKIP
        ...     prompts = ["Hello!", "And now?"]
        ...     asked = prompts if indices is None else [prompts[k] for k in indices]
        ...     return sl.score_of([-len(reply) for reply in engine.generate(asked, 8)])
    """

    def __call__(self, engine: Engine, indices: Sequence[int] | None = None) -> Score:
        """Score all items, or only those at `indices`, in their order.

        An engine batches its input freely: a value may differ by rounding from a call with other
        items.
        """


class MixtureSpace(Protocol):
    """Turns positions, moved by an optimizer, into patches for an engine, or into files.

    Example:
        >>> from pyswarmopt_llm.experts.adapter import Adapter
        >>> from pyswarmopt_llm.mix import build_space
        >>> report = sl.inspect_experts(["adapters/math", "adapters/science"])  # doctest: +SKIP
        >>> space = build_space("delta", [Adapter(e) for e in report.experts])  # doctest: +SKIP
        >>> engine = sl.open_model("my/base")  # doctest: +SKIP
        >>> engine.load(space.realise(space.vertices()[0]))  # doctest: +SKIP
    """

    name: str
    expert_names: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of coordinates of a position."""

    def vertices(self) -> Tensor:
        """The experts themselves as positions: (n_experts, size), float64."""

    def starts(self, count: int, seed: int) -> Tensor:
        """Starting positions: the experts, and up to `count` in total."""

    def coefficients(self, position: Tensor) -> Tensor:
        """The mixing weights of a position, (n_experts,) float64, for reports and cards."""

    def realise(self, position: Tensor) -> Patch:
        """The candidate at `position`, (size,)."""

    def save(self, position: Tensor, out: Path) -> None:
        """Write the candidate as a directory for other tools: a PEFT adapter (float32), a model, or
        a description of several models (mixture, graph).

        `read` restores the patch of `realise` to the bit.
        """

    def read(self, folder: Path) -> Patch:
        """The patch in files written by `save`."""
