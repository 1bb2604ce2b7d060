"""Sparsify and sum: seven published rules as one class with two parameters; and KnOTS, TIES in a
common basis.

A rule is a sparsifier, which selects what remains of each expert's change tau_i, and a consensus,
which makes one change of all. The matrices are a module's: dW in ``delta`` space, A and B each in
``factor`` space.

Default weights and densities (in the table of `pyswarmopt_rivals.methods`): 0.4 for sums and 20%
kept with lambda = 1 for TIES, as Yadav et al. use without validation data (with it the papers of
task arithmetic, TIES and DELLA choose lambda, DELLA also its drop rate); DARE's drop rate p = 1 -
density is chosen on validation data between .1 and .9 in the paper, here the middle; breadcrumbs'
weight .2 and density 15% are the values from which the authors' released code searches.
``dare-ties`` drops in place of the trimming of TIES, as in peft; the authors' released code also
trims what is left.

KnOTS, Stoica et al. 2024, arXiv 2410.19735: [dW_1 | ... | dW_n] = U Sigma [V_1 | ... | V_n]^T gives
all experts the same output basis U; the aligned parts Sigma V_i^T are merged and put back, dW = U
merge(Sigma V_i^T). The merge is TIES (KnOTS-TIES), with Sigma on V as in the authors' released
configurations; the density of those for language models, 1, and lambda 1 are the defaults. The
result has at most the sum of the experts' ranks, so it is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_rivals.methods.changes import Rule, SideBySide, combine, mix, side_by_side
from pyswarmopt_rivals.methods.method import Merged, Settings

Sparsifier = Callable[[Tensor, float, Generator], Tensor]
"""(n, ...) changes, density and random source -> changes of the same shape, with zeros."""

OUTLIERS = 0.006


@dataclass(frozen=True)
class SparsifyAndSum:
    """A merge rule: first the sparsifier (None: keep everything), then the consensus."""

    sparsify: Sparsifier | None
    consensus: Rule

    def __call__(self, settings: Settings) -> Merged:
        """Merge module by module."""
        # a sum of LoRAs is exact without a dense matrix
        if self.sparsify is None and settings.space == "delta":
            return mix(settings, lambda gram: settings.weights)
        draws = settings.generator()
        return combine(settings, lambda x, weights: self.merge(x, weights, settings.density, draws))

    def merge(
        self, changes: Tensor, weights: Tensor, density: float, generator: Generator | None = None
    ) -> Tensor:
        """The rule on one matrix per expert, `changes` (n, ...) and `weights` (n,); the default
        seed of draws is 0.
        """
        if self.sparsify is not None:
            changes = self.sparsify(changes, density, generator or Generator().manual_seed(0))
        return self.consensus(changes, weights)


# Sparsifiers


def keep_largest(changes: Tensor, density: float, _: Generator | None = None) -> Tensor:
    """Keep the largest entries of each expert by magnitude: TIES' trimming. The count is rounded
    down, at least one.

    The paper trims over the whole model; here, as in peft, the share applies to each module's
    matrix.

    Example:
        >>> keep_largest(torch.tensor([[3.0, -4.0, 1.0, 2.0]]), density=0.5).tolist()
        [[3.0, -4.0, 0.0, 0.0]]
    """
    return keep_middle(changes, density, outliers=0.0)


def keep_middle(
    changes: Tensor, density: float, _: Generator | None = None, *, outliers: float = OUTLIERS
) -> Tensor:
    """Drop the share `outliers` of the largest entries of each expert and keep the next `density`:
    breadcrumbs.

    The paper's mask lies between two percentiles, beta and gamma, of each layer.

    Example:
        >>> keep_middle(torch.tensor([[3.0, -4.0, 1.0, 2.0]]), density=0.5, outliers=0.25).tolist()
        [[3.0, 0.0, 0.0, 2.0]]
    """
    flat = changes.flatten(1)
    entries = flat.shape[1]
    first = int(outliers * entries)
    last = min(first + max(1, int(density * entries)), entries)
    kept = flat.abs().topk(last, dim=1).indices[:, first:]
    return torch.zeros_like(flat).scatter(1, kept, flat.gather(1, kept)).view_as(changes)


def drop_and_rescale(changes: Tensor, density: float | Tensor, generator: Generator) -> Tensor:
    """Keep each entry with probability `density`, divided by it: DARE, m * tau / (1 - p), m ~
    Bernoulli(1 - p).

    Example:
        >>> drawn = drop_and_rescale(torch.ones(1, 1000), 0.25, torch.Generator().manual_seed(0))
        >>> sorted(set(drawn.flatten().tolist()))
        [0.0, 4.0]
    """
    kept = torch.rand(changes.shape, generator=generator, dtype=changes.dtype) < density
    return changes * kept / density


def magprune(changes: Tensor, density: float, generator: Generator) -> Tensor:
    """Drop at the rates of `drop_rates` and divide the rest by the probability of staying: DELLA's
    MAGPRUNE.
    """
    return drop_and_rescale(changes, 1 - drop_rates(changes, density), generator)


def drop_rates(changes: Tensor, density: float) -> Tensor:
    """The drop probability: lowest for the largest entry of a row, 1 - density on average.

    Within an output row, `changes` (..., entries), rates rise linearly by rank of magnitude from p
    - epsilon/2 for the largest to p + epsilon/2 for the smallest, p = 1 - density (in the paper to a
    step of epsilon/n less, n the entries of a row). The paper tunes epsilon; here it is min(p, 1 -
    p), half of the widest range that leaves all rates within [0, 1].

    Example:
        >>> drop_rates(torch.tensor([1.0, -9.0, 5.0]), density=0.5).tolist()
        [0.75, 0.25, 0.5]
    """
    # 0 for the largest
    ranks = changes.abs().argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    shares = ranks.to(changes.dtype) / max(1, changes.shape[-1] - 1)
    mean = 1 - density
    return mean + min(mean, density) * (shares - shares.mean(-1, keepdim=True))


# Consensus


def weighted_sum(changes: Tensor, weights: Tensor) -> Tensor:
    """sum_i w_i tau_i: task arithmetic, theta_0 + lambda sum_i tau_i. In ``factor`` space peft
    calls it ``linear``.

    Example:
        >>> weighted_sum(torch.tensor([[1.0, 2.0], [10.0, 20.0]]), torch.tensor([1.0, 0.5])).tolist()
        [6.0, 12.0]
    """
    return torch.tensordot(weights, changes, dims=1)


def elect_and_merge(changes: Tensor, weights: Tensor) -> Tensor:
    """Elect a sign for each entry, then average the experts that agree with it: steps 2 and 3 of
    TIES.

    gamma = sgn(sum_i tau_i), plus for a sum of exactly zero; the mean of the tau_i, (n, ...), whose
    sign is gamma. Weights multiply the entries after the election and before the mean, so that
    equal weights are the paper's lambda.

    Example:
        >>> elect_and_merge(torch.tensor([[4.0, -1.0], [-1.0, -3.0]]), torch.ones(2)).tolist()
        [4.0, -2.0]
    """
    elected = torch.where(changes.sum(0) >= 0, 1.0, -1.0)
    agree = (changes.sign() == elected).to(changes.dtype)
    return torch.tensordot(weights, changes * agree, dims=1) / agree.sum(0).clamp(min=1)


TASK_ARITHMETIC = SparsifyAndSum(None, weighted_sum)
MAGNITUDE_PRUNE = SparsifyAndSum(keep_largest, weighted_sum)
BREADCRUMBS = SparsifyAndSum(keep_middle, weighted_sum)
DARE_LINEAR = SparsifyAndSum(drop_and_rescale, weighted_sum)
TIES = SparsifyAndSum(keep_largest, elect_and_merge)
DARE_TIES = SparsifyAndSum(drop_and_rescale, elect_and_merge)
DELLA = SparsifyAndSum(magprune, elect_and_merge)


# KnOTS


def align(part: SideBySide) -> tuple[Tensor, Tensor]:
    """The common basis of one module, and each expert's part in it.

    Returns:
        U, (out, k) float32 with orthonormal columns, and the stack of Sigma V_i^T, (n, k, in)
        float32; U times the i-th is dW_i. k is the numerical rank of all changes together.

    Example:
        >>> twice = SideBySide(torch.ones(3, 2), torch.ones(2, 4), owner=torch.tensor([0, 1]), n=2)
        >>> [tuple(part.shape) for part in align(twice)]
        [(3, 1), (2, 1, 4)]
    """
    basis, inner = torch.linalg.qr(part.b)
    cores = replace(part, b=inner).dense()
    # U of the wide matrix is the (orthonormal) basis times the U of these few rows.
    left, values, right = torch.linalg.svd(torch.cat(list(cores), dim=1), full_matrices=False)
    floor = torch.finfo(values.dtype).eps * max(basis.shape[0], right.shape[1]) * values[0]
    k = max(1, int((values > floor).sum()))
    aligned = (values[:k, None] * right[:k]).view(k, part.n, -1).transpose(0, 1)
    return basis @ left[:, :k], aligned


def knots(settings: Settings) -> Merged:
    """KnOTS-TIES of each module."""
    weights = settings.weights.to(torch.float32)
    changes = {}
    for name, part in side_by_side(settings.experts).items():
        basis, aligned = align(part)
        changes[name] = LowRank(b=basis, a=TIES.merge(aligned, weights, settings.density))
    return Merged(Patch(low_rank=changes))
