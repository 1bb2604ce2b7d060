"""Applies rules for matrices to LoRA experts.

`combine` is for rules on entries (trim, drop, elect). In ``delta`` space the rule gets the dense
changes dW = s B A of one module at a time, and its result has full rank. In ``factor`` space it
gets the A's and the B's, as in peft's `add_weighted_adapter`: weight w enters as sqrt|w| on either
side, its sign on A.

`mix` is for sums whose weights depend only on norms and angles. These follow from the Gram matrix
of the changes, computed from the factors without a dense matrix; the result is exact, of rank sum
r.

Only `as_adapter` truncates a result to a rank: for the written adapter, not for the competition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.experts.truncate import squared_norm, truncate_dense, truncate_low_rank
from pyswarmopt_llm.mix.factor import require_equal_modules
from pyswarmopt_rivals.methods.method import Merged, Method, Settings

Rule = Callable[[Tensor, Tensor], Tensor]
"""(n, rows, columns) float32 changes and (n,) float32 weights -> (rows, columns)."""

Coefficients = Callable[[Tensor], Tensor]
"""(n, n) float64 inner products of the experts' changes -> (n,) float64 weights of the sum."""


def combine(settings: Settings, rule: Rule) -> Merged:
    """Apply a rule on entries to each module; in ``factor`` space to A and to B.

    In ``delta`` space an unadapted module counts as zeros, and the result has full rank: it takes
    as much memory as the adapted weights in float32.
    """
    weights = settings.weights.to(torch.float32)
    if settings.space == "factor":
        for_b = weights.abs().sqrt()
        for_a = for_b * weights.sign()
        return _on_factors(
            settings, lambda stack: rule(stack, for_a), lambda stack: rule(stack, for_b)
        )
    parts = side_by_side(settings.experts)
    return Merged(
        Patch(full_rank={name: rule(part.dense(), weights) for name, part in parts.items()})
    )


def mix(settings: Settings, coefficients: Coefficients) -> Merged:
    """Sum the experts, module by module, with weights computed from their inner products."""
    if settings.space == "factor":

        def summed(stack: Tensor) -> Tensor:
            rows = stack.flatten(1).to(torch.float64)
            return torch.tensordot(coefficients(rows @ rows.T).to(torch.float32), stack, dims=1)

        return _on_factors(settings, summed, summed)
    parts = side_by_side(settings.experts)
    return Merged(mixture(parts, [coefficients(part.gram()) for part in parts.values()]))


def _on_factors(
    settings: Settings, rule_a: Callable[[Tensor], Tensor], rule_b: Callable[[Tensor], Tensor]
) -> Merged:
    """Apply rules to the A's and to the B's of each module.

    Raises:
        UserError: the experts differ in rank, alpha or modules.
    """
    require_equal_modules([expert.info for expert in settings.experts])
    changes = {}
    for module in settings.experts[0].info.modules:
        factors = [expert.factors[module] for expert in settings.experts]
        a = rule_a(torch.stack([part.a for part in factors]))
        b = rule_b(torch.stack([part.b for part in factors]))
        changes[f"{module}.weight"] = LowRank(b=b, a=a)
    return Merged(Patch(low_rank=changes))


def as_adapter(merged: Merged, experts: Sequence[Adapter], rank: int | None = None) -> Merged:
    """The nearest LoRA of this rank to a method's result, with the error of the truncation.

    Without a rank, full-rank changes get the sum of the experts' ranks in their module, and LoRAs
    are unchanged.
    """
    parts = side_by_side(experts)
    cut = {name: truncate_low_rank(change, rank) for name, change in merged.patch.low_rank.items()}
    for name, change in merged.patch.full_rank.items():
        cut[name] = truncate_dense(change, rank or len(parts[name].owner))
    changes = {name: part.change for name, part in cut.items()}
    lost = sum(part.lost for part in cut.values())
    whole = sum(part.total for part in cut.values())
    patch = replace(merged.patch, low_rank=changes, full_rank={})
    return Merged(patch, (lost / whole) ** 0.5 if lost > 0 else 0.0)


def cut_to_adapter(rule: Method, settings: Settings) -> Merged:
    """A fixed rule's result, as the adapter that `merge` would write."""
    return as_adapter(rule.execute(settings.experts, settings), settings.experts)


@dataclass(frozen=True)
class SideBySide:
    """All experts' factors in one module: any weighted sum of them is one LoRA."""

    b: Tensor  # (out, k), scales folded in
    a: Tensor  # (k, in)
    owner: Tensor  # (k,) expert of each column
    n: int  # number of experts

    def to(self, device: torch.device, dtype: torch.dtype) -> SideBySide:
        """The factors on another device."""
        owner = self.owner.to(device)
        return SideBySide(self.b.to(device, dtype), self.a.to(device, dtype), owner, self.n)

    def weighted(self, weights: Tensor) -> LowRank:
        """sum_i w_i dW_i, for weights (n,)."""
        return LowRank(b=self.b * weights.to(torch.float32)[self.owner], a=self.a)

    def of_each(self) -> list[LowRank]:
        """Each expert's own change; of rank 0 if it does not adapt the module."""
        masks = [self.owner == i for i in range(self.n)]
        return [LowRank(b=self.b[:, mine], a=self.a[mine]) for mine in masks]

    def dense(self) -> Tensor:
        """The experts' changes, (n, out, in) float32; zeros for an expert that does not adapt the
        module.
        """
        return torch.stack([change.dense() for change in self.of_each()])

    def gram(self) -> Tensor:
        """Inner products of the experts' changes, (n, n) float64."""
        member = torch.nn.functional.one_hot(self.owner, self.n).to(torch.float64)
        b = self.b.to(torch.float64)
        a = self.a.to(torch.float64)
        # <b_i a_i, b_j a_j> = sum over entries of (b_i^T b_j) * (a_i a_j^T), summed over the
        # columns of i and of j.
        return member.T @ ((b.T @ b) * (a @ a.T)) @ member


def side_by_side(experts: Sequence[Adapter]) -> dict[str, SideBySide]:
    """Weight -> all experts' factors, sorted by name."""
    parts = {}
    for module in sorted({module for expert in experts for module in expert.factors}):
        present = {i: e.factors[module] for i, e in enumerate(experts) if module in e.factors}
        b = torch.cat([part.b for part in present.values()], dim=1)
        a = torch.cat([part.a for part in present.values()])
        owner = torch.cat([torch.full((len(part.a),), i) for i, part in present.items()])
        parts[f"{module}.weight"] = SideBySide(b, a, owner, len(experts))
    return parts


def mixture(parts: Mapping[str, SideBySide], weights: Iterable[Tensor]) -> Patch:
    """The weighted sum of the experts in each part, for weights (n,)."""
    pairs = zip(weights, parts.items(), strict=True)
    return Patch(low_rank={name: part.weighted(row) for row, (name, part) in pairs})


def random_adapters(experts: Sequence[Adapter], seed: int) -> list[Adapter]:
    """An adapter of random factors for each expert: do the experts matter at all?

    Liu et al. 2026, arXiv 2602.12323, find that merging coefficients tuned on a task do about as
    well on random LoRAs as on recycled ones. Here A and B are Gaussian, with the expert's shapes,
    scaled to the norms of its A and of s B A: only the directions differ (the paper's scale could
    not be found).
    """
    generator = torch.Generator().manual_seed(seed)
    adapters = []
    for expert in experts:
        factors = {name: random_factors(part, generator) for name, part in expert.factors.items()}
        adapters.append(replace(expert, held=factors))
    return adapters


def random_factors(factors: LowRank, generator: torch.Generator) -> LowRank:
    """Gaussian factors with the same shapes and norms of A and B A, float32.

    Example:
        >>> own = LowRank(a=torch.tensor([[3.0, 4.0]]), b=torch.tensor([[2.0]]))
        >>> drawn = random_factors(own, torch.Generator().manual_seed(0))
        >>> round(float(drawn.a.norm()), 4), round(float((drawn.b @ drawn.a).norm()), 4)
        (5.0, 10.0)
        >>> bool((drawn.a == own.a).any())
        False
    """
    a = torch.randn(factors.a.shape, generator=generator)
    b = torch.randn(factors.b.shape, generator=generator)
    a *= factors.a.norm() / a.norm()
    ratio = product_norm(factors.b, factors.a) / product_norm(b, a)
    return LowRank(b=b * float(ratio), a=a)


def product_norm(b: Tensor, a: Tensor) -> Tensor:
    """The Frobenius norm of b @ a, float64.

    Example:
        >>> product_norm(torch.tensor([[3.0], [0.0]]), torch.tensor([[0.0, 4.0]])).item()
        12.0
    """
    return squared_norm(b, a).clamp(min=0).sqrt()
