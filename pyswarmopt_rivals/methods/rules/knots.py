"""KnOTS: experts in one common basis, from the SVD of all their changes side by side; there, TIES.

Stoica et al. 2024, arXiv 2410.19735: [dW_1 | ... | dW_n] = U Sigma [V_1 | ... | V_n]^T gives all experts the
same output basis U; the aligned parts Sigma V_i^T are merged and put back, dW = U merge(Sigma V_i^T). The merge is
TIES (KnOTS-TIES), with Sigma on V as in the authors' released configurations; the density of those for language
models, 1, and lambda 1 are the defaults. The result has at most the sum of the experts' ranks, so it is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.models.adapters.adapter import Adapter, Factors
from pyswarmopt_rivals.methods.changes import by_module
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.rules.sparsify import TIES


def align(parts: Sequence[Factors | None]) -> tuple[Tensor, Tensor]:
    """The common basis of one module, and each expert in it.

    Returns:
        U, (out, k) float32 with orthonormal columns, and the stack of Sigma V_i^T, (n, k, in) float32; U times the
        i-th is dW_i. k is the numerical rank of all changes together.
    """
    known = next(part for part in parts if part is not None)
    basis, inner = torch.linalg.qr(torch.cat([part.b * part.scale for part in parts if part is not None], dim=1))
    zeros = torch.zeros(len(inner), known.a.shape[1])
    cores, column = [], 0
    for part in parts:
        if part is None:
            cores.append(zeros)
            continue
        cores.append(inner[:, column : column + len(part.a)] @ part.a)
        column += len(part.a)
    # U of the wide matrix is basis times the U of these few rows: the basis is orthonormal.
    left, values, right = torch.linalg.svd(torch.cat(cores, dim=1), full_matrices=False)
    floor = torch.finfo(values.dtype).eps * max(basis.shape[0], right.shape[1]) * values[0]
    k = max(1, int((values > floor).sum()))
    aligned = (values[:k, None] * right[:k]).view(k, len(parts), -1).transpose(0, 1)
    return basis @ left[:, :k], aligned


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """KnOTS-TIES of each module."""
    changes = {f"{module}.weight": _merged(parts, settings) for module, parts in by_module(experts)}
    return Merged(Patch(low_rank=changes))


def _merged(parts: Sequence[Factors | None], settings: Settings) -> LowRank:
    basis, aligned = align(parts)
    return LowRank(b=basis, a=TIES.merge(aligned, settings.weights.to(torch.float32), settings.density))
