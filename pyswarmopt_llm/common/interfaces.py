"""The interfaces: a space realises positions, an engine runs them, a utility scores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class LowRank:
    """A weight change ``dW = b @ a`` with any LoRA scale already folded into ``b``.

    Attributes:
        b: (out_features, rank), float32.
        a: (rank, in_features), float32.
    """

    b: Tensor
    a: Tensor

    def dense(self) -> Tensor:
        """The change itself, (out_features, in_features), float32.

        Example:
            >>> import torch
            >>> LowRank(b=torch.ones(2, 1), a=torch.tensor([[1.0, 2.0]])).dense().tolist()
            [[1.0, 2.0], [1.0, 2.0]]
        """
        return self.b @ self.a

    def plus(self, other: LowRank) -> LowRank:
        """The sum of this change and another, of the ranks' sum.

        Example:
            >>> import torch
            >>> change = LowRank(b=torch.ones(2, 1), a=torch.tensor([[1.0, 2.0]]))
            >>> change.plus(change).dense().tolist()
            [[2.0, 4.0], [2.0, 4.0]]
        """
        return LowRank(b=torch.cat([self.b, other.b], dim=1), a=torch.cat([self.a, other.a]))

    def without_zeros(self) -> LowRank:
        """The same change without the columns of b that are 0, and their rows of a; of a change
        that is 0 one column and row of zeros.

        Example:
            >>> import torch
            >>> change = LowRank(b=torch.tensor([[0.0, 2.0]]), a=torch.tensor([[5.0], [3.0]]))
            >>> change.without_zeros().a.tolist()
            [[3.0]]
        """
        used = self.b.any(dim=0)
        if used.all():
            return self
        if not used.any():
            return LowRank(b=torch.zeros_like(self.b[:, :1]), a=torch.zeros_like(self.a[:1]))
        return LowRank(b=self.b[:, used], a=self.a[used])


class Computed(Mapping[str, T]):
    """A mapping whose values are computed on access and not kept: one weight at a time in memory.

    Args:
        shapes: name -> shape of the weight that the value is for, known without making it.
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
        return name in self.shapes  # a mapping's own would compute the value

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


@dataclass(frozen=True)
class Patch:
    """A realised candidate: how it differs from what is resident.

    Keys are parameter names of the base model as `named_parameters()` gives them, for example
    ``model.layers.0.self_attn.q_proj.weight``. The engine merges `low_rank` into a copy of the
    base's value in float32 and rounds once to the model's dtype, as peft's `merge_and_unload` does;
    `full_rank`, changes of (out_features, in_features) float32, likewise; `dense` replaces a value.
    An empty patch is the base itself. Any of these mappings may be `Computed`. `mixture` is for an
    engine with several models resident: the weights of their next-token distributions, summing to
    1. So is `graph`: who reads whose message, in the order of calling; the last node answers.

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

    def with_low_rank(self, changes: Mapping[str, LowRank]) -> Patch:
        """The patch with further changes of low rank, added on access to those that it has.

        Example:
            >>> change = {"w": LowRank(b=torch.ones(2, 1), a=torch.ones(1, 2))}
            >>> both = Patch({**change, "v": change["w"]}).with_low_rank(change)
            >>> {name: change.dense()[0, 0].item() for name, change in both.low_rank.items()}
            {'w': 2.0, 'v': 1.0}
        """

        def both(name: str) -> LowRank:
            if name not in self.low_rank:
                return changes[name]
            own = self.low_rank[name]
            return own.plus(changes[name]) if name in changes else own

        shapes = {**shapes_of(self.low_rank), **shapes_of(changes)}
        return replace(self, low_rank=Computed(shapes, both))


def shapes_of(part: Mapping[str, Tensor] | Mapping[str, LowRank]) -> Mapping[str, tuple[int, ...]]:
    """Shapes of the changes in a part of a patch, which computes none of them."""
    if isinstance(part, Computed):
        return part.shapes
    return {
        name: _shape_of(name, value) if isinstance(value, LowRank) else tuple(value.shape)
        for name, value in part.items()
    }


def _shape_of(name: str, change: LowRank) -> tuple[int, int]:
    if change.b.shape[1] != change.a.shape[0]:
        raise ValueError(f"{name}: factors of rank {change.b.shape[1]} and {change.a.shape[0]}")
    return change.b.shape[0], change.a.shape[1]


class Engine(Protocol):
    """An engine runs a model. One base is resident for a whole run; `load` puts a candidate on it.

    A class that inherits from it has its defaults: one model, of unlimited length, that writes its
    whole answer at once. Methods that read text raise `UserError` where it exceeds the context
    window.

    Attributes:
        progress: called after each batch of texts with the number of texts read so far and of all
            in this call, so that a command can tell of it; None: nobody follows.
        notes: how it runs, by topic.
        decided: settings that the memory of its device has decided; a resumed run keeps them.
        thinking: most tokens of its thoughts, before a reply; 0: it does not think.
        dtype: dtype of the weights.
        window: the context window in tokens; None: unknown, or each of the `members` has its own.
        likelihoods: whether `loglikelihood` takes continuations of several tokens.
        members: name -> model, where several are resident side by side; empty where it is one.
        message_tokens: tokens of messages that a member writes beside the answer; its window holds
            them, too.
        parameter_names: the weights that `Patch.dense` may replace; empty where it may not.

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
        """Make the resident model `base + patch`; the previous patch is taken out exactly."""

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of P(continuation | context) of each pair, summed over tokens."""

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Greedy continuations of the prompts, without the prompt and without special tokens."""

    def chat(self, user: str, earlier: Sequence[Mapping[str, str]] = ()) -> str:
        """`user` as a user turn of the model's chat template, after `earlier` turns (role,
        content), ready for the assistant's turn.
        """

    def count_tokens(self, text: str) -> int:
        """Tokens that the model reads for this text; of several models the sum."""
        return sum(member.count_tokens(text) for member in self.members.values())

    def stream(self, prompt: str, max_new_tokens: int = 64) -> Iterator[str]:
        """The greedy continuation, piece by piece where the engine can give it so."""
        return iter([self.generate([prompt], max_new_tokens)[0].strip()])


@dataclass(frozen=True)
class Score:
    """The outcome of a utility: higher is better.

    Attributes:
        value: the utility, usually the mean of `per_item`.
        per_item: one value per item, in the order of the items (for accuracy 1.0 or 0.0).
        n: number of items.
        stderr: standard error of `value` over items.
        named: numbers that `value` is the mean of, by the names that a score function gives them.
        margins: per item the right option's score minus each other option's, in their order; empty
            where no options are compared.
        answers: per item the letter or the text that was scored; empty where there is none.

    Example:
        >>> import pyswarmopt_llm as sl
        >>> score = sl.score_of([1.0, 0.0, 1.0, 1.0])
        >>> score.value, score.n, round(score.stderr, 2)
        (0.75, 4, 0.25)
    """

    value: float
    per_item: tuple[float, ...]
    n: int
    stderr: float
    named: Mapping[str, float] = field(default_factory=dict)
    margins: tuple[tuple[float, ...], ...] = ()
    answers: tuple[str, ...] = ()


class Utility(Protocol):
    """A metric on a task's items: the score of the model that an engine has loaded.

    Example:
        >>> def short(engine, indices=None):  # doctest: +SKIP
        ...     prompts = ["Hello!", "And now?"]
        ...     asked = prompts if indices is None else [prompts[k] for k in indices]
        ...     return sl.score_of([-len(reply) for reply in engine.generate(asked, 8)])
    """

    def __call__(self, engine: Engine, indices: Sequence[int] | None = None) -> Score:
        """Score all items, or those at these indices alone, in their order.

        An engine batches what it is given as is best: a value may differ by rounding from that of
        a call with other items.
        """


class Space(Protocol):
    """Turns positions, which the optimizer moves, into patches, which an engine loads, or files.

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
        """Positions to begin with: the experts, and up to `count` in all."""

    def coefficients(self, position: Tensor) -> Tensor:
        """The mixing weights of a position, (n_experts,) float64, for reports and cards."""

    def realise(self, position: Tensor) -> Patch:
        """The candidate at `position` (shape (size,))."""

    def save(self, position: Tensor, out: Path) -> None:
        """Write the candidate as a directory that other tools load: a PEFT adapter (float32), a
        model, or what stands for several (a mixture, a graph).

        `read` of it gives the same patch as `realise`, to the bit.
        """

    def read(self, folder: Path) -> Patch:
        """The patch that the files in `folder`, written by `save`, hold."""
